"""Observers of the process are told what became of each frame of a stream."""

from __future__ import annotations

from typing import Any

from edgevision.imaging.frame import Frame
from edgevision.observation import Observation, StreamEvent, observers
from edgevision.streaming.records import StreamFrame, StreamResult
from edgevision.system.clock import Instant


class Teller:
    """Tells of one stream; where nobody observes, it costs one look.

    Args:
        model: of the stream, as its owner knows it.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    @property
    def listening(self) -> bool:
        """True if there is an observer."""
        return observers.listening

    def answered(self, frame: StreamFrame, result: StreamResult[Any]) -> None:
        """Tell of a result that the consumer is given."""
        if observers.listening:
            times_ms = {name.removesuffix("_ms"): round(ms, 3) for name, ms in result.times._asdict().items()}
            value = None if result.error is not None else result._value
            facts = {
                **facts_of(frame.index, frame.source, frame.captured_at),
                "age_ms": round(result.age_ms, 3),
                # Where the model has fallbacks, another one may answer by now.
                **{name: value for name, value in result.run._asdict().items() if value is not None},
            }
            observers.tell(
                Observation(self._model, result.status, frame.image, value, result.error, times_ms, facts)
            )

    def happened(self, event: StreamEvent) -> None:
        """Tell of what happened to the source."""
        if observers.listening:
            observers.call("edgevision_stream_event", model=self._model, event=event)

    def dropped(self, cause: str, facts: dict[str, Any], image: Frame | None) -> None:
        """Tell of a frame whose result nobody is given."""
        observers.tell(Observation(self._model, f"dropped: {cause}", image, facts=facts))


def facts_of(index: int, source: str, captured_at: Instant) -> dict[str, Any]:
    """Which frame it was, in JSON values."""
    return {"index": index, "source": source, "captured_at": captured_at.iso()}
