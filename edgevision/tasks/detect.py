"""Detection: which objects a network sees in an image, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from edgevision.decoder import Candidates, Decoder, Floats
from edgevision.errors import InferenceError, OptionError
from edgevision.imaging.decode import ImageLike, as_pixels
from edgevision.imaging.placement import placement_of
from edgevision.imaging.preprocess import Preprocessing, Preprocessor
from edgevision.session import CheckedSession
from edgevision.tasks.batches import is_batch, parts
from edgevision.tasks.description import DetectTask
from edgevision.tasks.detections import Detections
from edgevision.tasks.labels import as_labels, check_label_count
from edgevision.tasks.nms import suppress
from edgevision.tensors import Array, TensorSpec, all_finite, dequantizer

if TYPE_CHECKING:
    from edgevision.numeric import RealNumber, WholeNumber

#: A dequantized score may exceed 1 by a step; more than this is no score.
_HIGHEST_SCORE = 1.02


class Detector:
    """A network that finds objects, ready to be called. Safe to share between threads.

    Args:
        session: the network.
        preprocessing: from an image to the network's input.
        labels: one name a class; empty where none are known.
        task: the decoder's settings, and the thresholds that hold where a call says nothing else.
        decoder: what turns the outputs into boxes; the one that `task` names.

    Attributes:
        preprocess: writes an image into a slot of the network's input.

    Raises:
        OptionError: the network's tensors, the settings or the number of labels do not fit.

    Example::

        for found in model(frame):
            print(found.label, found.score, found.box)
    """

    def __init__(
        self,
        session: CheckedSession,
        preprocessing: Preprocessing,
        labels: Sequence[str],
        task: DetectTask,
        decoder: Decoder,
    ) -> None:
        self.session = session
        self.preprocessing = preprocessing
        self.labels = as_labels(labels)
        self.task = task
        self._input = _only_input(session)
        specs = image_outputs(session.outputs)
        self._head = decoder.prepare(specs, preprocessing.size_wh, task.decoder_settings)
        if self.labels and self._head.classes is not None:
            check_label_count(self.labels, self._head.classes)
        self.preprocess = Preprocessor(preprocessing, self._input)
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
            images: one image: an array uint8 ``(h, w, 3)`` or grey ``(h, w)``, a path, the bytes of
                an image file, or a PIL image; or a batch: a list or tuple of these, or an array
                uint8 ``(n, h, w, 3)``. A type checker cannot count the axes of an array and takes it
                for one image: where types matter, pass a batch as ``list(array)`` or to `detect_batch`.
            color: order of the channels of arrays: ``rgb`` or ``bgr``.
            score_threshold, iou_threshold: 0…1, for this call, as in `DetectTask`; the model's
                own unless given.
            max_detections: 1 or more, likewise.

        Returns:
            `Detections`, or a list of them for a batch, in its order.

        Raises:
            OptionError: a threshold is out of range.
            InputError: an image cannot be read or is of no form that is said above.
            InferenceError: the runtime failed, or its outputs can be no objects.
        """
        task = _for_one_call(self.task, score_threshold, iou_threshold, max_detections)
        if is_batch(images):
            return self.detect_batch(images, color, task)
        return self.detect_batch([images], color, task)[0]

    def detect_batch(
        self, images: Sequence[ImageLike] | Array, color: str = "rgb", task: DetectTask | None = None
    ) -> list[Detections]:
        """Find the objects in each of several images, with the thresholds of `task`; see `__call__`."""
        task = task or self.task
        runs = parts(len(images), self.session.dynamic_batch)
        return [found for run in runs for found in self._run(images[run], color, task)]

    def read(
        self,
        outputs: Mapping[str, Array],
        sizes_wh: Sequence[tuple[int, int]],
        task: DetectTask | None = None,
    ) -> list[Detections]:
        """What the network's outputs say of several images.

        Args:
            outputs: of one run, as `edgevision.backend.Slot.run` gives them.
            sizes_wh: of the images, one each.
            task: the thresholds; the model's own unless given.

        Raises:
            InferenceError: the outputs can be no objects.
        """
        rows = {name: dequantize(outputs[name]) for name, dequantize in self._dequantize}
        return [
            self._found({name: row[place] for name, row in rows.items()}, size_wh, task or self.task)
            for place, size_wh in enumerate(sizes_wh)
        ]

    def __repr__(self) -> str:
        width, height = self.preprocessing.size_wh
        classes = f"{len(self.labels)} classes" if self.labels else "classes without names"
        return f"<Detector: {self.session}, input {width}x{height}, {classes}>"

    def close(self) -> None:
        """Give back what the runtime holds."""
        self.session.close()

    def __enter__(self) -> Detector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, images: Sequence[ImageLike] | Array, color: str, task: DetectTask) -> list[Detections]:
        sizes_wh = []
        with self.session.lease(len(images)) as slot:
            for row, image in zip(slot.inputs[self._input.name], images, strict=True):
                pixels, found = as_pixels(image, color)
                self.preprocess.fill(pixels, row, found)
                sizes_wh.append((pixels.shape[1], pixels.shape[0]))
            outputs = slot.run()
        return self.read(outputs, sizes_wh, task)

    def _found(
        self, outputs: Mapping[str, Floats], image_size_wh: tuple[int, int], task: DetectTask
    ) -> Detections:
        candidates = self._head(outputs, task.score_threshold)
        self._check(candidates)
        place = placement_of(self.preprocessing, image_size_wh)
        boxes = place.seen(candidates.boxes_xyxy)
        solid = np.flatnonzero((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
        # `take` everywhere: indexing with an array does the same in three times the time.
        boxes = boxes.take(solid, axis=0)
        scores = np.minimum(candidates.scores.take(solid), np.float32(1.0))
        class_ids = candidates.class_ids.take(solid).astype(np.int64, copy=False)
        best = suppress(boxes, scores, class_ids, task.iou_threshold)[: task.max_detections]
        boxes_xyxy = place.to_image(boxes.take(best, axis=0))
        return Detections(boxes_xyxy, scores.take(best), class_ids.take(best), self.labels)

    def _check(self, candidates: Candidates) -> None:
        """Refuse what can be no object: "nothing found" and "broken" never look alike."""
        if len(candidates.scores) == 0:
            return
        if not all_finite(candidates.boxes_xyxy):
            raise InferenceError("the network's boxes are NaN or infinite; expected finite coordinates")
        highest = float(candidates.scores.max())
        if not highest <= _HIGHEST_SCORE:
            raise InferenceError(
                f"the network gave the score {highest:.4g}; expected 0…1; if its outputs are logits, "
                f"give the decoder the setting activation=sigmoid (or softmax)"
            )
        low, high = int(candidates.class_ids.min()), int(candidates.class_ids.max())
        if low < 0 or (self.labels and high >= len(self.labels)):
            wrong = low if low < 0 else high
            raise InferenceError(
                f"the network gave class {wrong}, expected 0…{len(self.labels) - 1} as there are labels"
            )


def image_outputs(outputs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """The outputs for one image: their shapes without the batch, as decoders take them.

    Raises:
        OptionError: an output does not begin with the batch.
    """
    for spec in outputs:
        if not spec.shape:
            raise OptionError(f"output '{spec.name}': expected the batch as its first size, got a number")
    return tuple(replace(spec, shape=spec.shape[1:]) for spec in outputs)


def _only_input(session: CheckedSession) -> TensorSpec:
    if len(session.inputs) != 1:
        names = ", ".join(f"'{spec.name}'" for spec in session.inputs)
        raise OptionError(f"the network has inputs {names}; a detector has one, an image")
    spec = session.inputs[0]
    for output in session.outputs:
        if output.shape[:1] != spec.shape[:1]:
            raise OptionError(
                f"output '{output.name}': expected the input's batch as its first size, "
                f"got {output.describe()}; export the model with its outputs a row an image"
            )
    return spec


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
