"""The evaluator for a model that runs on a device: an artifact of a bundle, or a bare file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgevision.bundle.manifest import ArtifactEntry
from edgevision.bundle.storage import Bundle
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError, OptionError
from edgevision.evaluation.classification import ClassificationEvaluator
from edgevision.evaluation.detection import DetectionEvaluator
from edgevision.evaluation.evaluator import MeasuringEvaluator
from edgevision.evaluation.ground_truth import (
    GroundTruthPaths,
    annotations_of,
    classify_truth,
    has_independent_scores,
    truth_images,
)
from edgevision.evaluation.image_to_image import ImageToImageEvaluator
from edgevision.imaging.preprocess import Preprocessing
from edgevision.loading.bare_bundle import task_of
from edgevision.plugins import Registry
from edgevision.tasks.classify import Classifier, score_output
from edgevision.tasks.description import ClassifyTask, DetectTask, GenerateTask, Task
from edgevision.tasks.detect import Detector
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
    def of_bare(cls, path: Path, model: Classifier | Detector) -> ModelFacts:
        """The facts of a bare file that has been loaded."""
        return cls(
            path,
            path.name,
            task_of(model),
            model.preprocessing,
            model.labels,
            model.session.outputs,
            model.score_calibration.or_none() if isinstance(model, Classifier) else None,
        )


def evaluator_for_model(
    model: ModelFacts, images: ImageSet, paths: GroundTruthPaths, plugins: Registry
) -> MeasuringEvaluator:
    """The evaluator for a model on `images`, with their ground truth.

    Args:
        model: its task and its description.
        images: one or more.
        paths: annotations, or images to compare with.
        plugins: provide the decoder.

    Raises:
        OptionError: the ground truth is missing, or is not for the task of the model.
        InputError: the ground truth cannot be used, or is missing from the image set.
    """
    task, preprocessing, where = model.task, model.preprocessing, str(model.path)
    if preprocessing is None:
        raise OptionError(
            f"{where}: the model generates images from a seed, which have no ground truth; "
            f"to inspect them, run: edgevision generate {where} -o DIR"
        )
    if paths.truth is not None and not isinstance(task, GenerateTask):
        raise OptionError(f"--truth {paths.truth}: only for models that generate images; remove it")
    if paths.annotations is not None and isinstance(task, GenerateTask):
        raise OptionError(
            f"--annotations {paths.annotations}: the model generates images; pass --truth FOLDER instead"
        )
    if isinstance(task, ClassifyTask):
        return _classification(model, task, preprocessing, images, paths)
    if isinstance(task, DetectTask):
        return _detection(model, task, preprocessing, images, paths, plugins)
    if paths.truth is None:
        raise OptionError(
            f"no ground truth for the images in {images.name}; pass --truth FOLDER, with images of the same "
            f"names"
        )
    expected = truth_images(paths.truth, images)
    return ImageToImageEvaluator(task, preprocessing, expected, images.shown_names, groups=images.groups)


def _classification(
    model: ModelFacts,
    task: ClassifyTask,
    preprocessing: Preprocessing,
    images: ImageSet,
    paths: GroundTruthPaths,
) -> ClassificationEvaluator:
    unnamed = all(label == f"class {number}" for number, label in enumerate(model.labels))
    if unnamed and not set(images.class_names) <= set(model.labels):
        raise OptionError(
            f"{model.path}: the model does not name its classes, which the folders of {images.name} are "
            "compared by; pass --labels FILE, with the names in the network's order"
        )
    independent = has_independent_scores(task, score_output(model.outputs, task.output))
    truth = classify_truth(images, model.labels, paths.annotations, independent)
    if truth is None:
        raise InputError(
            f"no ground truth for the images in {images.name}; sort them into one folder per class"
        )
    return ClassificationEvaluator(
        *(task, model.labels, preprocessing, truth, images.shown_names, model.score_calibration),
        groups=images.groups,
    )


def _detection(
    model: ModelFacts,
    task: DetectTask,
    preprocessing: Preprocessing,
    images: ImageSet,
    paths: GroundTruthPaths,
    plugins: Registry,
) -> DetectionEvaluator:
    if paths.annotations is None:
        raise OptionError(f"no ground truth for the images in {images.name}; pass --annotations FILE")
    if not model.labels:
        raise OptionError(
            f"{model.path}: the model does not name its classes, which the annotations are compared by; pass "
            "--labels FILE"
        )
    truth = annotations_of(images, paths.annotations, model.labels)
    decoder = plugins.decoder(task.decoder)
    return DetectionEvaluator(
        *(task, decoder, model.labels, preprocessing, truth, images.shown_names), groups=images.groups
    )
