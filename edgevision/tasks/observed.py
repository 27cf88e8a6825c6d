"""Calls of a model of which observers are told; nothing else imports this, so that others pay nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from edgevision.errors import first_line
from edgevision.imaging.decode import as_batch, as_frame
from edgevision.imaging.frame import Frame
from edgevision.observation import Observation, observers
from edgevision.tasks.base import Model
from edgevision.tasks.batches import is_batch, parts

ResultT = TypeVar("ResultT")
_NS_PER_MS = 1e6


def observed_call(model: Model, images: Any, color: str, call: Callable[[Model, Any], Any]) -> Any:
    """The results of one image or a batch, each told to the observers.

    Args:
        model: the model that was called.
        images: one image or a batch, as it takes them.
        color: channel order of arrays.
        call: calls a model with one frame, or with a list of them.
    """
    twin = model.unobserved()
    if not is_batch(images):
        return _answers(model, [images], color, lambda frames: [call(twin, frames[0])])[0]
    images = as_batch(images)
    results: list[Any] = []
    for run in parts(len(images), model.session.dynamic_batch):  # decoded part by part, as always
        results += _answers(model, images[run], color, lambda frames: call(twin, frames))
    return results


def observed_run(model: Model, call: Callable[[Model], ResultT]) -> ResultT:
    """The result of a model that takes no image, told to the observers."""
    twin = model.unobserved()
    return _answers(model, [None], "rgb", lambda _: [call(twin)])[0]


def _answers(
    model: Model, images: Sequence[Any], color: str, call: Callable[[list[Any]], Sequence[ResultT]]
) -> Sequence[ResultT]:
    started_ns = time.perf_counter_ns()
    frames: list[Frame | None] = []
    try:
        for image in images:
            frames.append(None if image is None else as_frame(image, color))
        results = call(frames)
    except Exception as error:  # told, and raised as without observers
        status = f"failed: {type(error).__name__}: {first_line(error)}"
        times_ms = _times(started_ns)
        for frame in frames or [None]:
            observers.tell(Observation(model, status, frame, None, error, times_ms))
        raise
    times_ms = _times(started_ns)
    facts = {} if len(results) == 1 else {"batch": len(results)}
    for frame, result in zip(frames, results, strict=True):
        observers.tell(Observation(model, "ok", frame, result, None, times_ms, facts))
    return results


def _times(started_ns: int) -> dict[str, float]:
    return {"call": round((time.perf_counter_ns() - started_ns) / _NS_PER_MS, 3)}
