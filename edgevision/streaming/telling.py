"""Calls the observers of a stream's model: for each answer that was given, and for what was dropped."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

from edgevision.observation import Observation, observers
from edgevision.session import CheckedSession
from edgevision.streaming.records import ABSTAINED, FAILED, StreamFrame, StreamResult


class StreamedModel(Protocol):
    """The part of a model that a stream and its observers need."""

    bundle_digest: str | None
    session: CheckedSession


class Telling:
    """Calls observers for one stream.

    Args:
        model: the model that answers.
    """

    def __init__(self, model: StreamedModel) -> None:
        self._model = model
        self._told: Counter[str] = Counter()
        self._lock = threading.Lock()  # a stream may be closed while its loop goes on

    def answered(self, frame: StreamFrame, result: StreamResult[Any]) -> None:
        """Call them for one answer, or for the reason why there is none."""
        times = {name.removesuffix("_ms"): round(ms, 3) for name, ms in result.times._asdict().items()}
        facts: dict[str, Any] = {
            "index": frame.index,
            "source": frame.source,
            "captured_at": frame.captured_at.iso(),
            "age_ms": round(result.age_ms, 3),
        }
        if frame.presentation_s is not None:
            facts["presentation_s"] = round(frame.presentation_s, 6)
        value = None if result.state in (ABSTAINED, FAILED) else result.value
        observers.tell(
            Observation(self._model, result.status, frame.image, value, result.error, times, facts)
        )

    def dropped(self, counts: Mapping[str, int]) -> None:
        """Call them for the frames that were dropped since the last time, by cause."""
        with self._lock:
            new = Counter(counts) - self._told
            self._told += new
        for cause, count in new.items():
            observers.tell(Observation(self._model, f"dropped: {cause}", facts={"frames": count}))
