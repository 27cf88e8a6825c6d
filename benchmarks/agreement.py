"""Agreement of the answers of an artifact with those of its source, image by image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Objects of an image that a detector's answers are compared on: its most certain ones.
_OBJECTS = 10
#: Error of a depth, relative to the range of the image's depths, up to which it agrees.
_DEPTH_ERROR = 0.05
_LEAST_IOU = 0.5

Answers = Mapping[str, NDArray[np.float32]]


def agreements(kind: str, source: Answers, artifact: Answers) -> NDArray[Any]:
    """One value per image.

    Args:
        kind: ``classes``: whether the class with the highest score is the same (bool). Else a share, 0 to 1:
            ``map``: of the pixels with the same class; ``mask``: of the pixels on the same side of one half;
            ``depth``: of the pixels whose depth differs by at most 5 % of the range of the image;
            ``anchors``: of the ten most certain pairs of anchor and class that are so for both;
            ``peaks``: the same of cells and classes of a heat map; ``queries``: of the ten most certain boxes
            that the artifact finds with the same class.
        source, artifact: output name -> (n, …) float32.
    """
    if kind in ("classes", "map"):
        (expected,), (found,) = source.values(), artifact.values()
        same: NDArray[np.bool_] = expected.argmax(-1) == found.argmax(-1)
        return same if kind == "classes" else same.reshape(len(same), -1).mean(1)
    if kind in ("anchors", "peaks"):
        name = "cls_logits" if kind == "anchors" else "heatmap"
        return _most_certain(source[name], artifact[name])
    compare = {"mask": _masks, "depth": _depths, "queries": _queries}
    return compare[kind](source, artifact)


def _masks(source: Answers, artifact: Answers) -> NDArray[np.float64]:
    """By the first output, which is the one that users read."""
    expected, found = next(iter(source.values())), next(iter(artifact.values()))
    return np.asarray(((expected > 0.5) == (found > 0.5)).reshape(len(found), -1).mean(1))


def _depths(source: Answers, artifact: Answers) -> NDArray[np.float64]:
    (expected,), (found,) = source.values(), artifact.values()
    error = np.abs(expected - found).reshape(len(found), -1)
    spread = np.ptp(expected.reshape(len(found), -1), axis=1, keepdims=True)
    return np.asarray((error <= _DEPTH_ERROR * spread).mean(1))


def _most_certain(expected: NDArray[np.float32], found: NDArray[np.float32]) -> NDArray[np.float64]:
    both = (scores.reshape(len(scores), -1) for scores in (expected, found))
    best = [np.argpartition(-scores, _OBJECTS)[:, :_OBJECTS] for scores in both]
    return np.array([len(set(first) & set(second)) / _OBJECTS for first, second in zip(*best, strict=True)])


def _queries(source: Answers, artifact: Answers) -> NDArray[np.float64]:
    pairs = zip(
        source["logits"], source["pred_boxes"], artifact["logits"], artifact["pred_boxes"], strict=True
    )
    return np.array([_found_again(*pair) for pair in pairs])


def _found_again(scores: Any, boxes: Any, found_scores: Any, found_boxes: Any) -> float:
    certain = np.argsort(-scores.max(1))[:_OBJECTS]
    again = [
        any(
            scores[place].argmax() == found_scores[other].argmax()
            and _iou(boxes[place], found_boxes[other]) >= _LEAST_IOU
            for other in range(len(found_boxes))
        )
        for place in certain
    ]
    return float(np.mean(again))


def _iou(first: Any, second: Any) -> float:
    """Of two boxes (centre x, centre y, width, height)."""
    low = np.maximum(first[:2] - first[2:] / 2, second[:2] - second[2:] / 2)
    high = np.minimum(first[:2] + first[2:] / 2, second[:2] + second[2:] / 2)
    shared = float(np.prod(np.maximum(high - low, 0)))
    return shared / (float(np.prod(first[2:]) + np.prod(second[2:])) - shared + 1e-9)
