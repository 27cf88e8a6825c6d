"""Calibration errors as text, the same in every command and report."""

from __future__ import annotations

from edgevision.metrics.formatting import between, in_unit, level
from edgevision.metrics.reliability import Reliability


def calibration_error(reliability: Reliability) -> str:
    """An expected calibration error, such as ``7.40 % (debiased 0.00 %, 95 % interval 0.00 … 13.10)``."""
    text = in_unit(reliability.ece, "share")
    interval = reliability.interval
    if reliability.debiased is None or interval is None:
        return text
    debiased, limits = in_unit(reliability.debiased, "share"), between(interval, "share")
    return f"{text} (debiased {debiased}, {level(interval.confidence)} interval {limits})"


def calibrated_error(reliability: Reliability) -> str:
    """The error of a perfectly calibrated model on so many images, such as ``7.41 %, up to 10.90 %``."""
    if reliability.calibrated is None:
        return "unknown"
    mean, most = (in_unit(one, "share") for one in reliability.calibrated)
    return f"{mean}, up to {most}"
