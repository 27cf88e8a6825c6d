"""A model that runs on a device, as its bundle or its own file describes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevision.bundle.manifest import ArtifactEntry
from edgevision.bundle.storage import Bundle
from edgevision.imaging.preprocess import Preprocessing
from edgevision.tasks.description import Task
from edgevision.tasks.image_model import ImageModel
from edgevision.tasks.score_calibration import ScoreCalibration
from edgevision.tensors import TensorSpec


@dataclass(frozen=True)
class ModelFacts:
    """A model, as its bundle describes it, or for a bare file the caller and the file itself.

    Attributes:
        path: of the bundle or the file.
        artifact: its id in the bundle; for a bare file the file's name.
        task: its task.
        preprocessing: from an image to its input; `None` if it takes no image.
        labels: one name per class; empty if unknown.
        outputs: its outputs.
        score_calibration: temperature and operating point of a classifier, where it has them.
        bundle_digest: of the whole bundle; `None` for a bare file.
    """

    path: Path
    artifact: str
    task: Task
    preprocessing: Preprocessing | None
    labels: tuple[str, ...]
    outputs: tuple[TensorSpec, ...]
    score_calibration: ScoreCalibration | None = None
    bundle_digest: str | None = None

    @classmethod
    def of_bundle(cls, bundle: Bundle, entry: ArtifactEntry) -> ModelFacts:
        """The facts of an artifact of a bundle."""
        manifest = bundle.manifest
        return cls(
            bundle.path,
            entry.id,
            manifest.task,
            manifest.preprocessing,
            bundle.labels,
            entry.outputs,
            entry.score_calibration,
            bundle.digest,
        )

    @classmethod
    def of_bare(cls, path: Path, model: ImageModel[Any]) -> ModelFacts:
        """The facts of a bare file that has been loaded."""
        return cls(
            path,
            path.name,
            model.task,
            model.preprocessing,
            model.labels,
            model.session.outputs,
            model.fitted_scores,
        )

    @property
    def image_preprocessing(self) -> Preprocessing:
        """From an image to its input; raises TypeError for a model that takes none."""
        if self.preprocessing is None:
            raise TypeError(f"{self.path}: takes no image")
        return self.preprocessing
