"""Proves detectors: the same objects at the same places, and as good against the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from edgevision.backend import Session
from edgevision.decoder import Decoder
from edgevision.evaluation.annotations import Annotations
from edgevision.evaluation.comparison import Comparison, Metric
from edgevision.evaluation.detection_metrics import coco_figures, match
from edgevision.evaluation.image_sets import ImageSet
from edgevision.evaluation.network_inputs import PreprocessedImages, known_images
from edgevision.preprocess import Preprocessing
from edgevision.selftest import KnownImages
from edgevision.session import CheckedSession
from edgevision.tasks.description import DetectTask
from edgevision.tasks.detect import Detector
from edgevision.tasks.detections import Detections
from edgevision.tensors import Array

#: COCO's figures look at boxes far below any threshold of use, and at a hundred an image.
_LEAST_SCORE = 0.01
_MOST = 100


class DetectProof:
    """Proves artifacts that detect; see `TaskProof`.

    A decision is a box: an artifact takes it alike if it has a box of the same class that
    overlaps it by half (IoU), both above the score threshold. Agreement is the share of boxes of
    the two that are so matched (F1).

    Args:
        task: decoder, its settings and the thresholds.
        decoder: that `task` names.
        labels: one name a class.
        preprocessing: from an image to the source's input.
        truth: the objects in each evaluation image, where known.
    """

    #: Boxes near the threshold come and go with the least rounding; so less is demanded than of a top class.
    least_agreement: Mapping[str, float] = {
        "float32": 0.99,
        "float16": 0.97,
        "int16x8": 0.95,
        "int8-dynamic": 0.95,
        "int8-mixed": 0.90,
        "int8-float-io": 0.90,
        "int8": 0.90,
    }

    def __init__(
        self,
        task: DetectTask,
        decoder: Decoder,
        labels: tuple[str, ...],
        preprocessing: Preprocessing,
        truth: Sequence[Annotations] | None,
    ) -> None:
        self.task = task
        self.labels = labels
        self.preprocessing = preprocessing
        self._decoder = decoder
        self._truth = truth
        least = min(_LEAST_SCORE, task.score_threshold)
        self._all = replace(task, score_threshold=least, max_detections=max(_MOST, task.max_detections))

    def model(self, session: CheckedSession) -> Detector:
        """As `TaskProof.model`."""
        return Detector(session, self.preprocessing, self.labels, self.task, self._decoder)

    def answers(self, model: Detector, images: Sequence[Array]) -> Sequence[Detections]:
        """All that is found in each image, far below the threshold too."""
        return model.detect_batch(images, task=self._all)

    def network_inputs(self, source: Session, examples: ImageSet) -> PreprocessedImages:
        """As `TaskProof.network_inputs`."""
        return PreprocessedImages(source.inputs[0], self.preprocessing, examples)

    def questions(self, source: Session, examples: ImageSet, places: Sequence[int]) -> KnownImages:
        """As `TaskProof.questions`."""
        return known_images(self.preprocessing, examples, places)

    def compare(self, source: Sequence[Detections], artifact: Sequence[Detections]) -> Comparison:
        """As `TaskProof.compare`; differences are those of the scores of matched boxes."""
        pairs = [match(self._shown(a), self._shown(b)) for a, b in zip(source, artifact, strict=True)]
        matched = sum(len(pair.score_differences) for pair in pairs)
        boxes = sum(pair.boxes for pair in pairs)
        differences = np.concatenate([pair.score_differences for pair in pairs])
        return Comparison(
            images=len(source),
            agreement=2 * matched / boxes if boxes else 1.0,
            largest_difference=float(differences.max(initial=0.0)),
            mean_difference=float(differences.mean()) if len(differences) else 0.0,
            metrics=self._metrics(source, artifact),
        )

    def telling(self, source: Sequence[Detections], count: int) -> list[int]:
        """The images with the most classes, and of these with the most objects."""
        shown = [self._shown(found) for found in source]
        order = sorted(
            range(len(shown)), key=lambda n: (-len(set(shown[n].class_ids.tolist())), -len(shown[n]))
        )
        return sorted(order[:count])

    def _shown(self, found: Detections) -> Detections:
        return found[found.scores >= self.task.score_threshold][: self.task.max_detections]

    def _metrics(self, source: Sequence[Detections], artifact: Sequence[Detections]) -> tuple[Metric, ...]:
        if self._truth is None:
            return ()
        before = coco_figures(self._truth, source, len(self.labels))
        after = coco_figures(self._truth, artifact, len(self.labels))
        return tuple(Metric(name, before[name], after[name]) for name in before)
