"""Decisions in two results of one frame, compared by the names of their classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgevision.metrics.box_matching import match
from edgevision.system.decimals import percent
from edgevision.system.numeric import is_real
from edgevision.tasks.detections import Detections
from edgevision.tasks.kind import DecidingKind, DecisionDifference, task_kinds

#: With independent scores, a class is present from here on, unless the model says otherwise.
_PRESENT = 0.5


#: Numbers of a result are the same within this share of the larger one, and within this much.
_TOLERANCE = 0.01
#: Characters of a result that a list of rows shows.
_MOST_SHOWN = 60
#: What tells the results of built-in tasks from each other in journals that do not name the task.
_TASK_OF = {"classes": "classify", "objects": "detect", "sha256": "generate"}


def compared(
    recorded: Mapping[str, Any], replayed: Mapping[str, Any], task: str | None = None
) -> DecisionDifference:
    """Compare results as `document_of` gives them, as the kind of their task does.

    Args:
        recorded, replayed: the results.
        task: name of the task; `None` finds a built-in one in the results.

    Raises:
        KeyError, TypeError, ValueError: a result has another form, or they are of different tasks.
    """
    if _task_of(recorded) != _task_of(replayed):
        raise ValueError("results of different tasks")
    kind = task_kinds().get(task or _task_of(recorded) or "")
    if isinstance(kind, DecidingKind):
        return kind.compare_decisions(recorded, replayed)
    words = _shortened(recorded), _shortened(replayed)
    return DecisionDifference(not _alike(recorded, replayed), *words)


def words_of(result: Mapping[str, Any], task: str | None = None) -> str:
    """The decision in one result, for a list of rows; arguments and errors as `compared`."""
    kind = task_kinds().get(task or _task_of(result) or "")
    return kind.decision_words(result) if isinstance(kind, DecidingKind) else _shortened(result)


def _task_of(result: Mapping[str, Any]) -> str | None:
    return next((task for key, task in _TASK_OF.items() if key in result), None)


def _alike(first: Any, second: Any) -> bool:
    """True for values of the same form, with the same texts and about the same numbers."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(_alike(first[name], second[name]) for name in first)
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
        return len(first) == len(second) and all(map(_alike, first, second))
    if is_real(first) and is_real(second):
        return abs(first - second) <= max(_TOLERANCE, _TOLERANCE * max(abs(first), abs(second)))
    return bool(first == second)


def _shortened(result: Mapping[str, Any]) -> str:
    text = json.dumps(result, ensure_ascii=False)
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"


def compare_images(recorded: Mapping[str, Any], replayed: Mapping[str, Any]) -> DecisionDifference:
    """Compare generated images, bit by bit."""
    first, second = str(recorded["sha256"]), str(replayed["sha256"])
    return DecisionDifference(first != second, first[:12], second[:12])


def compare_classes(recorded: Mapping[str, Any], replayed: Mapping[str, Any]) -> DecisionDifference:
    """Compare classifications: top class, or all classes that reach 0.5, and the class of interest."""
    decisions = [(_labels(each), _positive(each)) for each in (recorded, replayed)]
    first, second = (
        {one["label"]: float(one["score"]) for one in each["classes"]} for each in (recorded, replayed)
    )
    differences = [abs(first[label] - second[label]) for label in first.keys() & second.keys()]
    return DecisionDifference(
        decisions[0] != decisions[1],
        class_words(recorded),
        class_words(replayed),
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


def class_words(result: Mapping[str, Any]) -> str:
    """The decision of a classification."""
    scores = {str(one["label"]): float(one["score"]) for one in result["classes"]}
    words = [f"{label} {percent(scores[label], 1, sign='%')}" for label in sorted(_labels(result))]
    point = _positive(result)
    decided = [] if point is None else [f"[{point[0]}: {'yes' if point[1] else 'no'}]"]
    return " ".join([", ".join(words) or "no class", *decided])


def compare_objects(recorded: Mapping[str, Any], replayed: Mapping[str, Any]) -> DecisionDifference:
    """Compare detections: objects of one class that overlap by half are one (IoU of 0.5)."""
    names = sorted({str(one["label"]) for each in (recorded, replayed) for one in each["objects"]})
    first, second = (_detections(each["objects"], names) for each in (recorded, replayed))
    pairs = match(first, second)
    differs = bool(len(pairs.lost) or len(pairs.gained))
    largest = float(pairs.score_differences.max()) if len(pairs.score_differences) else None
    words = object_words(recorded["objects"]), object_words(replayed["objects"])
    return DecisionDifference(differs, *words, largest)


def _detections(objects: list[Mapping[str, Any]], names: list[str]) -> Detections:
    return Detections(
        np.array([one["box_xyxy"] for one in objects], np.float32).reshape(-1, 4),
        np.array([one["score"] for one in objects], np.float32),
        np.array([names.index(str(one["label"])) for one in objects], np.int64),
        tuple(names),
    )


def object_words(objects: list[Mapping[str, Any]]) -> str:
    """How many objects of each class there are."""
    labels = [str(one["label"]) for one in objects]
    counts = {label: labels.count(label) for label in sorted(set(labels))}
    return ", ".join(f"{count} {label}" for label, count in counts.items()) or "no objects"
