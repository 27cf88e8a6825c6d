"""The description of a model that its artifacts carry, from what a manifest has of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from edgevision.description import ModelDescription
from edgevision.imaging.preprocess import Preprocessing
from edgevision.tasks.description import Task, task_to_dict
from edgevision.tasks.score_calibration import ScoreCalibration


def model_description(
    task: Task,
    preprocessing: Preprocessing | None,
    labels: Sequence[str],
    calibration: ScoreCalibration | None,
) -> ModelDescription:
    """The description of an artifact.

    Args:
        task: of the model.
        preprocessing: from an image to its input; `None` if it takes no image.
        labels: one name per class.
        calibration: of the artifact's scores; `None` for none.
    """
    return ModelDescription(
        task_to_dict(task),
        None if preprocessing is None else preprocessing.to_dict(),
        tuple(labels),
        None if calibration is None else asdict(calibration),
    )
