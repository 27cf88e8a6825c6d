"""The arguments of `convert`, normalized once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgevision.calibration.synthetic import SYNTHETIC
from edgevision.conversion.settings import ConversionSettings
from edgevision.evaluation.run import Images


@dataclass(frozen=True)
class ConversionRequest:
    """The arguments of `convert`, normalized.

    Attributes:
        source: the trained model.
        output: the bundle to write.
        targets: names of device profiles.
        precisions: names of precisions, or ``auto``; empty for the default.
        evaluation, calibration: image sets, as the caller named them.
        settings: all other settings.
    """

    source: Path
    output: Path
    targets: tuple[str, ...]
    precisions: tuple[str, ...]
    evaluation: Images | None
    calibration: Images | None
    settings: ConversionSettings

    @property
    def can_calibrate(self) -> bool:
        """True if there is something to calibrate on: images, or the seeds of a generator."""
        return self.calibration is not None or self.settings.task.generation is not None

    @property
    def synthetic(self) -> bool:
        """True if the calibration images are to be synthesized from the model."""
        return isinstance(self.calibration, str) and self.calibration == SYNTHETIC
