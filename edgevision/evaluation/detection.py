"""Evaluation of detectors: agreement of their boxes, and COCO metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.bundle.pictures import SOURCE, TRUTH
from edgevision.datasets.annotations import Annotations
from edgevision.decoder import Decoder
from edgevision.drawing.results import draw_detections, outline_detections
from edgevision.drawing.sizes import shrunk
from edgevision.evaluation.network_inputs import ImageInputs
from edgevision.imaging.frame import Frame
from edgevision.imaging.pixels import Pixels
from edgevision.imaging.placement import placement_of
from edgevision.imaging.preprocess import Preprocessing
from edgevision.metrics.box_matching import Match, match
from edgevision.metrics.changes import BoxChange, name_of
from edgevision.metrics.coco import detect_measures
from edgevision.metrics.comparison import (
    MOST_IMAGES,
    Comparison,
    DetectDetails,
    pair,
    pair_classes,
)
from edgevision.metrics.intervals import Groups, Interval, share_by_image
from edgevision.metrics.measures import LastMeasures, Measures
from edgevision.session import CheckedSession
from edgevision.tasks.description import DetectTask
from edgevision.tasks.detect import Detector
from edgevision.tasks.detections import Detections
from edgevision.tensors import Array

#: COCO metrics include boxes far below any practical threshold, and a hundred per image.
_LEAST_SCORE = 0.01
_MOST = 100
_WHOLE = np.float32(1.0)


class DetectionEvaluator(ImageInputs):
    """Compares detectors with their source; see `Evaluator`.

    Two boxes of source and artifact match if they have the same class and an IoU of at least 0.5, both above
    the score threshold. Agreement is the share of all boxes that have a match (F1).

    Args:
        task: decoder, its settings and the thresholds.
        decoder: the decoder that `task` names.
        labels: one name per class.
        preprocessing: from an image to the source's input.
        truth: the objects in each evaluation image, where known.
        image_names: names of the evaluation images, in their order.
        groups: group of each evaluation image, `None` if every image is its own.
    """

    #: Rounding alone moves boxes across the threshold, so less is required than of a top class.
    default_agreement: Mapping[str, float] = {
        "float32": 0.99,
        "float16": 0.97,
        "int16x8": 0.95,
        "int8-dynamic": 0.95,
        "int8-mixed": 0.90,
        "int8-float-io": 0.90,
        "int8": 0.90,
    }

    #: Boxes need larger pictures.
    picture_limits = 12, 400

    def __init__(
        self,
        task: DetectTask,
        decoder: Decoder,
        labels: tuple[str, ...],
        preprocessing: Preprocessing,
        truth: Sequence[Annotations] | None,
        image_names: Sequence[str] = (),
        groups: Groups | None = None,
    ) -> None:
        self.task = task
        self.groups = groups
        self.labels = labels
        self.preprocessing = preprocessing
        self.truth = truth
        self._decoder = decoder
        self._image_names = image_names
        self._measures = (
            None
            if truth is None
            else LastMeasures(
                partial(
                    detect_measures,
                    truth,
                    labels=labels,
                    score_threshold=task.score_threshold,
                    groups=groups,
                )
            )
        )
        least = min(_LEAST_SCORE, task.score_threshold)
        self._all = replace(task, score_threshold=least, max_detections=max(_MOST, task.max_detections))

    def model(self, session: CheckedSession) -> Detector:
        """As `Evaluator.model`."""
        return Detector(session, self.preprocessing, self.labels, self.task, self._decoder)

    def answers(self, model: Detector, images: Sequence[Array]) -> Sequence[Detections]:
        """All detections in each image, including those far below the threshold."""
        return model.detect_batch(images, task=self._all)

    def resized_answers(
        self, model: Detector, frames: Sequence[Frame], sizes_wh: Sequence[tuple[int, int]]
    ) -> Sequence[Detections]:
        """As `SampledEvaluator.resized_answers`."""
        found = model.detect_batch(list(frames), task=self._all)
        placements = [placement_of(self.preprocessing, size_wh) for size_wh in sizes_wh]
        return [
            replace(one, boxes_xyxy=placement.to_image(one.boxes_xyxy))
            for one, placement in zip(found, placements, strict=True)
        ]

    def at(self, places: Sequence[int]) -> DetectionEvaluator:
        """The evaluator of some of the evaluation images, by their indices."""
        return DetectionEvaluator(
            self.task,
            self._decoder,
            self.labels,
            self.preprocessing,
            None if self.truth is None else [self.truth[place] for place in places],
            [self._image_names[place] for place in places] if self._image_names else (),
            groups=None if self.groups is None else self.groups[list(places)],
        )

    def compare(self, source: Sequence[Detections], artifact: Sequence[Detections]) -> Comparison:
        """As `Evaluator.compare`; the differences are those of the scores of matched boxes."""
        shown = [self._shown(boxes) for boxes in source], [self._shown(boxes) for boxes in artifact]
        pairs = [match(a, b) for a, b in zip(*shown, strict=True)]
        differences = np.concatenate([matched.score_differences for matched in pairs])
        before, after = self.measure(source), self.measure(artifact)
        return Comparison(
            images=len(source),
            agreement=_agreement(pairs),
            largest_difference=float(differences.max(initial=0.0)),
            mean_difference=float(differences.mean()) if len(differences) else 0.0,
            metrics=pair(before.metrics, after.metrics) if before and after else (),
            agreement_interval=_agreement_interval(pairs, self.groups),
            by_class=pair_classes(before.by_class, after.by_class) if before and after else (),
            details=self._changes(*shown, pairs),
            notes=before.notes if before else (),
        )

    def measure(self, answers: Sequence[Detections]) -> Measures | None:
        """As `MeasuringEvaluator.measure`."""
        return None if self._measures is None else self._measures(answers)

    def representative(self, source: Sequence[Detections], count: int) -> list[int]:
        """Images that together show every class, then those with the most classes and objects."""
        classes = [set(self._shown(boxes).class_ids.tolist()) for boxes in source]
        order = sorted(range(len(source)), key=lambda n: (-len(classes[n]), -len(self._shown(source[n]))))
        chosen: list[int] = []
        missing = set().union(*classes)
        while missing:
            chosen.append(max(order, key=lambda n: len(classes[n] & missing)))
            missing -= classes[chosen[-1]]
        return sorted(list(dict.fromkeys([*chosen, *order]))[:count])

    def picture(self, image: Pixels, answer: Detections) -> Pixels:
        """As `PicturingEvaluator.picture`: the detections that a call of the model would return."""
        return draw_detections(image, self._shown(answer))

    def truth_picture(self, image: Pixels, place: int) -> Pixels | None:
        """As `PicturingEvaluator.truth_picture`."""
        if self.truth is None:
            return None
        return draw_detections(image, self._objects(place), scores=False)

    def compared_pictures(
        self, image: Pixels | None, place: int, source: Detections, artifacts: Mapping[str, Detections]
    ) -> Mapping[str, Pixels]:
        """As `ComparingEvaluator.compared_pictures`.

        Boxes that both models have get thin outlines; unmatched boxes get thick ones and a label.
        """
        if image is None:
            return {}
        small = shrunk(image, self.picture_limits[1])
        factor = np.float32(small.shape[1] / image.shape[1])
        first = _scaled(self._shown(source), factor)
        others = {name: _scaled(self._shown(boxes), factor) for name, boxes in artifacts.items()}
        matches = {name: match(first, boxes) for name, boxes in others.items()}
        lost = np.unique(np.concatenate([pair.lost for pair in matches.values()]))
        shown = {} if self.truth is None else {TRUTH: outline_detections(small, self._objects(place, factor))}
        shown[SOURCE] = _drawn(small, first, lost)
        return {
            **shown,
            **{name: _drawn(small, boxes, matches[name].gained) for name, boxes in others.items()},
        }

    def _objects(self, place: int, factor: np.float32 = _WHOLE) -> Detections:
        """The ground truth of an image as detections, scaled."""
        objects = (self.truth or [])[place]
        scores = np.ones(len(objects.class_ids), np.float32)
        boxes = (objects.boxes_xyxy * factor).astype(np.float32)
        return Detections(boxes, scores, objects.class_ids, self.labels)

    def _shown(self, detections: Detections) -> Detections:
        return detections[detections.scores >= self.task.score_threshold][: self.task.max_detections]

    def _changes(
        self, source: Sequence[Detections], artifact: Sequence[Detections], pairs: Sequence[Match]
    ) -> DetectDetails:
        sizes = np.array([len(one.lost) + len(one.gained) for one in pairs])
        worst = np.argsort(-sizes, kind="stable")[: min(MOST_IMAGES, int((sizes > 0).sum()))]
        return DetectDetails(
            changed=int((sizes > 0).sum()),
            changes=tuple(
                BoxChange(
                    name_of(self._image_names, place),
                    len(pairs[place].score_differences),
                    source[place][pairs[place].lost].labels,
                    artifact[place][pairs[place].gained].labels,
                )
                for place in worst.tolist()
            ),
        )


def _agreement(pairs: Sequence[Match]) -> float:
    matched = sum(len(one.score_differences) for one in pairs)
    boxes = sum(one.boxes for one in pairs)
    return 2 * matched / boxes if boxes else 1.0


def _agreement_interval(pairs: Sequence[Match], groups: Groups | None) -> Interval:
    matched = np.array([2 * len(one.score_differences) for one in pairs])
    return share_by_image(matched, np.array([one.boxes for one in pairs]), groups=groups)


def _drawn(image: Pixels, detections: Detections, unmatched: NDArray[Any]) -> Pixels:
    outlined = outline_detections(outline_detections(image, detections), detections[unmatched], line=3)
    return draw_detections(outlined, detections[unmatched])


def _scaled(detections: Detections, factor: np.float32) -> Detections:
    return replace(detections, boxes_xyxy=detections.boxes_xyxy * factor)
