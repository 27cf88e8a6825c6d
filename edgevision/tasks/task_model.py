"""A loaded network as the model of its task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgevision.errors import OptionError
from edgevision.plugins import Registry
from edgevision.session import CheckedSession

if TYPE_CHECKING:  # a process that runs one task imports no other
    from edgevision.imaging.preprocess import Preprocessing
    from edgevision.tasks.description import Task
    from edgevision.tasks.kinds import Model
    from edgevision.tasks.score_calibration import ScoreCalibration


def model_of_task(
    session: CheckedSession,
    task: Task,
    preprocessing: Preprocessing | None,
    labels: Sequence[str],
    score_calibration: ScoreCalibration | None,
    plugins: Registry,
) -> Model:
    """A `Classifier`, a `Detector` or a `Generator`, as the task says.

    Raises:
        OptionError: the network's tensors are not what the task, the preprocessing or the labels need.
        PluginError: no plugin has the detector's decoder.
    """
    from edgevision.tasks.description import ClassifyTask, GenerateTask

    if isinstance(task, GenerateTask):
        from edgevision.tasks.generation.build import build_generator

        return build_generator(session, task, preprocessing, labels)
    if preprocessing is None:
        raise OptionError(f"task '{task.name}': expected a preprocessing for its images, got none")
    if isinstance(task, ClassifyTask):
        from edgevision.tasks.classify import Classifier

        return Classifier(session, preprocessing, labels, task.score_kind, task.output, score_calibration)
    from edgevision.tasks.detect import Detector

    return Detector(session, preprocessing, labels, task, plugins.decoder(task.decoder))
