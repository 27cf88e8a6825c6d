"""Proves networks that make an image of an image: the same pixels, and as near to the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edgevision.backend import Session
from edgevision.evaluation.comparison import Comparison, Metric
from edgevision.evaluation.image_metrics import Pixels, psnr_db, ssim
from edgevision.evaluation.image_sets import ImageSet
from edgevision.evaluation.network_inputs import PreprocessedImages, known_images
from edgevision.preprocess import Preprocessing
from edgevision.selftest import KnownImages
from edgevision.session import CheckedSession
from edgevision.tasks.description import GenerateTask
from edgevision.tasks.image_to_image import ImageToImage
from edgevision.tensors import Array


class ImageToImageProof:
    """Proves artifacts that make an image of an image; see `TaskProof`.

    Agreement is the mean structural similarity (SSIM) of an artifact's image and its source's.

    Args:
        task: of the kind ``image-to-image``.
        preprocessing: from an image to the source's input.
        truth: what the network should make of each evaluation image, uint8 RGB, where known.
    """

    labels: tuple[str, ...] = ()
    least_agreement: Mapping[str, float] = {
        "float32": 0.999,
        "float16": 0.99,
        "int16x8": 0.95,
        "int8-dynamic": 0.95,
        "int8-mixed": 0.90,
        "int8-float-io": 0.90,
        "int8": 0.90,
    }

    def __init__(
        self, task: GenerateTask, preprocessing: Preprocessing, truth: Sequence[Pixels] | None
    ) -> None:
        self.task = task
        self.preprocessing = preprocessing
        self._truth = truth

    def model(self, session: CheckedSession) -> ImageToImage:
        """As `TaskProof.model`."""
        return ImageToImage(session, self.task, self.preprocessing)

    def answers(self, model: ImageToImage, images: Sequence[Array]) -> Sequence[Pixels]:
        """The image that is made of each image."""
        return [made[0] for made in model(list(images))]

    def network_inputs(self, source: Session, examples: ImageSet) -> PreprocessedImages:
        """As `TaskProof.network_inputs`."""
        return PreprocessedImages(source.inputs[0], self.preprocessing, examples)

    def questions(self, source: Session, examples: ImageSet, places: Sequence[int]) -> KnownImages:
        """As `TaskProof.questions`."""
        return known_images(self.preprocessing, examples, places)

    def compare(self, source: Sequence[Pixels], artifact: Sequence[Pixels]) -> Comparison:
        """As `compare_images`, with what the network should make where that is known."""
        return compare_images(source, artifact, self._metrics(source, artifact))

    def telling(self, source: Sequence[Pixels], count: int) -> list[int]:
        """The images with the most contrast: a flat one shows no fault."""
        return most_contrast(source, count)

    def _metrics(self, source: Sequence[Pixels], artifact: Sequence[Pixels]) -> tuple[Metric, ...]:
        truth = self._truth
        if truth is None:
            return ()
        return (
            Metric("PSNR", _mean(psnr_db, truth, source), _mean(psnr_db, truth, artifact), "dB"),
            Metric("SSIM", _mean(ssim, truth, source), _mean(ssim, truth, artifact)),
        )


def compare_images(
    source: Sequence[Pixels], artifact: Sequence[Pixels], metrics: tuple[Metric, ...] = ()
) -> Comparison:
    """Compare images that an artifact made with its source's; differences are shares of 255.

    Agreement is the mean structural similarity.

    Args:
        source, artifact: uint8 ``(h, w, c)``, one or more.
        metrics: against the truth.
    """
    pairs = list(zip(source, artifact, strict=True))
    differences = [np.abs(a.astype(np.int16) - b) for a, b in pairs]
    likeness = {"SSIM": _mean(ssim, source, artifact), "PSNR, dB": _mean(psnr_db, source, artifact)}
    return Comparison(
        images=len(source),
        agreement=max(0.0, likeness["SSIM"]),
        largest_difference=max(float(one.max()) for one in differences) / 255,
        mean_difference=float(np.mean([one.mean() for one in differences])) / 255,
        metrics=metrics,
        likeness=likeness,
    )


def most_contrast(images: Sequence[Pixels], count: int) -> list[int]:
    """Places of up to `count` images, those with the highest deviation of their pixels."""
    contrast = np.array([float(image.std()) for image in images])
    return sorted(int(place) for place in np.argsort(-contrast, kind="stable")[:count])


def _mean(
    measure: Callable[[Pixels, Pixels], float], first: Sequence[Pixels], second: Sequence[Pixels]
) -> float:
    return float(np.mean([measure(a, b) for a, b in zip(first, second, strict=True)]))
