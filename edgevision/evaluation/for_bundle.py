"""How a bundle's artifact is measured against the truth: what the manifest says, and what the images tell."""

from __future__ import annotations

from pathlib import Path

from edgevision.bundle.manifest import ArtifactEntry
from edgevision.bundle.storage import Bundle
from edgevision.datasets.annotations import read_annotations
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError, OptionError
from edgevision.evaluation.classification import ClassificationEvaluator
from edgevision.evaluation.detection import DetectionEvaluator
from edgevision.evaluation.evaluator import MeasuringEvaluator
from edgevision.evaluation.ground_truth import classify_truth, truth_images
from edgevision.evaluation.image_to_image import ImageToImageEvaluator
from edgevision.imaging.preprocess import Preprocessing
from edgevision.plugins import Registry
from edgevision.tasks.classify import score_output
from edgevision.tasks.description import ClassifyTask, DetectTask, GenerateTask


def evaluator_for_bundle(
    bundle: Bundle,
    entry: ArtifactEntry,
    images: ImageSet,
    annotations: Path | None,
    truth: Path | None,
    plugins: Registry,
) -> MeasuringEvaluator:
    """How an artifact of `bundle` is measured on `images`; what is true in them is always known.

    Args:
        bundle: that was read.
        entry: the artifact, with its temperature and operating point.
        images: one or more.
        annotations: the objects in the images, for a detector or a classifier with independent scores.
        truth: a folder or zip with what a network that makes images should make of each.
        plugins: that may hold its decoder.

    Raises:
        OptionError: what tells the truth is not given, or is not of the bundle's task.
        InputError: what tells the truth cannot be used, or nothing tells it.
    """
    task, how, where = bundle.manifest.task, bundle.manifest.preprocessing, str(bundle.path)
    if how is None:
        raise OptionError(
            f"{where}: makes images of nothing but a seed, and no image is the true one; "
            f"look at them with: edgevision generate {where} -o DIR"
        )
    if truth is not None and not isinstance(task, GenerateTask):
        raise OptionError(f"--truth {truth}: is for networks that make images; leave it out")
    if annotations is not None and isinstance(task, GenerateTask):
        raise OptionError(f"--annotations {annotations}: this network makes images; type --truth FOLDER")
    if isinstance(task, ClassifyTask):
        return _classify(bundle, entry, task, how, images, annotations)
    if isinstance(task, DetectTask):
        if annotations is None:
            raise OptionError(
                f"{images.name}: nothing tells which objects are in its images, so there is nothing to "
                f"measure against; type --annotations FILE"
            )
        objects = read_annotations(annotations, images.image_names, bundle.labels)
        decoder = plugins.decoder(task.decoder)
        return DetectionEvaluator(task, decoder, bundle.labels, how, objects, images.image_names)
    if truth is None:
        raise OptionError(
            f"{images.name}: nothing tells what should be made of its images, so there is nothing to "
            f"measure against; type --truth FOLDER, with images of the same names"
        )
    return ImageToImageEvaluator(task, how, truth_images(truth, images), images.image_names)


def _classify(
    bundle: Bundle,
    entry: ArtifactEntry,
    task: ClassifyTask,
    how: Preprocessing,
    images: ImageSet,
    annotations: Path | None,
) -> ClassificationEvaluator:
    output = score_output(entry.outputs, task.output)
    multi_label = task.score_kind == "sigmoid" and output.shape[-1] != 1
    known = classify_truth(images, bundle.labels, annotations, multi_label)
    if known is None:
        raise InputError(
            f"{images.name}: nothing tells the classes of its images, so there is nothing to measure "
            f"against; sort them into a folder a class"
        )
    return ClassificationEvaluator(
        task, bundle.labels, how, known, images.image_names, entry.score_calibration
    )
