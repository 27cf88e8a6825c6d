"""Results drawn into images, for people: each label readable, and none over another or over the object.

Small images are enlarged, so that there is room for text: the picture may be larger than the image. Its size
depends on that of the image, and on the number of lines that are written below it, alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.drawing.colors import Color, class_color, readable_on
from edgevision.drawing.placement import place_labels
from edgevision.drawing.text import Pen, Pixels, plain
from edgevision.system.decimals import percent
from edgevision.tasks.classify import Classification
from edgevision.tasks.detections import Detection, Detections

#: Name, number and colour of a class.
_Line = tuple[str, str, Color | None]

_BLACK, _WHITE, _GREY = (0, 0, 0), (255, 255, 255), (178, 178, 178)
#: Pixels of the longer side below which an image is enlarged, and that it then has at least.
_SMALL, _ENLARGED = 240, 320
#: The narrowest picture with text below it, in pixels.
_LEAST_WIDTH = 200
#: Share of a picture's width that the label of an object may have.
_LABEL_SHARE = 0.4
_TOP_LARGER = 1.4
#: Classes that are written at most.
_MOST_CLASSES = 10
#: Objects whose labels are placed; the boxes of all are drawn.
_MOST_LABELS = 100


def draw_detections(image: Pixels, detections: Detections, *, scores: bool = True) -> Pixels:
    """An image with a box and a label for each object.

    Labels do not cover each other: where objects are crowded, those with the lowest scores go without one.

    Args:
        image: (h, w, 3) uint8 RGB; not changed.
        detections: objects in pixels of `image`.
        scores: False leaves the scores out, such as for the ground truth.

    Returns:
        (h, w, 3) uint8 RGB, owned by the caller; larger than a small image, by a whole factor.
    """
    out, factor = enlarged(image)
    pen = Pen.for_picture(out)
    boxes = _boxes(detections, factor)
    colors = [class_color(class_id) for class_id in detections.class_ids.tolist()]
    for box, color in reversed(list(zip(boxes, colors, strict=True))):
        _draw_box(out, box, color, pen.line)
    best = np.argsort(-detections.scores, kind="stable")[:_MOST_LABELS]
    texts = [_label(detections[int(place)], scores, pen, out.shape[1]) for place in best]
    sizes = [(pen.width(text), pen.height) for text in texts]
    corners = place_labels(boxes[best], sizes, *out.shape[:2])
    labels = [
        _Label(text, corner, size, boxes[place], colors[place])
        for place, text, size, corner in zip(best.tolist(), texts, sizes, corners, strict=True)
        if corner is not None
    ]
    for label in labels:
        label.tie(out, pen)
    for label in labels:
        label.write(out, pen)
    return out


def outline_detections(image: Pixels, detections: Detections, line: int = 1) -> Pixels:
    """An image with a box for each object, without labels, in the colour of its class.

    Args:
        image: (h, w, 3) uint8 RGB; not changed.
        detections: objects in pixels of `image`.
        line: line width in pixels.

    Returns:
        (h, w, 3) uint8 RGB of the same size, owned by the caller.
    """
    out: Pixels = image.copy()
    boxes = _boxes(detections, 1)
    for box, class_id in zip(boxes, detections.class_ids.tolist(), strict=True):
        _draw_box(out, box, class_color(class_id), line)
    return out


def draw_classification(
    image: Pixels, classification: Classification, top: int = 1, truth: str | None = None
) -> Pixels:
    """An image with its best classes and their scores in lines below it, the best first and largest.

    Below them are the decision at the operating point, and the prediction set, of a model that has them.

    Args:
        image: (h, w, 3) uint8 RGB; not changed.
        classification: its classification.
        top: number of classes; ten at most are written.
        truth: name of the true class, for a further line.

    Returns:
        (h, w, 3) uint8 RGB, owned by the caller.
    """
    picture, _ = enlarged(image)
    best = classification.top(min(top, _MOST_CLASSES))
    lines: list[_Line] = [
        (plain(one.label, one.class_id), percent(one.score, 1, sign="%"), class_color(one.class_id))
        for one in best
    ]
    lines += [(text, number, None) for text, number in verdicts(classification)]
    pens = [Pen.for_picture(picture, _TOP_LARGER if place == 0 else 1.0) for place in range(len(lines))]
    if truth is not None:
        lines.append((f"ground truth: {plain(truth, 0)}", "", None))
        pens.append(Pen.for_picture(picture))
    return _with_lines(picture, lines, pens)


def verdicts(classification: Classification) -> list[tuple[str, str]]:
    """The decision about the class of interest, and the prediction set, in letters that OpenCV can draw.

    Returns:
        (text, number), such as ``("cat: yes", "31.0% >= 20.5%")``; as many for every result of one model.
    """
    found, point, members = [], classification.operating_point, classification.prediction_set
    if point is not None:
        below = "abstained" if classification.abstain_below else "no"
        score, threshold = float(classification.scores[point.class_id]), point.threshold
        sides = percent(score, 1, (threshold,), sign="%"), percent(threshold, 1, (score,), sign="%")
        sign = ">=" if classification.positive else "<"
        verdict = "yes" if classification.positive else below
        found.append((f"{plain(point.positive, point.class_id)}: {verdict}", f" {sign} ".join(sides)))
    if members is not None:
        names = ", ".join(plain(name, classification.labels.index(name)) for name in members)
        told = f"plausible: {names}" if members else "no class is plausible"
        unsure = classification.sets is not None and classification.sets.abstain and len(members) != 1
        found.append((told, "abstained" if unsure else ""))
    return found


def unanswered(image: Pixels, status: str) -> Pixels:
    """A darkened image with the reason why there is no answer: not one in which nothing was found.

    Args:
        image: (h, w, 3) uint8 RGB; not changed.
        status: as `StreamResult.status`.

    Returns:
        (h, w, 3) uint8 RGB, owned by the caller; larger than a small image, by a whole factor.
    """
    out, _ = enlarged(image // 3)
    pen = Pen.for_picture(out)
    if pen.height <= out.shape[0]:
        _write_line(out, out.shape[0] - pen.height, plain(status, 0), "", None, pen)
    return out


def with_legend(image: Pixels, rows: Sequence[tuple[str, str, Color]]) -> Pixels:
    """An image with lines below it: the colour of a class, its name, and a number at the right edge.

    Args:
        image: (h, w, 3) uint8 RGB; not changed.
        rows: (name, number, colour); ten at most are written.

    Returns:
        (h, w, 3) uint8 RGB, owned by the caller; larger than a small image, by a whole factor.
    """
    picture, _ = enlarged(image)
    lines: list[_Line] = [
        (plain(name, place), number, color)
        for place, (name, number, color) in enumerate(rows[:_MOST_CLASSES])
    ]
    return _with_lines(picture, lines, [Pen.for_picture(picture)] * len(lines))


def _with_lines(picture: Pixels, lines: Sequence[_Line], pens: Sequence[Pen]) -> Pixels:
    height, width = picture.shape[:2]
    out = np.zeros((height + sum(pen.height for pen in pens), max(width, _LEAST_WIDTH), 3), np.uint8)
    left = (out.shape[1] - width) // 2
    out[:height, left : left + width] = picture
    down = height
    for (label, score, color), pen in zip(lines, pens, strict=True):
        _write_line(out, down, label, score, color, pen)
        down += pen.height
    return out


def enlarged(image: Pixels) -> tuple[Pixels, int]:
    """A copy of an image, enlarged by a whole factor if it is small; the factor."""
    longer = max(image.shape[:2])
    if longer >= _SMALL:
        return image.copy(), 1
    factor = math.ceil(_ENLARGED / longer)
    return image.repeat(factor, axis=0).repeat(factor, axis=1), factor


def _label(detection: Detection, with_score: bool, pen: Pen, width: int) -> str:
    score = percent(detection.score, 0, sign="%") if with_score else ""
    followed = detection.tracker_id is not None and detection.tracker_id >= 0
    number = f"#{detection.tracker_id} " if followed else ""
    most = max(_LEAST_WIDTH, round(width * _LABEL_SHARE)) - pen.width(number + score)
    return f"{number}{pen.fitting(plain(detection.label, detection.class_id), most)} {score}".strip()


def _boxes(detections: Detections, factor: int) -> NDArray[np.float64]:
    boxes: NDArray[np.float64] = np.rint(detections.boxes_xyxy.astype(np.float64) * factor)
    return boxes


def _draw_box(out: Pixels, box: NDArray[np.float64], color: Color, line: int) -> None:
    """A box with a dark edge, so that it is seen on a ground of its own colour."""
    left, top, right, bottom = box.astype(int).tolist()
    cv2.rectangle(out, (left, top), (right, bottom), _BLACK, line + 2, cv2.LINE_AA)
    cv2.rectangle(out, (left, top), (right, bottom), color, line, cv2.LINE_AA)


@dataclass(frozen=True)
class _Label:
    """A label on the colour of its class.

    Attributes:
        text: one line.
        corner, size: in pixels.
        box: of its object, ``(4,)``.
        color: of its class.
    """

    text: str
    corner: tuple[int, int]
    size: tuple[int, int]
    box: NDArray[np.float64]
    color: Color

    def tie(self, out: Pixels, pen: Pen) -> None:
        """Draw a line to the object, unless the label touches it."""
        left, top = self.corner
        middle = left + self.size[0] // 2, top + self.size[1] // 2
        x, y = (round(float(one)) for one in np.clip(middle, self.box[:2], self.box[2:]))
        if max(left - x, x - left - self.size[0], top - y, y - top - self.size[1]) > 1:
            cv2.line(out, (x, y), middle, _BLACK, pen.line + 2, cv2.LINE_AA)
            cv2.line(out, (x, y), middle, self.color, pen.line, cv2.LINE_AA)

    def write(self, out: Pixels, pen: Pen) -> None:
        """Draw the label."""
        (left, top), (width, height) = self.corner, self.size
        out[top : top + height, left : left + width] = _BLACK
        out[top + 1 : top + height - 1, left + 1 : left + width - 1] = self.color
        pen.write(out, self.text, left, top, readable_on(self.color))


def _write_line(out: Pixels, top: int, label: str, score: str, color: Color | None, pen: Pen) -> None:
    """The colour of a class, its name, and its score at the right edge."""
    left = pen.margin
    if color is not None:
        side = pen.height - 2 * pen.margin
        out[top + pen.margin : top + pen.margin + side, left : left + side] = color
        left += side
    right = out.shape[1] - pen.width(score)
    text = pen.fitting(label, right - left)
    pen.write(out, text, left, top, _GREY if color is None else _WHITE)
    if score:
        pen.write(out, score, right, top, _WHITE)
