"""Evaluation of image-to-image models: similarity to the source's images, and to ground truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.bundle.pictures import INPUT, SOURCE, TRUTH
from edgevision.drawing.results import enlarged
from edgevision.evaluation.network_inputs import ImageInputs
from edgevision.evaluation.task_evaluation import GENERATED_PICTURES
from edgevision.imaging.preprocess import Preprocessing
from edgevision.metrics.changes import PixelChange, name_of
from edgevision.metrics.comparison import MOST_IMAGES, Comparison, GenerateDetails, pair
from edgevision.metrics.image_similarity import HIGHEST_PSNR_DB, Pixels, has_small_window, psnr_db, ssim
from edgevision.metrics.intervals import Groups, share_by_image
from edgevision.metrics.measures import LastMeasures, Measures, MetricValue, Values, mean_of
from edgevision.session import CheckedSession
from edgevision.tasks.description import GenerateTask
from edgevision.tasks.generation.image_to_image import ImageToImage
from edgevision.tensors import Array

Floats = NDArray[np.float64]


class ImageToImageEvaluator(ImageInputs):
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

    picture_limits = GENERATED_PICTURES

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

    def compare(self, source: Sequence[Pixels], artifact: Sequence[Pixels]) -> Comparison:
        """As `compare_images`, with PSNR and SSIM against ground truth where known."""
        before, after = self.measure(source), self.measure(artifact)
        comparison = compare_images(source, artifact, self._image_names, groups=self.groups)
        if before is None or after is None:
            return comparison
        metrics = pair(before.metrics, after.metrics)
        notes = dict.fromkeys((*before.notes, *after.notes, *comparison.notes))
        return replace(comparison, metrics=metrics, notes=tuple(notes))

    def measure(self, answers: Sequence[Pixels]) -> Measures | None:
        """As `MeasuringEvaluator.measure`: mean PSNR and SSIM; the error of an image is 1 - SSIM."""
        return None if self._measures is None else self._measures(answers)

    def picture(self, image: Any, answer: Pixels) -> Any:
        """As `PicturingEvaluator.picture`: the answer itself."""
        return enlarged(answer)[0]

    def truth_picture(self, image: Any, place: int) -> Any:
        """As `PicturingEvaluator.truth_picture`."""
        return None if self.truth is None else enlarged(self.truth[place])[0]

    def compared_pictures(
        self, image: Any, place: int, source: Pixels, artifacts: Mapping[str, Pixels]
    ) -> Mapping[str, Any]:
        """As `ComparingEvaluator.compared_pictures`: the input, what is expected, and each model's image."""
        truth = {} if self.truth is None else {TRUTH: self.truth[place]}
        return {INPUT: image, **truth, SOURCE: source, **artifacts}

    def representative(self, source: Sequence[Pixels], count: int) -> list[int]:
        """The images with the highest contrast: flat ones hide defects."""
        return most_contrast(source, count)


def compare_images(
    source: Sequence[Pixels],
    artifact: Sequence[Pixels],
    image_names: Sequence[str] = (),
    *,
    groups: Groups | None = None,
) -> Comparison:
    """Compare the images of an artifact with its source's; differences are fractions of 255.

    Agreement is the mean structural similarity. The PSNR of two equal images is infinite: the mean PSNR is
    that of the images that differ, and there is none if no image differs.

    Args:
        source, artifact: uint8 ``(h, w, c)``, one or more.
        image_names: names of the inputs.
        groups: group of each image, `None` if every image is its own.
    """
    differences = [np.abs(a.astype(np.int16) - b) for a, b in zip(source, artifact, strict=True)]
    noise, similarities = _each(psnr_db, source, artifact), _each(ssim, source, artifact)
    psnr = _mean_psnr(noise, groups)
    similar = share_by_image(np.clip(similarities, 0.0, 1.0), groups=groups)
    similarity = float(similarities.mean())
    return Comparison(
        images=len(source),
        agreement=max(0.0, similarity),
        largest_difference=max(float(difference.max()) for difference in differences) / 255,
        mean_difference=float(np.mean([difference.mean() for difference in differences])) / 255,
        likeness={"SSIM": similarity, **({} if psnr is None else {"PSNR, dB": psnr.value})},
        agreement_interval=similar,
        likeness_intervals={
            "SSIM": similar,
            **({} if psnr is None or psnr.interval is None else {"PSNR, dB": psnr.interval}),
        },
        details=_changes(
            similarities, noise, [bool(difference.any()) for difference in differences], image_names
        ),
        notes=(*_equal_notes(noise, "the source's"), *_window_notes(source)),
    )


def most_contrast(images: Sequence[Pixels], count: int) -> list[int]:
    """Places of up to `count` images with the highest standard deviation of their pixels."""
    contrast = np.array([float(image.std()) for image in images])
    return sorted(int(place) for place in np.argsort(-contrast, kind="stable")[:count])


def _changes(
    similarities: Floats, noise: Floats, changed: Sequence[bool], image_names: Sequence[str]
) -> GenerateDetails:
    rows = zip(similarities.tolist(), noise.tolist(), strict=True)
    changes = [
        PixelChange(name_of(image_names, place), round(one, 6), round(decibels, 4))
        for place, (one, decibels) in enumerate(rows)
        if changed[place]
    ]
    worst = sorted(changes, key=lambda change: (change.ssim, change.psnr_db))[:MOST_IMAGES]
    return GenerateDetails(len(changes), tuple(worst))


def _measures(
    truth: Sequence[Pixels], outputs: Sequence[Pixels], *, groups: Groups | None = None
) -> Measures:
    """Mean PSNR, of the images that differ from the ground truth, and mean SSIM."""
    noise, similarities = _each(psnr_db, truth, outputs), _each(ssim, truth, outputs)
    psnr = _mean_psnr(noise, groups)
    similarity = mean_of("SSIM", similarities, groups=groups)
    if psnr is None:  # infinite, which JSON cannot express; without an interval, nothing is shown by it
        psnr = MetricValue("PSNR", HIGHEST_PSNR_DB, None, "dB", Values(noise, 0.0, HIGHEST_PSNR_DB, groups))
    notes = _equal_notes(noise, "the ground truth")
    return Measures((psnr, similarity), (), 1.0 - similarities, notes=notes)


def _mean_psnr(noise: Floats, groups: Groups | None) -> MetricValue | None:
    if not np.isfinite(noise).any():
        return None
    return mean_of("PSNR", noise, "dB", highest=HIGHEST_PSNR_DB, groups=groups)


def _window_notes(images: Sequence[Pixels]) -> tuple[str, ...]:
    if not any(map(has_small_window, images)):
        return ()
    return ("SSIM of images with a side of less than 11 pixels has a uniform window of 7x7 pixels",)


def _equal_notes(noise: Floats, to: str) -> tuple[str, ...]:
    equal = int(np.isinf(noise).sum())
    if equal == 0:
        return ()
    infinite = (
        f"output images that are equal to {to}: {equal} of {len(noise)}; their PSNR is infinite and is "
    )
    if equal < len(noise):
        return (infinite + "not in the mean",)
    return (infinite + f"shown as {HIGHEST_PSNR_DB:g} dB, if at all",)


def _each(
    measure: Callable[[Pixels, Pixels], float], first: Sequence[Pixels], second: Sequence[Pixels]
) -> Floats:
    return np.array([measure(a, b) for a, b in zip(first, second, strict=True)])
