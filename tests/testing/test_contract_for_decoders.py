"""The contract for decoders: our own keep it, and each way of breaking it is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from edgevision.decoder import Candidates, Floats, Head, finite
from edgevision.errors import OptionError
from edgevision.plugins import registry
from edgevision.tensors import TensorSpec
from edgevision.testing import check_decoder

SIZE_WH = (64, 48)


def candidates(*rows: tuple[int, float, tuple[float, float, float, float]]) -> Candidates:
    """(class, score, box) of each."""
    return Candidates(
        np.array([box for _, _, box in rows], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in rows], np.float32),
        np.array([class_id for class_id, _, _ in rows], np.int64),
    )


def heatmap() -> dict[str, Floats]:
    """A map of 6 x 8 cells of 8 pixels: an object of class 1 in row 2, column 3, one of class 0 in row 4."""
    outputs = {
        "heatmap": np.zeros((6, 8, 2), np.float32),
        "size": np.ones((6, 8, 2), np.float32),
        "offset": np.zeros((6, 8, 2), np.float32),
    }
    outputs["heatmap"][2, 3, 1] = 0.9
    outputs["heatmap"][4, 6, 0] = 0.6
    outputs["size"][2, 3] = (2, 3)
    outputs["offset"][2, 3] = (0.5, 0.25)
    return outputs


#: decoder -> outputs, settings, candidates above 0.5.
OWN: dict[str, tuple[dict[str, Any], dict[str, Any], Candidates]] = {
    "tflite-ssd": (
        {
            "detection_boxes": [[0.25, 0.5, 0.5, 0.75], [0, 0, 0.5, 0.5], [0, 0, 1, 1], [0, 0, 1, 1]],
            "detection_classes": [3, 1, 1, 7],
            "detection_scores": [0.9, 0.6, 0.4, 0.95],
            "num_detections": [3],
        },
        {"class_offset": 1},
        candidates((2, 0.9, (32, 12, 48, 24)), (0, 0.6, (0, 0, 32, 24))),
    ),
    "ssd": (
        {
            "raw_outputs/box_encodings": [[0, 0, 0, 0], [0, 5, 0, 0]],
            "raw_outputs/class_predictions": [[-9, 2], [1, -9]],
        },
        {
            "background": "none",
            "activation": "sigmoid",
            "anchors": [[0.5, 0.5, 0.25, 0.5], [0.25, 0.25, 0.25, 0.25]],
            "scale_xy": 10.0,
            "scale_wh": 5.0,
        },
        candidates((1, 0.8808, (24, 12, 40, 36)), (0, 0.7311, (16, 6, 32, 18))),
    ),
    "yolo": (
        {"output": [[20, 10, 8, 4, 0.1, 0.9], [40, 30, 20, 10, 0.7, 0.2], [1, 1, 1, 1, 0.1, 0.1]]},
        {"output": "output", "transposed": False, "objectness": False, "box_unit": "pixels"},
        candidates((1, 0.9, (16, 8, 24, 12)), (0, 0.7, (30, 25, 50, 35))),
    ),
    "yolo-end2end": (
        {"output": [[10, 20, 30, 40, 0.8, 2], [1, 2, 9, 9, 0.7, 1], [0, 0, 9, 9, 0.3, 1]]},
        {"box_unit": "pixels"},
        candidates((2, 0.8, (10, 20, 30, 40)), (1, 0.7, (1, 2, 9, 9))),
    ),
    "heatmap": (
        heatmap(),
        {"size_unit": "cells"},
        candidates((1, 0.9, (20, 6, 36, 30)), (0, 0.6, (44, 28, 52, 36))),
    ),
    "boxes-scores": (
        {
            "boxes": [[10, 20, 30, 40], [0, 0, 9, 9], [5, 5, 6, 6]],
            "scores": [0.9, 0.7, 0.1],
            "classes": [1, 3, 0],
        },
        {"box_format": "xyxy", "box_unit": "pixels"},
        candidates((1, 0.9, (10, 20, 30, 40)), (3, 0.7, (0, 0, 9, 9))),
    ),
    "boxes-labels": (
        {
            "boxes": [[10, 20, 30, 40, 0.9], [0, 0, 9, 9, 0.7], [5, 5, 6, 6, 0.1]],
            "labels": [1, 3, 0],
        },
        {"box_unit": "pixels"},
        candidates((1, 0.9, (10, 20, 30, 40)), (3, 0.7, (0, 0, 9, 9))),
    ),
    "detection-output": (
        {
            "detection_out": [
                [
                    [0, 2, 0.9, 0.25, 0.25, 0.5, 0.75],
                    [0, 1, 0.7, 0, 0, 1, 1],
                    [0, 1, 0.1, 0, 0, 1, 1],
                    [-1, 1, 0.9, 0, 0, 1, 1],
                ]
            ]
        },
        {},
        candidates((2, 0.9, (16, 12, 32, 36)), (1, 0.7, (0, 0, 64, 48))),
    ),
}


def test_every_decoder_of_our_own_has_a_case() -> None:
    assert set(OWN) == set(registry().decoders())


@pytest.mark.parametrize("name", OWN)
def test_our_own_decoders_keep_the_contract(name: str) -> None:
    outputs, settings, expected = OWN[name]
    check_decoder(registry().decoder(name), outputs, SIZE_WH, settings, expected)


# --- a sound decoder, and ways to break it ------------------------------------------------------

OUTPUTS = {"rows": [[10, 20, 30, 40, 0.9, 1], [1, 2, 9, 9, 0.7, 0], [0, 0, 5, 5, 0.1, 0]]}
SETTINGS = {"classes": 2}
EXPECTED = candidates((1, 0.9, (10, 20, 30, 40)), (0, 0.7, (1, 2, 9, 9)))


class Rows:
    """A decoder of rows: left, top, right, bottom, score, class; without ``nms_applied``."""

    name: Any = "rows"

    def recognise(self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int]) -> Any:
        return {"output": "rows"} if [spec.name for spec in outputs] == ["rows"] else None

    def prepare(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], settings: Mapping[str, Any]
    ) -> Head:
        for name in settings:
            if name not in ("output", "classes"):
                raise OptionError(f"decoder 'rows' has no setting '{name}'; it has: output, classes")
        shapes = {spec.name: spec.shape for spec in outputs}
        output, classes = settings.get("output"), settings.get("classes", 2)
        if not isinstance(output, str) or len(shapes.get(output, ())) != 2:
            raise OptionError(f"setting 'output': no output (n, 6) is named {output!r}")
        if not isinstance(classes, int):
            raise OptionError(f"setting 'classes': expected a number, got {classes!r}")
        return self.head(output, classes)

    def head(self, output: str, classes: int) -> Any:
        return RowsHead(output, classes)


class RowsHead:
    def __init__(self, output: str, classes: int) -> None:
        self.output, self.classes = output, classes

    def __call__(self, outputs: Mapping[str, Floats], score_threshold: float) -> Candidates:
        rows = finite(self.output, outputs[self.output])
        rows = rows[rows[:, 4] >= score_threshold]
        return Candidates(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))


def test_a_sound_decoder_of_a_third_party_keeps_the_contract() -> None:
    check_decoder(Rows(), OUTPUTS, SIZE_WH, SETTINGS, EXPECTED)


class Nameless(Rows):
    name = ""


class UndecidedOnNMS(Rows):
    nms_applied = "yes"


class RecognisesEverything(Rows):
    def recognise(self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int]) -> Any:
        return {"output": "rows"}


class RecognisesAsText(Rows):
    def recognise(self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int]) -> Any:
        return "rows"


class RecognisesArrays(Rows):
    def recognise(self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int]) -> Any:
        return {"output": np.zeros(3)}


class RecognisesTheFirst(Rows):
    def recognise(self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int]) -> Any:
        return {"output": outputs[0].name}


class TrustsRecognition(Rows):
    def recognise(self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int]) -> Any:
        return {"output": "rows"} if len(outputs[0].shape) == 2 else None  # outputs may be empty


class PassesUnknownSettings(Rows):
    def prepare(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], settings: Mapping[str, Any]
    ) -> Head:
        known = {name: value for name, value in settings.items() if name in ("output", "classes")}
        return super().prepare(outputs, input_size_wh, known)


class AnonymousRefusal(Rows):
    def prepare(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], settings: Mapping[str, Any]
    ) -> Head:
        try:
            return super().prepare(outputs, input_size_wh, settings)
        except OptionError as error:
            raise OptionError("wrong settings") from error


class TakesAnyClasses(Rows):
    def prepare(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], settings: Mapping[str, Any]
    ) -> Head:
        classes = settings.get("classes")
        return super().prepare(
            outputs, input_size_wh, {**settings, "classes": classes if isinstance(classes, int) else 2}
        )


class EatsSettings(Rows):
    def prepare(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], settings: Mapping[str, Any]
    ) -> Head:
        head = super().prepare(outputs, input_size_wh, settings)
        assert isinstance(settings, dict)
        settings.pop("classes", None)
        return head


class TakesAnyShape(Rows):
    def prepare(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], settings: Mapping[str, Any]
    ) -> Head:
        flat = [TensorSpec(spec.name, spec.shape[:2], spec.dtype) for spec in outputs]
        return super().prepare(flat, input_size_wh, settings)


class OneHeadForAll(Rows):
    """Keeps state of `prepare` in the decoder itself."""

    def prepare(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], settings: Mapping[str, Any]
    ) -> Head:
        self.size_wh = input_size_wh
        return super().prepare(outputs, input_size_wh, settings)

    def head(self, output: str, classes: int) -> Any:
        head = RowsHead(output, classes)

        class Scaled(RowsHead):
            def __call__(scaled, outputs: Mapping[str, Floats], score_threshold: float) -> Candidates:  # noqa: N805
                found = head(outputs, score_threshold)
                boxes = found.boxes_xyxy * np.float32(self.size_wh[0] / SIZE_WH[0])
                return Candidates(boxes, found.scores, found.class_ids)

        return Scaled(output, classes)


def changed(change: Callable[[Candidates], Candidates]) -> Rows:
    """A decoder whose candidates go through a function."""

    class Head(RowsHead):
        def __call__(self, outputs: Mapping[str, Floats], score_threshold: float) -> Candidates:
            return change(super().__call__(outputs, score_threshold))

    class Changed(Rows):
        def head(self, output: str, classes: int) -> Any:
            return Head(output, classes)

    return Changed()


def decoding(call: Callable[[RowsHead, Mapping[str, Floats], float], Candidates]) -> Rows:
    """A decoder whose head is a function."""

    class Head(RowsHead):
        def __call__(self, outputs: Mapping[str, Floats], score_threshold: float) -> Candidates:
            return call(RowsHead(self.output, self.classes), outputs, score_threshold)

    class Decoding(Rows):
        def head(self, output: str, classes: int) -> Any:
            return Head(output, classes)

    return Decoding()


def nothing_where_not_finite(head: RowsHead, outputs: Mapping[str, Floats], threshold: float) -> Candidates:
    return head({name: np.nan_to_num(rows, posinf=0) for name, rows in outputs.items()}, threshold)


def deaf_to_the_threshold(head: RowsHead, outputs: Mapping[str, Floats], threshold: float) -> Candidates:
    return head(outputs, 0.0)


def strict(head: RowsHead, outputs: Mapping[str, Floats], threshold: float) -> Candidates:
    return head(outputs, 0.75 if threshold > 0.5 else threshold)


def failing_without_candidates(head: RowsHead, outputs: Mapping[str, Floats], threshold: float) -> Candidates:
    found = head(outputs, threshold)
    found.scores.max()
    return found


def flat_without_candidates(head: RowsHead, outputs: Mapping[str, Floats], threshold: float) -> Candidates:
    found = head(outputs, threshold)
    return found if len(found.scores) else Candidates(found.boxes_xyxy.ravel(), found.scores, found.class_ids)


def scribbling(head: RowsHead, outputs: Mapping[str, Floats], threshold: float) -> Candidates:
    found = head(outputs, threshold)
    for rows in outputs.values():
        if np.isfinite(rows).all():
            rows[2] = 0
    return found


def random(head: RowsHead, outputs: Mapping[str, Floats], threshold: float) -> Candidates:
    found = head(outputs, threshold)
    jitter = np.random.default_rng().random(found.boxes_xyxy.shape, np.float32)
    return Candidates(found.boxes_xyxy + 0.001 * jitter, found.scores, found.class_ids)


def one_buffer() -> Rows:
    buffer = np.zeros((2, 4), np.float32)

    def change(found: Candidates) -> Candidates:
        rows = buffer[: len(found.scores)]
        rows[...] = found.boxes_xyxy[: len(rows)]
        return Candidates(rows, found.scores[:2], found.class_ids[:2])

    return changed(change)


def boxes(change: Callable[[Floats], Floats]) -> Rows:
    return changed(lambda c: Candidates(change(c.boxes_xyxy), c.scores, c.class_ids))


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        (Nameless(), "name is '', expected text"),
        (UndecidedOnNMS(), "nms_applied is 'yes', expected true or false"),
        (RecognisesEverything(), r"recognises \[\], expected None"),
        (RecognisesAsText(), "recognise returned 'rows', expected a mapping"),
        (RecognisesArrays(), "recognise returned .*, which JSON cannot hold"),
        (TrustsRecognition(), "raised IndexError.*list index out of range.*Outputs are recognised"),
        (PassesUnknownSettings(), "the unknown setting 'no-such-setting': expected OptionError, and nothing"),
        (AnonymousRefusal(), "the unknown setting 'no-such-setting': said 'wrong settings', without"),
        (TakesAnyClasses(), r"setting 'classes' = \['no-such-value'\] instead of 2: expected OptionError"),
        (EatsSettings(), "prepare changed the mapping of settings"),
        (TakesAnyShape(), "output 'rows' with two dimensions too many: expected OptionError"),
        (boxes(lambda b: b.astype(np.float64)), r"boxes_xyxy is \(2, 4\) float64, expected \(2, 4\) float32"),
        (boxes(lambda b: b[:, :3]), r"boxes_xyxy is \(2, 3\) float32"),
        (boxes(lambda b: b / np.float32(64)), "no box is larger than a pixel; are they shares"),
        (boxes(lambda b: b[:, [2, 3, 0, 1]]), "a box ends before it begins"),
        (boxes(lambda b: b + np.float32(64)), "a box is outside the input"),
        (boxes(lambda b: b * np.float32(np.inf)), "boxes are not finite"),
        (
            changed(lambda c: Candidates(c.boxes_xyxy, c.scores * np.float32(2), c.class_ids)),
            "scores are 1.4 to 1.8, expected 0…1",
        ),
        (
            changed(lambda c: Candidates(c.boxes_xyxy, c.scores, c.class_ids + 1)),
            "class ids are 1 to 2, expected 0 or more and below 2",
        ),
        (
            changed(lambda c: Candidates(c.boxes_xyxy, c.scores, c.class_ids.astype(np.int32))),
            r"class_ids is \(2,\) int32, expected \(2,\) int64",
        ),
        (changed(lambda c: candidates()), "no candidate scores 0.5 or more"),
        (decoding(deaf_to_the_threshold), "threshold 0.5: returned scores"),
        (decoding(strict), "threshold 1: scores are .*, expected"),
        (decoding(failing_without_candidates), "raised ValueError.*A higher threshold"),
        (decoding(flat_without_candidates), r"boxes_xyxy is \(0,\) float32, expected \(0, 4\)"),
        (
            decoding(nothing_where_not_finite),
            "output 'rows' is all nan: expected InferenceError",
        ),
        (decoding(scribbling), r"decoding changed the outputs \['rows'\]; they are only read"),
        (decoding(random), "a second call changed|other candidates|changed the candidates"),
        (one_buffer(), "a second call changed the candidates of the first"),
        (OneHeadForAll(), "preparing for another network changed the candidates"),
    ],
)
def test_a_decoder_that_breaks_the_contract_is_named(decoder: Any, message: str) -> None:
    with pytest.raises(AssertionError, match=f"^decoder '.*': .*({message})"):
        check_decoder(decoder, OUTPUTS, SIZE_WH, SETTINGS)


def test_boxes_in_another_place_than_expected_are_named() -> None:
    swapped = boxes(lambda b: b[:, [1, 0, 3, 2]])
    check_decoder(swapped, OUTPUTS, SIZE_WH, SETTINGS)
    with pytest.raises(AssertionError, match=r"candidates \(class, score, box\) are .*, expected"):
        check_decoder(swapped, OUTPUTS, SIZE_WH, SETTINGS, EXPECTED)


def test_a_decoder_that_depends_on_the_order_of_the_outputs_is_named() -> None:
    outputs = {**OUTPUTS, "other": [[0.0]]}
    with pytest.raises(AssertionError, match="recognise depends on the order of the outputs"):
        check_decoder(RecognisesTheFirst(), outputs, SIZE_WH)
