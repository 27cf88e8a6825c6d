"""A request for one artifact, checked alike for all formats."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from edgevision.artifact import CALIBRATED
from edgevision.converter import CalibrationData, Converter, Source
from edgevision.errors import ConversionError
from edgevision_keras.quantization.prepare import PreparedNetwork
from edgevision_keras.source import KerasSource

#: The precisions in which chosen layers may stay float.
INT8 = ("int8", "int8-float-io")


@dataclass(frozen=True)
class Request:
    """A request that the converter can meet.

    Attributes:
        source: the model.
        precision: one of the converter's.
        calibration: the calibration set; `None` only if the precision needs none, or the source has ranges.
        keep_float: names of layers that stay float; empty unless the precision is in `INT8`.
    """

    source: KerasSource
    precision: str
    calibration: CalibrationData | None
    keep_float: Collection[str]

    def prepared(self) -> PreparedNetwork:
        """The network that int8 artifacts start from.

        Raises:
            ConversionError: the request has no calibration set.
        """
        if self.calibration is None and not self.source.has_ranges:
            raise ConversionError(
                f"{self.source.path}: int8 needs calibration images; pass --calibration FOLDER"
            )
        return self.source.prepared_for_int8(self.calibration)


def check_request(
    converter: Converter,
    source: Source,
    precision: str,
    calibration: CalibrationData | None,
    keep_float: Collection[str] = (),
) -> Request:
    """Check the arguments of `edgevision.converter.SelectiveConverter.convert`.

    Raises:
        ConversionError: another reader has read the source, the converter does not support the
            precision, the precision needs a calibration set, or layers cannot stay float in it.
    """
    if precision not in converter.precisions:
        supported = ", ".join(converter.precisions)
        raise ConversionError(
            f"converter '{converter.name}' does not support {precision}; supported precisions: {supported}"
        )
    has_ranges = isinstance(source, KerasSource) and source.has_ranges and precision in INT8
    if precision in CALIBRATED and calibration is None and not has_ranges:
        raise ConversionError(
            f"{converter.name}: {precision} needs calibration images; pass --calibration FOLDER"
        )
    if keep_float and precision not in INT8:
        raise ConversionError(
            f"{converter.name}: keep_float is supported only for {' and '.join(INT8)}, not for {precision}"
        )
    if not isinstance(source, KerasSource):
        raise ConversionError(
            f"{source.path}: converter '{converter.name}' expects a source read by the reader 'keras', "
            f"got one of kind '{source.kind}'"
        )
    return Request(source, precision, calibration, keep_float)


def check_calibrated(
    converter: Converter, source: Source, precision: str, calibration: CalibrationData | None
) -> Request:
    """Check the arguments of `edgevision.converter.PlainConverter.convert_plain`.

    Raises:
        ConversionError: as `check_request`, or the precision needs no calibration set.
    """
    if precision not in CALIBRATED:
        supported = ", ".join(name for name in converter.precisions if name in CALIBRATED)
        raise ConversionError(
            f"converter '{converter.name}': the plain artifact of {precision} is the artifact itself; "
            f"expected a calibrated precision ({supported})"
        )
    return check_request(converter, source, precision, calibration)
