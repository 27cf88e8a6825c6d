"""The description of a model that its artifacts carry: what loads one without its bundle knows as much."""

from __future__ import annotations

from dataclasses import asdict

from edgevision.artifact import Artifact
from edgevision.description import DescribedArtifact, ModelDescription, SelfDescribingFormat
from edgevision.evaluation.evaluator import Evaluator
from edgevision.plugins import Registry
from edgevision.tasks.description import task_to_dict
from edgevision.tasks.score_calibration import ScoreCalibration


def description_of(evaluator: Evaluator, calibration: ScoreCalibration | None = None) -> ModelDescription:
    """The description of an artifact of a model.

    Args:
        evaluator: has the model's task, labels and preprocessing.
        calibration: of the artifact's scores.
    """
    how = evaluator.preprocessing
    return ModelDescription(
        task_to_dict(evaluator.task),
        None if how is None else how.to_dict(),
        tuple(evaluator.labels),
        None if calibration is None else asdict(calibration),
    )


def described(artifact: Artifact, description: ModelDescription, plugins: Registry) -> DescribedArtifact:
    """An artifact with its description, by the backend whose own format it is; as it is if none writes it."""
    for backend in plugins.backends().values():
        if artifact.format in backend.formats[:1] and isinstance(backend, SelfDescribingFormat):
            return backend.write_description(artifact, description)
    return DescribedArtifact(artifact)
