"""How a model is converted, beside what goes in and what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from edgevision.errors import OptionError
from edgevision.evidence.operating_points import OperatingPointSpecification
from edgevision.evidence.requirements import Budget
from edgevision.tasks.options import TaskOptions


@dataclass(frozen=True)
class ConversionSettings:
    """How a model is converted, beside what goes in and what comes out.

    Attributes:
        task: what the model itself does not tell of its input, outputs and classes.
        budget: what an artifact may lose.
        calibration_samples, evaluation_samples: at most so many images of each set, spread over
            its classes; `None` takes all. Of networks that make images of a seed: calls of the network
            that it is calibrated on, and seeds that it is measured on (`None` is 500 and 32).
        strict: refuse a calibration set that there is a warning about, before any conversion.
        trust_source: run code that the model carries.
        pictures: keep small pictures of evaluation images on which artifacts and source differ in the bundle,
            for its report. Known answers hold images whatever is said here.
        force: replace a bundle that is there.
        operating_point: of a classifier: what the threshold of a class of interest is to keep. It is found on
            the calibration images, whose classes must be known, and is checked on the evaluation images.
        calibrate_scores: of a classifier: find a temperature for each artifact's scores, on the same images.
            The threshold is then one of the scores at that temperature.
        targets_files: TOML files with more targets.
    """

    task: TaskOptions = field(default_factory=TaskOptions)
    budget: Budget = field(default_factory=Budget)
    calibration_samples: int | None = 500
    evaluation_samples: int | None = None
    strict: bool = False
    trust_source: bool = False
    pictures: bool = True
    force: bool = False
    targets_files: tuple[Path, ...] = ()
    operating_point: OperatingPointSpecification | None = None
    calibrate_scores: bool = False

    def __post_init__(self) -> None:
        for name in ("calibration_samples", "evaluation_samples"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError(f"{name}: expected 1 or more, got {value}")

    @property
    def reads_scores(self) -> bool:
        """Whether it is to be found how scores are read: on images whose classes are known."""
        return self.calibrate_scores or self.operating_point is not None
