"""Detection: the objects in an image, with their classes, scores and boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast, overload

import numpy as np
from numpy.typing import NDArray

from edgevision.decoder import Candidates, Decoder, Floats
from edgevision.errors import InferenceError, NothingFoundError, OptionError
from edgevision.imaging.decode import ImageLike, as_batch, as_frame
from edgevision.imaging.frame import Frame
from edgevision.imaging.placement import placement_of
from edgevision.imaging.preprocess import Preprocessing, Preprocessor
from edgevision.observation import observers
from edgevision.session import CheckedSession
from edgevision.system.arguments import array, instance, sequence, whole_numbers
from edgevision.system.shown import shown
from edgevision.tasks.base import image_input, image_outputs
from edgevision.tasks.batches import is_batch, parts
from edgevision.tasks.box_checks import BoxCheck
from edgevision.tasks.box_overlap import iou
from edgevision.tasks.description import DetectTask
from edgevision.tasks.detections import Detection, Detections
from edgevision.tasks.explainable_model import ExplainableModel
from edgevision.tasks.labels import as_labels, check_label_count
from edgevision.tasks.nms import suppress
from edgevision.tensors import Array, TensorSpec, all_finite, check_outputs, dequantizer

if TYPE_CHECKING:
    from edgevision.backend import ScoreSigmoids
    from edgevision.explaining.explanation import Explanation
    from edgevision.streaming.exchange import Follow
    from edgevision.streaming.settings import StreamSettings
    from edgevision.streaming.stream import Stream
    from edgevision.system.clock import Clock
    from edgevision.system.numeric import RealNumber, WholeNumber
    from edgevision.tasks.explained import Aim
    from edgevision.tasks.tracking import Tracking

#: A dequantized score may exceed 1 by one step; a higher value is not a score.
_HIGHEST_SCORE = 1.02
#: Of a box that still counts when most of its object is hidden.
_FAINT = 0.01
#: Where neither labels nor outputs say how many classes there are.
_MOST_CLASSES = 2**31


class Detector(ExplainableModel[Detections]):
    """An object detector. Safe to share between threads.

    Args:
        session: the network.
        preprocessing: from an image to the network's input.
        labels: one name per class; empty if unknown.
        task: the decoder's settings, and the default thresholds of a call.
        decoder: from the outputs to boxes; the one that `task` names.
        score_sigmoids: a calibration of the scores in the artifact's metadata, if it has one.

    Attributes:
        preprocess: writes an image into a row of the network's input.

    Raises:
        OptionError: the network's tensors, the settings or the number of labels are wrong.

    Example::

        for found in model(frame):
            print(found.label, found.score, found.box)
    """

    answering_methods = (*ExplainableModel.answering_methods, "detect_batch")

    def __init__(
        self,
        session: CheckedSession,
        preprocessing: Preprocessing,
        labels: Sequence[str],
        task: DetectTask,
        decoder: Decoder,
        score_sigmoids: ScoreSigmoids | None = None,
    ) -> None:
        super().__init__(session)
        self.preprocessing = preprocessing
        self.labels = as_labels(labels)
        self.task = task
        self._sigmoids = score_sigmoids
        self._input = image_input(session, "detection")
        _check_batches(self._input, session.outputs)
        specs = image_outputs(session.outputs)
        self._head = decoder.prepare(specs, preprocessing.size_wh, task.decoder_settings)
        if self.labels and self._head.classes is not None:
            check_label_count(self.labels, self._head.classes)
        self.preprocess = Preprocessor(preprocessing, self._input)
        self._check_boxes = BoxCheck(preprocessing.size_wh, task.decoder, task.decoder_settings)
        self._dequantize = [(spec.name, dequantizer(spec)) for spec in session.outputs]

    @overload
    def __call__(
        self,
        images: ImageLike,
        color: str = "rgb",
        *,
        score_threshold: RealNumber | None = None,
        iou_threshold: RealNumber | None = None,
        max_detections: WholeNumber | None = None,
    ) -> Detections: ...
    @overload
    def __call__(
        self,
        images: list[Any] | tuple[Any, ...],
        color: str = "rgb",
        *,
        score_threshold: RealNumber | None = None,
        iou_threshold: RealNumber | None = None,
        max_detections: WholeNumber | None = None,
    ) -> list[Detections]: ...

    def __call__(
        self,
        images: Any,
        color: str = "rgb",
        *,
        score_threshold: RealNumber | None = None,
        iou_threshold: RealNumber | None = None,
        max_detections: WholeNumber | None = None,
    ) -> Detections | list[Detections]:
        """Find the objects in one image, or in each of a batch.

        Args:
            images: one image: an array uint8 ``(h, w, 3)`` or grey ``(h, w)`` (or with more bits, where the
                preprocessing says how they map), a path, the bytes of an image file, a PIL image, or a
                `YuvFrame`; or a batch: a list or tuple of these, or an array uint8 ``(n, h, w, 3)``. A type
                checker cannot count the axes of an array and takes it for one image: where types matter,
                pass a batch as ``list(array)`` or to `detect_batch`.
            color: channel order of arrays: ``rgb`` or ``bgr``; or a YUV format, such as ``nv12`` or ``yuyv``.
            score_threshold, iou_threshold: 0…1, for this call only, as in `DetectTask`; by default
                the model's own.
            max_detections: 1 or more, likewise.

        Returns:
            `Detections`, or a list of them for a batch, in its order.

        Raises:
            OptionError: a threshold is out of range.
            InputError: an image cannot be read, or has none of the forms above.
            InferenceError: the runtime failed, or its outputs are not valid objects.
        """
        task = _for_one_call(self.task, score_threshold, iou_threshold, max_detections)
        if observers.listening and self.observed:
            return cast("Detections | list[Detections]", self._observed(images, color, task))
        if is_batch(images):
            return self.detect_batch(images, color, task)
        return self.detect_batch([images], color, task)[0]

    def detect_batch(
        self, images: Sequence[ImageLike] | Array, color: str = "rgb", task: DetectTask | None = None
    ) -> list[Detections]:
        """Find the objects in each of several images, with the thresholds of `task`; see `__call__`."""
        images = as_batch(images)
        task = self.task if task is None else instance(task, DetectTask, "task")
        if observers.listening and self.observed:
            return cast("list[Detections]", self._observed(list(images), color, task))
        runs = parts(len(images), self.session.dynamic_batch)
        return [detections for run in runs for detections in self._run(images[run], color, task)]

    def track(
        self,
        source: Any,
        tracker: str | Tracking = "bytetrack",
        policy: str | None = None,
        *,
        max_age_ms: RealNumber | None = None,
        deadline_ms: RealNumber | None = None,
        settings: StreamSettings | None = None,
        clock: Clock | None = None,
    ) -> Stream[Detections]:
        """Follow the objects of a stream: as `stream`, with the ids of objects in `Detections.tracker_id`.

        Args:
            source, policy, max_age_ms, deadline_ms, settings, clock: as `stream`.
            tracker: a name, or `Tracking` with settings. ByteTrack begins to follow an object when it is
                found with a score of 0.7 in two frames; see its settings.

        Raises:
            OptionError: as `stream`, or a setting of the tracker is invalid.
            PluginError: there is no such tracker.
            MissingRuntimeError: its library is not installed; names the install command.

        Example::

            with edgevision.load_detector("detector.evb") as model:
                for frame, result in model.track("drive.mp4"):
                    for found in result.value:
                        print(frame.index, found.tracker_id, found.label, found.box)
        """
        return self.stream(
            source,
            policy,
            max_age_ms=max_age_ms,
            deadline_ms=deadline_ms,
            settings=settings,
            track=tracker,
            clock=clock,
        )

    def _aim(self, frame: Frame, target: Any) -> Aim:
        """The score of the box that resembles an object most, times their overlap (D-RISE)."""
        from edgevision.tasks.explained import Aim

        found = target if isinstance(target, Detection) else self._best_object(frame, target)
        box_xyxy = array(found.box_xyxy, "target", "iuf").astype(np.float64)
        if box_xyxy.shape != (4,) or not np.isfinite(box_xyxy).all():
            raise OptionError(f"target: expected a box of four finite numbers, got {shown(found.box_xyxy)}")
        if found.class_id not in range(self._classes):
            raise OptionError(f"target: expected a class id below {self._classes}, got {found.class_id}")
        placement = placement_of(self.preprocessing, frame.size_wh)
        box_xyxy = placement.to_input(box_xyxy[np.newaxis])[0]

        def score_of(outputs: Mapping[str, Array]) -> NDArray[np.float64]:
            rows = {name: dequantize(outputs[name]) for name, dequantize in self._dequantize}
            images = len(next(iter(rows.values())))
            of_each = [{name: row[place] for name, row in rows.items()} for place in range(images)]
            candidates = [self._candidates(outputs_of_one, _FAINT) for outputs_of_one in of_each]
            return np.array([_resemblance(each, found.class_id, box_xyxy) for each in candidates])

        return Aim(found.label, found.class_id, score_of, self.preprocess, found.box)

    @property
    def _classes(self) -> int:
        """The number of classes, or the most there may be."""
        return len(self.labels) or self._head.classes or _MOST_CLASSES

    def _target_of(self, explanation: Explanation) -> Detection:
        if explanation.box_xyxy is None:
            raise OptionError("explanation: is of a class, and this model finds objects; pass one of its own")
        box_xyxy = np.asarray(explanation.box_xyxy, np.float32)
        return Detection(explanation.label, explanation.score, box_xyxy, explanation.class_id)

    def _best_object(self, frame: Frame, target: Any) -> Detection:
        """The best object in an image, or the best one of a class."""
        from edgevision.tasks.explained import class_of

        objects = self.unobserved().detect_batch([frame])[0]
        if target is None:
            wanted, named = objects, "object"
        else:
            class_id = class_of(target, self.labels, self._classes)
            wanted = objects[objects.class_ids == class_id]
            named = f"object of class {shown(target)}"
        if len(wanted) == 0:
            raise NothingFoundError(
                f"target: no {named} with a score of {self.task.score_threshold:g} or more was found; pass a "
                "Detection, such as one of model(image, score_threshold=0.1)"
            )
        return next(iter(wanted))

    def read(
        self,
        outputs: Mapping[str, Array],
        sizes_wh: Sequence[tuple[int, int]],
        task: DetectTask | None = None,
    ) -> list[Detections]:
        """Detections from the network's outputs.

        Args:
            outputs: the outputs of one run, from `edgevision.backend.Slot.run`.
            sizes_wh: width and height of each image.
            task: the thresholds; by default the model's own.

        Raises:
            OptionError: `sizes_wh` is not a pair of whole numbers above 0 for each image.
            InferenceError: the outputs are not valid objects.
        """
        sizes = [whole_numbers(pair, "sizes_wh", least=1) for pair in sequence(sizes_wh, "sizes_wh", "pairs")]
        if not all(len(pair) == 2 for pair in sizes):
            raise OptionError(f"sizes_wh: expected (width, height) of each image, got {shown(sizes_wh, 200)}")
        check_outputs(self.session.outputs, outputs)
        task = self.task if task is None else instance(task, DetectTask, "task")
        return self._read(outputs, [(width, height) for width, height in sizes], task)

    def _read(
        self, outputs: Mapping[str, Array], sizes_wh: Sequence[tuple[int, int]], task: DetectTask
    ) -> list[Detections]:
        rows = {name: dequantize(outputs[name]) for name, dequantize in self._dequantize}
        for name, row in rows.items():
            if len(row) != len(sizes_wh):
                raise InferenceError(
                    f"output '{name}' has {len(row)} rows for {len(sizes_wh)} images; expected one for each"
                )
        return [
            self._detections({name: row[place] for name, row in rows.items()}, (width, height), task)
            for place, (width, height) in enumerate(sizes_wh)
        ]

    def _check_call(self, arguments: Mapping[str, Any]) -> None:
        super()._check_call(arguments)
        names = ("score_threshold", "iou_threshold", "max_detections")
        _for_one_call(self.task, *(arguments.get(name) for name in names))

    def _follow(self, track: str | Tracking) -> Follow[Detections]:
        from edgevision.imaging.view import viewable
        from edgevision.tasks.tracking import Follower, Tracking

        if isinstance(track, str):
            track = Tracking(track)
        mapping = self.preprocessing.mapping
        return Follower(instance(track, Tracking, "track"), lambda frame: viewable(frame, mapping))

    def _observed(self, images: Any, color: str, task: DetectTask) -> Any:
        from edgevision.tasks.observed import observed_call

        def call(model: Detector, given: Any) -> Any:
            several = isinstance(given, list)
            found = model.detect_batch(given if several else [given], "rgb", task)
            return found if several else found[0]

        return observed_call(self, images, color, call)

    def _details(self) -> tuple[str, ...]:
        width, height = self.preprocessing.size_wh
        classes = f"{len(self.labels)} classes" if self.labels else "classes without names"
        return f"input {width}x{height}", classes

    def _run(self, images: Sequence[ImageLike] | Array, color: str, task: DetectTask) -> list[Detections]:
        sizes_wh, spacings = [], []
        with self.session.lease(len(images)) as slot:
            for row, image in zip(slot.inputs[self._input.name], images, strict=True):
                frame = as_frame(image, color)
                self.preprocess.put(frame, row)
                sizes_wh.append(frame.size_wh)
                spacings.append(frame.pixel_spacing_mm)
            outputs = slot.run()
        found = self._read(outputs, sizes_wh, task)
        if not any(spacings):
            return found
        return [replace(one, pixel_spacing_mm=spacing) for one, spacing in zip(found, spacings, strict=True)]

    def _detections(
        self, outputs: Mapping[str, Floats], image_size_wh: tuple[int, int], task: DetectTask
    ) -> Detections:
        candidates = self._candidates(outputs, task.score_threshold)
        self._check(candidates)
        placement = placement_of(self.preprocessing, image_size_wh)
        boxes = placement.seen(candidates.boxes_xyxy)
        visible = np.flatnonzero((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
        # `take` throughout: indexing with an array needs three times the time.
        boxes = boxes.take(visible, axis=0)
        scores = np.minimum(candidates.scores.take(visible), np.float32(1.0))
        class_ids = candidates.class_ids.take(visible).astype(np.int64, copy=False)
        best = suppress(boxes, scores, class_ids, task.iou_threshold)[: task.max_detections]
        boxes_xyxy = placement.to_image(boxes.take(best, axis=0))
        return Detections(boxes_xyxy, scores.take(best), class_ids.take(best), self.labels)

    def _candidates(self, outputs: Mapping[str, Floats], score_threshold: float) -> Candidates:
        """The boxes whose score, calibrated where there is a calibration, reaches the threshold."""
        if self._sigmoids is None:
            return self._head(outputs, score_threshold)
        from edgevision.tasks.score_sigmoids import calibrate_picked

        found = self._head(outputs, 0.0)
        self._check(found)
        scores = calibrate_picked(self._sigmoids, found.scores, found.class_ids)
        kept = np.flatnonzero(scores >= score_threshold)
        return Candidates(found.boxes_xyxy.take(kept, axis=0), scores.take(kept), found.class_ids.take(kept))

    def _check(self, candidates: Candidates) -> None:
        """Refuse invalid candidates: "nothing found" and "broken" must never look alike."""
        if len(candidates.scores) == 0:
            return
        if not all_finite(candidates.boxes_xyxy):
            raise InferenceError("the network's boxes are NaN or infinite; expected finite coordinates")
        highest = float(candidates.scores.max())
        if not highest <= _HIGHEST_SCORE:
            raise InferenceError(
                f"the network gave the score {highest:.4g}; expected 0…1; if its outputs are logits, "
                f"set the decoder's activation to sigmoid or softmax (--decoder-setting activation=sigmoid)"
            )
        if candidates.class_ids.dtype.kind not in "iu":
            raise InferenceError(
                f"decoder '{self.task.decoder}' gave class ids of {candidates.class_ids.dtype}; "
                "expected int64"
            )
        low, high = int(candidates.class_ids.min()), int(candidates.class_ids.max())
        classes = len(self.labels) or self._head.classes
        if low < 0 or (classes and high >= classes):
            wrong = low if low < 0 else high
            of_labels = ", one of the labels" if self.labels else ""
            expected = f"0…{classes - 1}{of_labels}" if classes else "0 or more"
            hint = (
                "; if it counts classes from 1, set class_offset to 1 where the decoder has it"
                if wrong == classes
                else ""
            )
            raise InferenceError(f"the network gave class {wrong}; expected {expected}{hint}")
        self._check_boxes(candidates.boxes_xyxy)


def _resemblance(candidates: Candidates, class_id: int, box_xyxy: NDArray[np.float64]) -> float:
    """The highest product of score and intersection over union with a box, of the candidates of a class."""
    own = np.flatnonzero(candidates.class_ids == class_id)
    if len(own) == 0:
        return 0.0
    overlaps = iou(candidates.boxes_xyxy.take(own, axis=0), box_xyxy[np.newaxis].astype(np.float32))[:, 0]
    return float((overlaps * candidates.scores.take(own)).max())


def _check_batches(image: TensorSpec, outputs: Sequence[TensorSpec]) -> None:
    for output in outputs:
        if output.shape[:1] != image.shape[:1]:
            raise OptionError(
                f"output '{output.name}': expected the input's batch as its first dimension, "
                f"got {output.describe()}; export the model with one row of outputs per image"
            )


def _for_one_call(
    task: DetectTask,
    score_threshold: RealNumber | None,
    iou_threshold: RealNumber | None,
    max_detections: WholeNumber | None,
) -> DetectTask:
    if score_threshold is None and iou_threshold is None and max_detections is None:
        return task
    asked = {
        "score_threshold": score_threshold,
        "iou_threshold": iou_threshold,
        "max_detections": max_detections,
    }
    numbers: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    return replace(task, **numbers)
