"""Decisions in two results of one frame, compared by the names of their classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from edgevision.metrics.box_matching import match
from edgevision.system.decimals import percent
from edgevision.tasks.detections import Detections

#: With independent scores, a class is present from here on, unless the model says otherwise.
_PRESENT = 0.5


class Compared(NamedTuple):
    """Two results, compared.

    Attributes:
        differs: whether the decisions are different.
        recorded, replayed: each decision in words.
        score_difference: the largest difference of two scores of one class or object, 0…1; `None` if no score
            is in both.
    """

    differs: bool
    recorded: str
    replayed: str
    score_difference: float | None = None


def compared(recorded: Mapping[str, Any], replayed: Mapping[str, Any]) -> Compared:
    """Compare results as `document_of` gives them: classes, objects, or generated images.

    A classifier's decision is its top class, or with independent scores all classes that reach 0.5, and
    whether the class of interest reaches its operating point. A detector's are its objects: those of the same
    class that overlap by half are one (IoU of 0.5). A generator's is the image, bit by bit.

    Raises:
        KeyError, TypeError, ValueError: a result is none of these, or they are of different tasks.
    """
    if "classes" in recorded and "classes" in replayed:
        return _classes(recorded, replayed)
    if "objects" in recorded and "objects" in replayed:
        return _objects(recorded, replayed)
    if "sha256" in recorded and "sha256" in replayed:
        differs = recorded["sha256"] != replayed["sha256"]
        return Compared(differs, recorded["sha256"][:12], replayed["sha256"][:12])
    raise ValueError("results of different tasks")


def words_of(result: Mapping[str, Any]) -> str:
    """The decision in one result, for a list of rows."""
    if "classes" in result:
        return _class_words(result)
    if "objects" in result:
        return _object_words(result["objects"])
    return str(result.get("sha256", ""))[:12]


def _classes(recorded: Mapping[str, Any], replayed: Mapping[str, Any]) -> Compared:
    decisions = [(_labels(each), _positive(each)) for each in (recorded, replayed)]
    first, second = (
        {one["label"]: float(one["score"]) for one in each["classes"]} for each in (recorded, replayed)
    )
    differences = [abs(first[label] - second[label]) for label in first.keys() & second.keys()]
    return Compared(
        decisions[0] != decisions[1],
        _class_words(recorded),
        _class_words(replayed),
        max(differences, default=None),
    )


def _labels(result: Mapping[str, Any]) -> frozenset[str]:
    best = sorted(result["classes"], key=lambda one: -float(one["score"]))
    if result.get("multi_label"):
        return frozenset(str(one["label"]) for one in best if float(one["score"]) >= _PRESENT)
    return frozenset(str(one["label"]) for one in best[:1])


def _positive(result: Mapping[str, Any]) -> tuple[str, bool] | None:
    point = result.get("operating_point")
    return None if point is None else (str(point["label"]), bool(point["positive"]))


def _class_words(result: Mapping[str, Any]) -> str:
    scores = {str(one["label"]): float(one["score"]) for one in result["classes"]}
    words = [f"{label} {percent(scores[label], 1, sign='%')}" for label in sorted(_labels(result))]
    point = _positive(result)
    decided = [] if point is None else [f"[{point[0]}: {'yes' if point[1] else 'no'}]"]
    return " ".join([", ".join(words) or "no class", *decided])


def _objects(recorded: Mapping[str, Any], replayed: Mapping[str, Any]) -> Compared:
    names = sorted({str(one["label"]) for each in (recorded, replayed) for one in each["objects"]})
    first, second = (_detections(each["objects"], names) for each in (recorded, replayed))
    pairs = match(first, second)
    differs = bool(len(pairs.lost) or len(pairs.gained))
    largest = float(pairs.score_differences.max()) if len(pairs.score_differences) else None
    words = _object_words(recorded["objects"]), _object_words(replayed["objects"])
    return Compared(differs, *words, largest)


def _detections(objects: list[Mapping[str, Any]], names: list[str]) -> Detections:
    return Detections(
        np.array([one["box_xyxy"] for one in objects], np.float32).reshape(-1, 4),
        np.array([one["score"] for one in objects], np.float32),
        np.array([names.index(str(one["label"])) for one in objects], np.int64),
        tuple(names),
    )


def _object_words(objects: list[Mapping[str, Any]]) -> str:
    labels = [str(one["label"]) for one in objects]
    counts = {label: labels.count(label) for label in sorted(set(labels))}
    return ", ".join(f"{count} {label}" for label, count in counts.items()) or "no objects"
