"""Figures, metrics, their intervals and sizes in words, as every command and report tells them."""

from __future__ import annotations

from edgevision.metrics.comparison import Metric
from edgevision.metrics.intervals import Interval

#: The methods of intervals and tests, as people know them.
METHODS = {"wilson": "Wilson", "newcombe": "Newcombe, paired", "bootstrap": "bootstrap"}


def between(interval: Interval | None, unit: str) -> str:
    """Such as ``96.52 … 98.85``, in percent or dB."""
    if interval is None:
        return ""
    factor = 1 if unit == "dB" else 100
    return f"{interval.low * factor:.2f} … {interval.high * factor:.2f}"


def with_interval(value: float, interval: Interval | None, unit: str) -> str:
    """Such as ``97.99 % (96.52 … 98.85)``."""
    limits = between(interval, unit)
    return in_unit(value, unit) + (f" ({limits})" if limits else "")


def drop_of(metric: Metric) -> str:
    """Such as ``0.17 (-0.57 … 0.97)``, in points of a percent or dB."""
    factor = 1 if metric.unit == "dB" else 100
    limits = between(metric.drop_interval, metric.unit)
    # No "-0.00": what is nothing has no sign.
    return f"{round(metric.drop * factor, 2) + 0.0:.2f}" + (f" ({limits})" if limits else "")


def size(size_bytes: int) -> str:
    """Such as ``98 kB``, in powers of 1000."""
    value, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"


def in_unit(value: float, unit: str) -> str:
    """A number for people, such as ``97.32 %``, ``28.31 dB`` or ``1.204 MB``."""
    if unit == "share":
        return f"{100 * value:.2f} %"
    return f"{value:.2f} dB" if unit == "dB" else f"{value:.4g} {unit}"
