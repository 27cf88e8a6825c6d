"""Evaluation of maps of values: agreement by pixel, MAE, RMSE, AbsRel and delta < 1.25."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.tasks.api import (
    Comparison,
    ImageEvaluator,
    ImageSet,
    ImageTaskEvaluation,
    InputError,
    Measures,
    NetworkFacts,
    Pixels,
    mean_error,
    mean_of,
)
from edgevision_regress.depth import DepthMap, DepthTask, Values
from edgevision_regress.depth_recognition import described
from edgevision_regress.depth_truth import read_maps
from edgevision_regress.root_mean_square import root_mean_square

Floats = NDArray[np.float64]
#: Of the ratio of two values that are alike (Eigen, Puhrsch and Fergus 2014).
_RATIO = 1.25


class DepthEvaluator(ImageEvaluator):
    """Compares maps with their source; its ground truth is a map for each image, NaN for no value."""

    def compare(self, source: Sequence[DepthMap], artifact: Sequence[DepthMap]) -> Comparison:
        """As `Evaluator.compare`; differences are shares of the range, averaged over pixels."""
        shares = np.array(
            [
                np.nanmean(np.abs(a.values.astype(np.float64) - b.values)) / self.task.width
                for a, b in zip(artifact, source, strict=True)
            ]
        )
        texts = [f"{a.lines()[0]} instead of {b.lines()[0]}" for a, b in zip(artifact, source, strict=True)]
        return self.compared(source, artifact, 1 - np.minimum(shares, 1.0), shares, texts)

    def measured(self, answers: Sequence[DepthMap]) -> Measures:
        """As `ImageEvaluator.measured`; each image counts alike, whatever its number of pixels."""
        task, groups = self.task, self.groups
        pairs = [self._pair(answer, place) for place, answer in enumerate(answers)]
        errors = [np.abs(found - truth) for found, truth in pairs]
        means = np.array([one.mean() for one in errors])
        squares = np.array([(one**2).mean() for one in errors])
        unit = task.unit or "(no unit)"
        metrics = [
            mean_error("MAE", means, unit, largest=task.width, groups=groups),
            root_mean_square(squares, task.width, unit, groups),
        ]
        notes = []
        if min(float(truth.min()) for _, truth in pairs) > 0:
            relative = np.array([(error / t).mean() for error, (_, t) in zip(errors, pairs, strict=True)])
            least = min(float(truth.min()) for _, truth in pairs)
            metrics.append(mean_error("AbsRel", relative, "share", largest=task.width / least, groups=groups))
            near = np.array([_near(*pair).mean() for pair in pairs])
            metrics.append(mean_of(f"delta<{_RATIO}", near, lowest=0.0, groups=groups))
        else:
            notes.append("some values are below 0, so that AbsRel and delta are not defined")
        void = float(np.mean([np.isnan(one).mean() for one in self.truth]))
        if void > 0:
            notes.append(f"{100 * void:.1f} % of the pixels of the ground truth have no value")
        return Measures(tuple(metrics), (), means / task.width, notes=tuple(notes))

    def _pair(self, answer: DepthMap, place: int) -> tuple[Floats, Floats]:
        """The values and the ground truth, float64 ``(n,)``, of the pixels that have both."""
        truth = self._truth_of(answer.values.shape, place)
        known = ~np.isnan(truth) & ~np.isnan(answer.values)
        if not known.any():
            name = self.image_names[place] if self.image_names else str(place)
            raise InputError(f"the ground truth of '{name}' has no value at a pixel that the network sees")
        return answer.values[known].astype(np.float64), truth[known].astype(np.float64)

    def _truth_of(self, size_hw: tuple[int, ...], place: int) -> Values:
        truth: Values = self.truth[place]
        if truth.shape == size_hw:
            return truth
        height, width = size_hw
        if abs(truth.shape[0] * width - truth.shape[1] * height) > max(truth.shape):
            name = self.image_names[place] if self.image_names else str(place)
            raise InputError(
                f"the ground truth of '{name}' is {truth.shape[1]}x{truth.shape[0]}, and the image "
                f"{width}x{height}"
            )
        # No value between two: of an edge, the mean of what is before it and behind it is neither.
        return np.asarray(cv2.resize(truth, (width, height), interpolation=cv2.INTER_NEAREST_EXACT))

    def picture(self, image: Pixels, answer: DepthMap) -> Pixels:
        """As `PicturingEvaluator.picture`."""
        return answer.draw(image)

    def truth_picture(self, image: Pixels, place: int) -> Pixels | None:
        """As `PicturingEvaluator.truth_picture`."""
        if self.truth is None:
            return None
        return DepthMap(self._truth_of(image.shape[:2], place), self.task).draw(image)


class DepthEvaluation(ImageTaskEvaluation):
    """As `edgevision.tasks.api.TaskEvaluation`."""

    evaluator = DepthEvaluator
    truth_help = "FOLDER, with a .npy, .npz, float .tiff or 16-bit .png for each image"

    def described(self, network: NetworkFacts) -> DepthTask:
        """As `ImageTaskEvaluation.described`."""
        return described(network)

    def read_truth(
        self, path: Path, images: ImageSet, task: DepthTask, labels: tuple[str, ...]
    ) -> list[Values]:
        """As `ImageTaskEvaluation.read_truth`."""
        return read_maps(path, images, task)


def _near(found: Floats, truth: Floats) -> NDArray[np.bool_]:
    """True for pairs of which the larger is less than `_RATIO` times the other, of a truth above 0."""
    return np.asarray((found < _RATIO * truth) & (truth < _RATIO * found))
