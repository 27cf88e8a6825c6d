"""A loaded network as the model of its task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgevision.plugins import Registry
from edgevision.session import CheckedSession
from edgevision.tasks.kind import ModelParts, kind_of

if TYPE_CHECKING:  # a process that runs one task imports no other
    from edgevision.imaging.preprocess import Preprocessing
    from edgevision.tasks.description import Task
    from edgevision.tasks.model_types import Model
    from edgevision.tasks.score_calibration import ScoreCalibration


def model_of_task(
    session: CheckedSession,
    task: Task,
    preprocessing: Preprocessing | None,
    labels: Sequence[str],
    score_calibration: ScoreCalibration | None,
    plugins: Registry,
) -> Model:
    """The model that the task's kind makes of a network: a `Classifier`, a `Detector`, or another.

    Raises:
        OptionError: the network's tensors are not what the task, the preprocessing or the labels need.
        PluginError: no plugin has the task, or the detector's decoder.
    """
    parts = ModelParts(preprocessing, labels, score_calibration, plugins)
    model: Model = kind_of(task).model(session, task, parts)
    return model
