"""Metrics, intervals and sizes as text, the same in every command and report."""

from __future__ import annotations

from edgevision.metrics.comparison import Metric
from edgevision.metrics.intervals import Interval
from edgevision.metrics.reliability import Reliability

#: Methods of intervals, as they are named in publications.
METHODS = {
    "agresti-coull": "Agresti-Coull, by image",
    "wilson": "Wilson",
    "newcombe": "Newcombe, paired",
    "bootstrap": "bootstrap",
    "bootstrap-t": "bootstrap-t",
    "calibration-error": "distances of bins, with noise",
}


def between(interval: Interval | None, unit: str) -> str:
    """The limits of an interval, such as ``96.52 … 98.85``, in percent or dB."""
    if interval is None:
        return ""
    factor = 1 if unit == "dB" else 100
    return f"{interval.low * factor:.2f} … {interval.high * factor:.2f}"


def with_interval(value: float, interval: Interval | None, unit: str) -> str:
    """A value with its interval, such as ``97.99 % (96.52 … 98.85)``."""
    limits = between(interval, unit)
    return in_unit(value, unit) + (f" ({limits})" if limits else "")


def drop_of(metric: Metric) -> str:
    """A drop with its interval, such as ``0.17 (-0.57 … 0.97)``, in percentage points or dB."""
    factor = 1 if metric.unit == "dB" else 100
    limits = between(metric.drop_interval, metric.unit)
    # Adding 0.0 turns "-0.00" into "0.00".
    return f"{round(metric.drop * factor, 2) + 0.0:.2f}" + (f" ({limits})" if limits else "")


def size(size_bytes: int) -> str:
    """A size such as ``98 kB``, in powers of 1000."""
    value, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"


def in_unit(value: float, unit: str) -> str:
    """A value with its unit, such as ``97.32 %``, ``28.31 dB`` or ``1.204 MB``."""
    if unit == "share":
        return f"{100 * value:.2f} %"
    return f"{value:.2f} dB" if unit == "dB" else f"{value:.4g} {unit}"


def in_points(value: float, unit: str) -> str:
    """A difference of two values, such as ``0.97 percentage points`` or ``0.12 dB``."""
    return f"{value:.2f} dB" if unit == "dB" else f"{round(100 * value, 2) + 0.0:.2f} percentage points"


def calibration_error(reliability: Reliability) -> str:
    """An expected calibration error, such as ``7.40 % (debiased 0.00 %, 95 % interval 0.00 … 13.10)``."""
    text = in_unit(reliability.ece, "share")
    if reliability.debiased is None or reliability.interval is None:
        return text
    debiased, limits = in_unit(reliability.debiased, "share"), between(reliability.interval, "share")
    return f"{text} (debiased {debiased}, 95 % interval {limits})"


def calibrated_error(reliability: Reliability) -> str:
    """The error of a perfectly calibrated model on so many images, such as ``7.41 %, up to 10.90 %``."""
    if reliability.calibrated is None:
        return "unknown"
    mean, most = (in_unit(one, "share") for one in reliability.calibrated)
    return f"{mean}, up to {most}"
