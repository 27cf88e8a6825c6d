"""Evaluation of image-to-image models: similarity to the source's images, and to ground truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edgevision.backend import Session
from edgevision.bundle.known_answers import KnownImages
from edgevision.datasets.image_sets import ImageSet
from edgevision.evaluation.network_inputs import PreprocessedImages, known_images
from edgevision.imaging.preprocess import Preprocessing
from edgevision.metrics.changes import PixelChange, name_of
from edgevision.metrics.comparison import MOST_IMAGES, Comparison, GenerateDetails, Metric, pair
from edgevision.metrics.image_similarity import Pixels, psnr_db, ssim
from edgevision.metrics.intervals import Groups, share_by_image
from edgevision.metrics.measures import LastMeasures, Measures, MetricValue, mean_of
from edgevision.session import CheckedSession
from edgevision.tasks.description import GenerateTask
from edgevision.tasks.generation.image_to_image import ImageToImage
from edgevision.tensors import Array


class ImageToImageEvaluator:
    """Compares image-to-image models with their source; see `Evaluator`.

    Agreement is the mean structural similarity (SSIM) of the images of an artifact and of its source.

    Args:
        task: an ``image-to-image`` task.
        preprocessing: from an image to the source's input.
        truth: the expected output for each evaluation image, uint8 RGB, where known.
        image_names: names of the evaluation images, in their order.
        groups: group of each evaluation image, `None` if every image is its own.
    """

    labels: tuple[str, ...] = ()
    default_agreement: Mapping[str, float] = {
        "float32": 0.999,
        "float16": 0.99,
        "int16x8": 0.95,
        "int8-dynamic": 0.95,
        "int8-mixed": 0.90,
        "int8-float-io": 0.90,
        "int8": 0.90,
    }

    def __init__(
        self,
        task: GenerateTask,
        preprocessing: Preprocessing,
        truth: Sequence[Pixels] | None,
        image_names: Sequence[str] = (),
        groups: Groups | None = None,
    ) -> None:
        self.task = task
        self.groups = groups
        self.preprocessing = preprocessing
        self.truth = truth
        self._measures = None if truth is None else LastMeasures(partial(_measures, truth, groups=groups))
        self._image_names = image_names

    def model(self, session: CheckedSession) -> ImageToImage:
        """As `Evaluator.model`."""
        return ImageToImage(session, self.task, self.preprocessing)

    def answers(self, model: ImageToImage, images: Sequence[Array]) -> Sequence[Pixels]:
        """The output image for each image."""
        return [outputs[0] for outputs in model(list(images))]

    def network_inputs(self, source: Session, examples: ImageSet) -> PreprocessedImages:
        """As `Evaluator.network_inputs`."""
        return PreprocessedImages(source.inputs[0], self.preprocessing, examples)

    def known_inputs(self, source: Session, examples: ImageSet, places: Sequence[int]) -> KnownImages:
        """As `Evaluator.known_inputs`."""
        return known_images(self.preprocessing, examples, places)

    def compare(self, source: Sequence[Pixels], artifact: Sequence[Pixels]) -> Comparison:
        """As `compare_images`, with PSNR and SSIM against ground truth where known."""
        before, after = self.measure(source), self.measure(artifact)
        metrics = pair(before.metrics, after.metrics) if before and after else ()
        return compare_images(source, artifact, self._image_names, metrics, groups=self.groups)

    def measure(self, answers: Sequence[Pixels]) -> Measures | None:
        """As `MeasuringEvaluator.measure`: mean PSNR and SSIM; the error of an image is 1 - SSIM."""
        return None if self._measures is None else self._measures(answers)

    def representative(self, source: Sequence[Pixels], count: int) -> list[int]:
        """The images with the highest contrast: flat ones hide defects."""
        return most_contrast(source, count)


def compare_images(
    source: Sequence[Pixels],
    artifact: Sequence[Pixels],
    image_names: Sequence[str] = (),
    metrics: tuple[Metric, ...] = (),
    *,
    groups: Groups | None = None,
) -> Comparison:
    """Compare the images of an artifact with its source's; differences are fractions of 255.

    Agreement is the mean structural similarity. The interval of PSNR is left out where all images have the
    same, such as images that are all equal: these say nothing about others.

    Args:
        source, artifact: uint8 ``(h, w, c)``, one or more.
        image_names: names of the inputs.
        metrics: of both, against ground truth.
        groups: group of each image, `None` if every image is its own.
    """
    differences = [np.abs(a.astype(np.int16) - b) for a, b in zip(source, artifact, strict=True)]
    psnr, similarity = _psnr_and_ssim(source, artifact, groups)
    similar = share_by_image(np.clip(np.asarray(similarity.per_image), 0.0, 1.0))
    return Comparison(
        images=len(source),
        agreement=max(0.0, similarity.value),
        largest_difference=max(float(difference.max()) for difference in differences) / 255,
        mean_difference=float(np.mean([difference.mean() for difference in differences])) / 255,
        metrics=metrics,
        likeness={"SSIM": similarity.value, "PSNR, dB": psnr.value},
        agreement_interval=similar,
        likeness_intervals={"SSIM": similar, **({"PSNR, dB": psnr.interval} if psnr.interval else {})},
        details=_changes(
            similarity, psnr, [bool(difference.any()) for difference in differences], image_names
        ),
    )


def most_contrast(images: Sequence[Pixels], count: int) -> list[int]:
    """Places of up to `count` images with the highest standard deviation of their pixels."""
    contrast = np.array([float(image.std()) for image in images])
    return sorted(int(place) for place in np.argsort(-contrast, kind="stable")[:count])


def _changes(
    similarity: MetricValue, psnr: MetricValue, changed: Sequence[bool], image_names: Sequence[str]
) -> GenerateDetails:
    rows = zip(np.asarray(similarity.per_image).tolist(), np.asarray(psnr.per_image).tolist(), strict=True)
    changes = [
        PixelChange(name_of(image_names, place), round(one, 6), round(noise, 4))
        for place, (one, noise) in enumerate(rows)
        if changed[place]
    ]
    worst = sorted(changes, key=lambda change: (change.ssim, change.psnr_db))[:MOST_IMAGES]
    return GenerateDetails(len(changes), tuple(worst))


def _measures(
    truth: Sequence[Pixels], outputs: Sequence[Pixels], *, groups: Groups | None = None
) -> Measures:
    metrics = _psnr_and_ssim(truth, outputs, groups)
    return Measures(metrics, (), 1.0 - np.asarray(metrics[1].per_image, np.float64))


def _psnr_and_ssim(
    truth: Sequence[Pixels], outputs: Sequence[Pixels], groups: Groups | None
) -> tuple[MetricValue, MetricValue]:
    """Mean PSNR and mean SSIM."""
    return (
        mean_of("PSNR", _each(psnr_db, truth, outputs), "dB", groups=groups),
        mean_of("SSIM", _each(ssim, truth, outputs), groups=groups),
    )


def _each(
    measure: Callable[[Pixels, Pixels], float], first: Sequence[Pixels], second: Sequence[Pixels]
) -> NDArray[np.float64]:
    return np.array([measure(a, b) for a, b in zip(first, second, strict=True)])
