"""The evaluator for an artifact of a bundle, whose task is in the manifest."""

from __future__ import annotations

from edgevision.bundle.manifest import ArtifactEntry
from edgevision.bundle.storage import Bundle
from edgevision.datasets.annotations import read_annotations
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError, OptionError
from edgevision.evaluation.classification import ClassificationEvaluator
from edgevision.evaluation.detection import DetectionEvaluator
from edgevision.evaluation.evaluator import MeasuringEvaluator
from edgevision.evaluation.ground_truth import (
    GroundTruthPaths,
    classify_truth,
    has_independent_scores,
    truth_images,
)
from edgevision.evaluation.image_to_image import ImageToImageEvaluator
from edgevision.imaging.preprocess import Preprocessing
from edgevision.plugins import Registry
from edgevision.tasks.classify import score_output
from edgevision.tasks.description import ClassifyTask, DetectTask, GenerateTask


def evaluator_for_bundle(
    bundle: Bundle, entry: ArtifactEntry, images: ImageSet, paths: GroundTruthPaths, plugins: Registry
) -> MeasuringEvaluator:
    """The evaluator for an artifact of `bundle` on `images`, with their ground truth.

    Args:
        bundle: an open bundle.
        entry: the artifact, with its temperature and operating point.
        images: one or more.
        paths: annotations, or images to compare with.
        plugins: provide the decoder.

    Raises:
        OptionError: the ground truth is missing, or is not for the task of the bundle.
        InputError: the ground truth cannot be used, or is missing from the image set.
    """
    task, preprocessing, where = bundle.manifest.task, bundle.manifest.preprocessing, str(bundle.path)
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
        return _classification(bundle, entry, task, preprocessing, images, paths)
    if isinstance(task, DetectTask):
        return _detection(bundle, task, preprocessing, images, paths, plugins)
    if paths.truth is None:
        raise OptionError(
            f"no ground truth for the images in {images.name}; pass --truth FOLDER, with images of the same "
            f"names"
        )
    return ImageToImageEvaluator(task, preprocessing, truth_images(paths.truth, images), images.shown_names)


def _classification(
    bundle: Bundle,
    entry: ArtifactEntry,
    task: ClassifyTask,
    preprocessing: Preprocessing,
    images: ImageSet,
    paths: GroundTruthPaths,
) -> ClassificationEvaluator:
    independent = has_independent_scores(task, score_output(entry.outputs, task.output))
    truth = classify_truth(images, bundle.labels, paths.annotations, independent)
    if truth is None:
        raise InputError(
            f"no ground truth for the images in {images.name}; sort them into one folder per class"
        )
    return ClassificationEvaluator(
        task, bundle.labels, preprocessing, truth, images.shown_names, entry.score_calibration
    )


def _detection(
    bundle: Bundle,
    task: DetectTask,
    preprocessing: Preprocessing,
    images: ImageSet,
    paths: GroundTruthPaths,
    plugins: Registry,
) -> DetectionEvaluator:
    if paths.annotations is None:
        raise OptionError(f"no ground truth for the images in {images.name}; pass --annotations FILE")
    truth = read_annotations(paths.annotations, images.image_names, bundle.labels)
    decoder = plugins.decoder(task.decoder)
    return DetectionEvaluator(task, decoder, bundle.labels, preprocessing, truth, images.shown_names)
