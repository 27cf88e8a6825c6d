"""Checks on what a converter is asked for, shared by all formats."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from edgevision.artifact import CALIBRATED
from edgevision.converter import CalibrationData
from edgevision.errors import ConversionError

#: The precisions in which chosen layers may stay float.
INT8 = ("int8", "int8-float-io")


def check_request(
    converter: Any,
    precision: str,
    calibration: CalibrationData | None,
    keep_float: Collection[str] = (),
) -> None:
    """Refuse what a converter cannot make.

    Raises:
        ConversionError: it lacks the precision, the precision lacks its calibration set, or layers
            are to stay float in what is not int8.
    """
    if precision not in converter.precisions:
        raise ConversionError(
            f"converter '{converter.name}' makes no {precision}; it makes: {', '.join(converter.precisions)}"
        )
    if precision in CALIBRATED and calibration is None:
        raise ConversionError(
            f"{converter.name}: {precision} needs calibration images: type --calibration DIR"
        )
    if keep_float and precision not in INT8:
        raise ConversionError(
            f"{converter.name}: keep_float: layers stay float in {' and '.join(INT8)} alone"
        )
