"""The description of a model that its artifacts carry: what loads one without its bundle knows as much."""

from __future__ import annotations

from edgevision.artifact import Artifact
from edgevision.bundle.model_description import model_description
from edgevision.description import DescribedArtifact
from edgevision.evaluation.evaluator import Evaluator
from edgevision.loading.own_description import with_own_description
from edgevision.plugins import Registry
from edgevision.tasks.score_calibration import ScoreCalibration


def described(
    artifact: Artifact, evaluator: Evaluator, plugins: Registry, calibration: ScoreCalibration | None = None
) -> DescribedArtifact:
    """An artifact with the description of its model; as it is if no backend writes them into its format.

    Args:
        artifact: the artifact.
        evaluator: has the model's task, labels and preprocessing.
        plugins: the backends write it.
        calibration: of the artifact's scores.
    """
    description = model_description(evaluator.task, evaluator.preprocessing, evaluator.labels, calibration)
    return with_own_description(artifact, description, plugins) or DescribedArtifact(artifact)
