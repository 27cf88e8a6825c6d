"""Evaluation of segmentations: agreement by pixel and by region, and Dice, IoU and boundary F1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.tasks.api import (
    ClassMetricValues,
    Comparison,
    ImageEvaluator,
    ImageSet,
    ImageTaskEvaluation,
    InputError,
    Measures,
    MetricValue,
    NetworkFacts,
    Pixels,
    SourceModel,
    TileInputs,
    part_ratio,
    stated_output,
)
from edgevision_segment.description import SegmentTask
from edgevision_segment.model import Segmenter
from edgevision_segment.polygons import read_polygons
from edgevision_segment.recognition import described
from edgevision_segment.scores import labels_of
from edgevision_segment.segmentation import BACKGROUND, VOID, Segmentation
from edgevision_segment.truth import Mask, read_masks

Counts = NDArray[np.float64]
#: Share of an image's diagonal that an outline may be off.
_TOLERANCE = 0.0075
#: Regions of source and artifact are the same object from this IoU.
_SAME_OBJECT = 0.5
#: Pixels below which a region is no object.
_LEAST_OBJECT = 16


class SegmentationEvaluator(ImageEvaluator):
    """Compares segmentations with their source; see `edgevision.tasks.api.Evaluator`.

    The arguments are those of `ImageEvaluator`, with a mask of each evaluation image as its ground truth.
    """

    def network_inputs(self, source: Any, examples: ImageSet) -> Any:
        """As `Evaluator.network_inputs`; of a network that sees tiles, tiles of each image."""
        if self.task.overlap is None:
            return super().network_inputs(source, examples)
        return TileInputs(source.inputs[0], self.preprocessing, examples, self.task.overlap)

    def answers(self, model: Segmenter, images: Sequence[Any]) -> Sequence[Segmentation]:
        """The class map of each image, without scores."""
        found: Sequence[Segmentation] = model(list(images), scores=False)
        return found

    def compare(self, source: Sequence[Segmentation], artifact: Sequence[Segmentation]) -> Comparison:
        """As `Evaluator.compare`; a difference is the share of an image's pixels that changed."""
        pairs = [(one.class_map, other.class_map) for one, other in zip(source, artifact, strict=True)]
        same = np.array([float((a == b).mean()) for a, b in pairs])
        counts = _Counts.of(pairs, len(self.labels))
        objects = np.array([_objects(a, b, self._shown) for a, b in pairs]).reshape(-1, 2)
        shown = counts.present(self._shown)
        likeness = {}
        if objects[:, 1].any():
            likeness["objects in both"] = part_ratio("", objects[:, 0], objects[:, 1], groups=self.groups)
        if len(shown):
            dice = part_ratio("", *counts.dice(shown), groups=self.groups)
            likeness = {"Dice with the source": dice, **likeness}
        texts = [f"{100 * (1 - one):.2f} % of the pixels" for one in same]
        return self.compared(source, artifact, same, 1 - same, texts, likeness)

    def representative(self, source: Sequence[Segmentation], count: int) -> list[int]:
        """Images that together show every class, then those with the most classes."""
        classes = [set(np.flatnonzero(one.areas).tolist()) for one in source]
        order = sorted(range(len(source)), key=lambda place: -len(classes[place]))
        chosen: list[int] = []
        missing = set().union(*classes)
        while missing:
            chosen.append(max(order, key=lambda place: len(classes[place] & missing)))
            missing -= classes[chosen[-1]]
        return sorted(list(dict.fromkeys([*chosen, *order]))[:count])

    def picture(self, image: Pixels, answer: Segmentation) -> Pixels:
        """As `PicturingEvaluator.picture`."""
        return answer.draw(image)

    def truth_picture(self, image: Pixels, place: int) -> Pixels | None:
        """As `PicturingEvaluator.truth_picture`."""
        return None if self.truth is None else Segmentation(self.truth[place], self.labels).draw(image)

    @property
    def _shown(self) -> list[int]:
        """The classes but background; all, where there is nothing else."""
        shown = [number for number, label in enumerate(self.labels) if label != BACKGROUND]
        return shown or list(range(len(self.labels)))

    def measured(self, answers: Sequence[Segmentation]) -> Measures:
        """As `ImageEvaluator.measured`; the error of an image is 1 - the mean IoU of its classes."""
        pairs = list(zip(self.truth, (one.class_map for one in answers), strict=True))
        for place, (mask, found) in enumerate(pairs):
            if mask.shape != found.shape:
                name = self.image_names[place] if self.image_names else f"image {place}"
                raise InputError(
                    f"the mask of '{name}' is {mask.shape[1]}x{mask.shape[0]}, and the image "
                    f"{found.shape[1]}x{found.shape[0]}; expected the same size"
                )
        counts = _Counts.of(pairs, len(self.labels))
        shown = counts.present(self._shown)
        if not len(shown):
            raise InputError("the masks show none of the classes but background, so nothing can be measured")
        outlines = np.array([[_outlines(a, b, one) for one in shown] for a, b in pairs]).transpose(2, 0, 1)
        ratio = partial(part_ratio, groups=self.groups)
        metrics = [
            ratio("mean Dice", *counts.dice(shown)),
            ratio("mean IoU", *counts.iou(shown)),
            ratio("pixel accuracy", counts.same.sum(axis=1), counts.truth.sum(axis=1)),
        ]
        bounded = outlines[1].sum(axis=0) > 0
        if bounded.any():
            metrics.insert(2, ratio("boundary F1", outlines[0][:, bounded], outlines[1][:, bounded]))
        by_class = tuple(self._of_class(counts, number) for number in counts.present(range(len(self.labels))))
        return Measures(tuple(metrics), by_class, counts.errors(shown), notes=_notes(self.truth))

    def _of_class(self, counts: _Counts, number: int) -> ClassMetricValues:
        parts: list[MetricValue] = [
            part_ratio("IoU", *counts.iou([number]), groups=self.groups),
            part_ratio("Dice", *counts.dice([number]), groups=self.groups),
        ]
        support = int((counts.truth[:, number] > 0).sum())
        return ClassMetricValues(self.labels[number], support, tuple(parts))


class SegmentEvaluation(ImageTaskEvaluation):
    """As `edgevision.tasks.api.TaskEvaluation`."""

    evaluator = SegmentationEvaluator
    truth_help = "FOLDER, with a PNG of class numbers for each image, or a COCO FILE.json"
    annotation_suffix = ".json"

    def described(self, network: NetworkFacts) -> SegmentTask:
        """As `ImageTaskEvaluation.described`."""
        return described(network)

    def labels(self, task: SegmentTask, stated: tuple[str, ...], model: SourceModel) -> tuple[str, ...]:
        """As `ImageTaskEvaluation.labels`: with background where it is left out."""
        return labels_of(stated, stated_output(model.source.outputs, task.output, "the classes"), task)

    def read_truth(
        self, path: Path, images: ImageSet, task: SegmentTask, labels: tuple[str, ...]
    ) -> Sequence[Mask]:
        """As `ImageTaskEvaluation.read_truth`."""
        read = read_polygons if path.suffix.lower() == ".json" else read_masks
        return read(path, images, labels)


@dataclass(frozen=True, eq=False)
class _Counts:
    """Pixels of each class, each float64 ``(images, classes)``; void pixels of the first maps are left out.

    Attributes:
        same: in both maps.
        truth: in the first.
        found: in the second.
    """

    same: Counts
    truth: Counts
    found: Counts

    @classmethod
    def of(cls, pairs: Sequence[tuple[Mask, Mask]], classes: int) -> _Counts:
        """Count the pixels of pairs of class maps of one size each."""
        rows = []
        for truth, found in pairs:
            known = truth != VOID
            first, second = truth[known], found[known]
            same = np.bincount(first[first == second], minlength=256)
            rows.append([same, *(np.bincount(one, minlength=256) for one in (first, second))])
        counts = np.array(rows, np.float64).reshape(-1, 3, 256)[:, :, :classes]
        return cls(*(counts[:, place] for place in range(3)))

    def present(self, classes: Sequence[int]) -> list[int]:
        """The classes, of these, that the first maps have."""
        support = self.truth.sum(axis=0)
        return [one for one in classes if support[one] > 0]

    def dice(self, classes: Sequence[int]) -> tuple[Counts, Counts]:
        """The parts of Dice: ``(images, classes)`` each."""
        return 2 * self.same[:, classes], self.truth[:, classes] + self.found[:, classes]

    def iou(self, classes: Sequence[int]) -> tuple[Counts, Counts]:
        """The parts of IoU: ``(images, classes)`` each."""
        same = self.same[:, classes]
        return same, self.truth[:, classes] + self.found[:, classes] - same

    def errors(self, classes: Sequence[int]) -> Counts:
        """For each image, 1 - the mean IoU of the classes that either map has; 0 where none has any."""
        same, either = self.iou(classes)
        has = either > 0
        ratios = np.divide(same, either, out=np.zeros_like(same), where=has)
        means = ratios.sum(axis=1) / np.maximum(1, has.sum(axis=1))
        return np.where(has.any(axis=1), 1.0 - means, 0.0)


def _outlines(truth: Mask, found: Mask, number: int) -> tuple[float, float]:
    """Pixels of both outlines of a class that are near the other, and of both outlines."""
    known = truth != VOID
    outlines = [_outline((one == number) & known) for one in (truth, found)]
    reach = max(1, round(_TOLERANCE * float(np.hypot(*truth.shape))))
    size = 2 * reach + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    near = [cv2.dilate(one, disk) for one in outlines]
    close = int((outlines[0] & near[1]).sum()) + int((outlines[1] & near[0]).sum())
    return float(close), float(sum(int(one.sum()) for one in outlines))


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Pixels of a mask with a neighbour outside it; the edge of the image is no outline."""
    pixels = mask.astype(np.uint8)
    inner = cv2.erode(pixels, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(pixels - inner, np.uint8)


def _objects(source: Mask, artifact: Mask, classes: Sequence[int]) -> tuple[float, float]:
    """Twice the number of regions that two maps share, and the number of regions of both."""
    shared = total = 0
    for number in classes:
        masks = [(one == number).astype(np.uint8) for one in (source, artifact)]
        regions = [cv2.connectedComponentsWithStats(one)[1:3] for one in masks]
        (first, stats), (second, others) = regions
        areas, other_areas = stats[:, cv2.CC_STAT_AREA], others[:, cv2.CC_STAT_AREA]
        large, other_large = areas >= _LEAST_OBJECT, other_areas >= _LEAST_OBJECT
        large[0] = other_large[0] = False
        total += int(large.sum()) + int(other_large.sum())
        both = np.bincount((first.astype(np.int64) * len(other_areas) + second).reshape(-1))
        overlaps = np.zeros(len(areas) * len(other_areas))
        overlaps[: len(both)] = both
        overlap = overlaps.reshape(len(areas), len(other_areas))
        either = areas[:, None] + other_areas[None] - overlap
        same = (overlap / np.maximum(1, either) > _SAME_OBJECT) & large[:, None] & other_large[None]
        shared += 2 * int(same.sum())
    return float(shared), float(total)


def _notes(truth: Sequence[Mask]) -> tuple[str, ...]:
    void = float(np.mean([(mask == VOID).mean() for mask in truth]))
    return (f"{100 * void:.1f} % of the pixels of the masks are left out (255)",) if void > 0 else ()
