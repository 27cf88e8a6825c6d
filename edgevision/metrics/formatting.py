"""Metrics, intervals and sizes as text, the same in every command and report.

The texts have as many digits as it takes: a share below 1 is never ``100.00 %``, a drop above 0 never
``0.00``, and a value that misses a limit never looks like the limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from edgevision.metrics.comparison import Comparison, Metric
from edgevision.metrics.intervals import Interval
from edgevision.system.decimals import decimals, percent, significant, stated_digits, without_noise

#: Methods of intervals, as they are named in publications.
METHODS = {
    "clopper-pearson": "Clopper-Pearson",
    "gaffke": "Gaffke, by image",
    "gaffke-paired": "Gaffke, paired",
    "gaffke-groups": "Gaffke, by group",
    "bootstrap-t": "bootstrap-t",
    "calibration-error": "distances of bins, with noise",
    # Of evidence that earlier releases wrote:
    "agresti-coull": "Agresti-Coull, by image",
    "wilson": "Wilson",
    "newcombe": "Newcombe, paired",
    "bootstrap": "bootstrap",
}

#: Publications of these methods.
SOURCES = {
    "clopper-pearson": "Clopper and Pearson 1934, exact limits of a proportion",
    "gaffke": "Gaffke 2005, limits of a mean over images, or of a macro average, that one further image, as "
    "unlike the others as possible, is added to; so changes that no image shows are not taken for impossible",
    "gaffke-paired": "Gaffke 2005, for the difference of two proportions on the same images; it excludes 0 "
    "where McNemar's exact test does",
    "gaffke-groups": "Gaffke 2005, by group of images, whose sums vary as in Obuchowski 1998",
    "bootstrap-t": "the mean over its standard error in 1,000 resamples of the images (Efron and Tibshirani "
    "1993, chapter 12)",
    "calibration-error": "from the distances of bins beyond chance that hardly give the measured error, up "
    "to the measured error with the 97.5 % quantile of its noise",
    # Of evidence that earlier releases wrote:
    "agresti-coull": "Agresti and Coull 1998, extended from hits to one share per image, for what is "
    "measured on labels, boxes or pixels of an image",
    "wilson": "Wilson 1927, for a proportion of images",
    "newcombe": "Newcombe 1998, method 10, for the difference of two proportions on the same images",
    "bootstrap": "percentiles of 1,000 resamples of the images (Efron and Tibshirani 1993, chapter 13), the "
    "same resamples for every model",
}

POINTS = "percentage points"
#: In the place of an interval: the images do not bound the value.
NO_INTERVAL = "no interval"
_DIGITS = 2


def in_unit(value: float, unit: str, against: Iterable[float] = ()) -> str:
    """A value with its unit, such as ``97.32 %``, ``28.31 dB`` or ``1.204 MB``.

    Args:
        value: in `unit`; a share as 0…1.
        unit: ``share``, ``dB``, ``relative`` for an error relative to the size of a value, or any other.
        against: values that it is told apart from, such as its limit.
    """
    if unit == "share":
        return percent(value, _DIGITS, against)
    if unit == "dB":
        return f"{decimals(value, _DIGITS, against)} dB"
    if unit == "relative":
        return significant(value, 2, against)
    return f"{significant(value, 4, against)} {unit}"


def in_points(value: float, unit: str, against: Iterable[float] = ()) -> str:
    """A difference of two values, such as ``0.97 percentage points`` or ``0.12 dB``; as `in_unit`."""
    return f"{points(value, unit, against)} {unit_of_points(unit)}"


def points(value: float, unit: str, against: Iterable[float] = ()) -> str:
    """A difference of two values without its unit, such as ``0.97``; as `in_unit`."""
    value = without_noise(value)
    if unit == "share":
        return percent(value, _DIGITS, against, sign="")
    return decimals(value, _DIGITS, [0, *against]) if unit == "dB" else significant(value, 4, against)


def unit_of_points(unit: str) -> str:
    """The unit of a difference: ``percentage points`` of two shares, else the values' own."""
    return POINTS if unit == "share" else unit


def unit_of_all(metrics: Iterable[Metric]) -> str:
    """The unit of the drops of a table: ``percentage points``, ``dB``, or both with an ``or``."""
    units = dict.fromkeys(unit_of_points(metric.unit) for metric in metrics)
    return " or ".join(units) or POINTS


def limit_in_unit(limit: float, unit: str, against: Iterable[float] = ()) -> str:
    """A limit as it was stated, such as ``99.95 %``; as `in_unit`."""
    if unit not in ("share", "dB"):
        return in_unit(limit, unit, against)
    sign = " %" if unit == "share" else " dB"
    return _stated(limit, unit, against) + sign


def limit_in_points(limit: float, unit: str, against: Iterable[float] = ()) -> str:
    """The limit of a difference as it was stated, such as ``0.503 percentage points``; as `in_unit`."""
    return f"{_stated(limit, unit, against)} {unit_of_points(unit)}"


def between(interval: Interval | None, unit: str, against: Iterable[float] = ()) -> str:
    """The limits of an interval, such as ``96.52 … 98.85``, in percent or dB; as `in_unit`."""
    if interval is None:
        return ""
    low, high, others = interval.low, interval.high, list(against)
    return f"{_end(low, unit, [high, *others])} … {_end(high, unit, [low, *others])}"


def with_interval(value: float, interval: Interval | None, unit: str, against: Iterable[float] = ()) -> str:
    """A value with its interval, such as ``97.99 % (96.52 … 98.85)``; as `in_unit`."""
    others = list(against)
    return f"{in_unit(value, unit, others)} ({between(interval, unit, others) or NO_INTERVAL})"


def drop_of(metric: Metric, against: Iterable[float] = ()) -> str:
    """A drop with its interval, such as ``0.17 (-0.57 … 0.97)``, in percentage points or dB; as `in_unit`."""
    others = list(against)
    limits = between(metric.drop_interval, metric.unit, others) or NO_INTERVAL
    return f"{points(metric.drop, metric.unit, others)} ({limits})"


def difference_of(metric: Metric) -> str:
    """The first value less the second with its interval, of which a drop has the sign turned for errors."""
    if not metric.lower_is_better:
        return drop_of(metric)
    interval = metric.drop_interval
    turned = None if interval is None else replace(interval, low=-interval.high, high=-interval.low)
    limits = between(turned, metric.unit) or NO_INTERVAL
    return f"{points(-metric.drop, metric.unit)} ({limits})"


def confidence_of(intervals: Iterable[Interval | None]) -> str:
    """The name of a column of intervals: ``95 % CI``; ``CI`` if they have several levels of confidence."""
    levels = {interval.confidence for interval in intervals if interval is not None}
    return f"{level(levels.pop())} CI" if len(levels) == 1 else "CI" if levels else "95 % CI"


def drop_column(metrics: Iterable[Metric]) -> str:
    """The name of a column of `drop_of`, such as ``drop in dB (95 % CI)``."""
    shown = list(metrics)
    return f"drop in {unit_of_all(shown)} ({confidence_of(one.drop_interval for one in shown)})"


def metric_methods(metrics: Iterable[Metric]) -> str:
    """A caption as `methods_of` for the values and the drops of metrics."""
    shown = list(metrics)
    values = [(one.name, one.artifact_interval or one.source_interval) for one in shown]
    return methods_of([*values, *((f"drop in {one.name}", one.drop_interval) for one in shown)])


def comparison_methods(comparisons: Iterable[Comparison]) -> str:
    """A caption as `methods_of` for the agreements, and the drops of the main metrics."""
    shown = list(comparisons)
    drops = [(f"drop in {one.name}", one.drop_interval) for each in shown for one in each.metrics[:1]]
    return methods_of([*(("agreement", one.agreement_interval) for one in shown), *drops])


def level(confidence: float) -> str:
    """A level of confidence, such as ``95 %`` or ``99.9 %``."""
    return percent(confidence, min(_DIGITS, stated_digits(100 * confidence, 0)))


def methods_of(named: Iterable[tuple[str, Interval | None]]) -> str:
    """A caption for a table's intervals: ``accuracy: Clopper-Pearson, 95 %; mAP: Gaffke, by image, 95 %``.

    Quantities whose intervals have the same method and confidence stand together.

    Args:
        named: (quantity, its interval), where the table has one.
    """
    quantities: dict[str, list[str]] = {}
    for name, interval in named:
        if interval is not None:
            quantities.setdefault(method_of(interval), []).append(name)
    return "; ".join(f"{', '.join(dict.fromkeys(names))}: {how}" for how, names in quantities.items())


def method_of(interval: Interval) -> str:
    """The method and the confidence of an interval, such as ``Clopper-Pearson, 95 %``."""
    return f"{METHODS.get(interval.method, interval.method)}, {level(interval.confidence)}"


def threshold_text(threshold: float) -> str:
    """A threshold on a score, such as ``0.1235``; ``1`` and ``0`` are exactly that."""
    return significant(threshold, 4, (0.0, 1.0))


def size(size_bytes: int) -> str:
    """A size such as ``98 kB``, in powers of 1000."""
    value, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"


def span(values: Sequence[float], unit: str) -> str:
    """The range of some values, such as ``97.32 % to 98.01 %``; one value if all are equal."""
    low, high = min(values), max(values)
    texts = in_unit(low, unit, [high]), in_unit(high, unit, [low])
    return texts[0] if low == high else " to ".join(texts)


def _end(value: float, unit: str, against: Iterable[float]) -> str:
    if unit == "share":
        return percent(value, _DIGITS, against, sign="")
    return decimals(value, _DIGITS, against) if unit == "dB" else significant(value, 4, against)


def _stated(limit: float, unit: str, against: Iterable[float]) -> str:
    if unit not in ("share", "dB"):
        return significant(limit, 4, against)
    number = limit if unit == "dB" else 100 * limit
    digits = stated_digits(number, _DIGITS)
    return decimals(limit, digits, against) if unit == "dB" else percent(limit, digits, against, sign="")
