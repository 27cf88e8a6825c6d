"""One frame of a stream, its result, and what is counted: what consumers, records and observers take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import EdgeVisionError, InferenceError
from edgevision.imaging.frame import Frame
from edgevision.imaging.pixels import as_rgb
from edgevision.system.clock import Clock, Instant

ResultT = TypeVar("ResultT")

_NS_PER_MS = 1e6

OK, STALE, ABSTAINED, FAILED = "ok", "stale", "abstained", "failed"
#: Kind of the event that there is for each damaged frame.
DAMAGED_EVENT = "damaged"


class DropCause:
    """Why a frame was not answered, or its answer not given."""

    NEWER_FRAME = "newer frame"
    NEWER_RESULT = "newer result"
    QUEUE_FULL = "queue full"
    TOO_OLD = "too old"
    DAMAGED = "damaged"
    CLOSED = "closed"


@dataclass(frozen=True, eq=False)
class StreamFrame:
    """One frame of a stream.

    Attributes:
        index: its number among the frames that the source delivered, from 0; dropped ones count.
        captured_at: when the source delivered it, on the monotonic and the wall clock.
        presentation_s: seconds from the start of a recording at which it is shown; `None` if live.
        image: the decoded image, as a model takes it.
        source: name of the source, without credentials; of an image file, its path.
        capture_ms: how long the source took for it: waiting for it and decoding it.
        refusal: why the model is not asked about it, such as ``frozen``; empty if it is.
    """

    index: int
    captured_at: Instant
    presentation_s: float | None
    image: Frame
    source: str
    capture_ms: float
    _clock: Clock = field(repr=False)
    refusal: str = ""

    @property
    def age_ms(self) -> float:
        """Milliseconds since the frame was captured, now; setting the wall clock does not change it."""
        return (self._clock.monotonic_ns() - self.captured_at.monotonic_ns) / _NS_PER_MS

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The image as (h, w, 3) uint8 RGB; a copy unless the source gives it so."""
        return as_rgb(self.image.pixels, self.image.color)


class StageTimes(NamedTuple):
    """Where the time of one frame went, in milliseconds.

    Attributes:
        capture_ms: the source: waiting for the frame and decoding it; before the frame's age begins.
        queue_ms: from the source to its turn.
        preprocess_ms: until the network's input was ready.
        turn_ms: until the device was free, where streams share it.
        inference_ms: the runtime; of all its runs, where a task needs several.
        postprocess_ms: from the network's outputs to the result.
        delivery_ms: until the consumer took the result.
    """

    capture_ms: float
    queue_ms: float = 0.0
    preprocess_ms: float = 0.0
    turn_ms: float = 0.0
    inference_ms: float = 0.0
    postprocess_ms: float = 0.0
    delivery_ms: float = 0.0


class RunFacts(NamedTuple):
    """Backend, device, precision and bundle that answered.

    Attributes:
        backend, device, precision: of the session.
        bundle_digest: of the bundle; `None` for a bare file.
    """

    backend: str
    device: str
    precision: str
    bundle_digest: str | None


def run_facts(model: Any) -> RunFacts:
    """Of a model with a `session` and a `bundle_digest`."""
    session = model.session
    return RunFacts(session.backend, session.device, session.precision, model.bundle_digest)


@dataclass(frozen=True, eq=False)
class StreamResult(Generic[ResultT]):
    """The answer about one frame, or why there is none.

    Attributes:
        state: ``ok``; ``stale``: given after the deadline; ``abstained`` or ``failed``: there is no answer.
        reason: why it is not ``ok``; else empty.
        error: what a stage raised, if the state is ``failed``; else `None`.
        age_ms: age of the frame when the result was given.
        times: where the time went.
        run: backend, device, precision, and digest of the bundle.
    """

    state: str
    reason: str
    error: EdgeVisionError | None
    age_ms: float
    times: StageTimes
    run: RunFacts
    _value: ResultT | None = field(repr=False)

    @property
    def status(self) -> str:
        """``ok``, ``stale``, ``abstained: REASON`` or ``failed: REASON``."""
        return self.state if self.state in (OK, STALE) else f"{self.state}: {self.reason}"

    @property
    def ok(self) -> bool:
        """True if there is an answer that was given in time."""
        return self.state == OK

    @property
    def unsure(self) -> ResultT | None:
        """The result of a classifier that abstains because it is not sure; `None` for any other status."""
        return self._value if self.state == ABSTAINED else None

    @property
    def value(self) -> ResultT:
        """The model's result, such as `Detections`; also a stale one.

        Raises:
            EdgeVisionError: there is none: the error of the stage that failed. An empty result would look
                like a frame in which nothing was found.
        """
        if self.error is not None:
            raise self.error
        if self.state == ABSTAINED:
            raise InferenceError(f"no answer: {self.status}")
        return self._value  # type: ignore[return-value]

    def to_dict(self) -> dict[str, Any]:
        """For JSON: status, age, times, what ran, and the model's result where it has such a form."""
        document: dict[str, Any] = {"status": self.status, "age_ms": round(self.age_ms, 3)}
        document["times_ms"] = {
            name.removesuffix("_ms"): round(value, 3) for name, value in self.times._asdict().items()
        }
        document |= {name: value for name, value in self.run._asdict().items() if value is not None}
        to_dict = getattr(self._value, "to_dict", None)
        if self.state != FAILED and to_dict is not None:
            document["result"] = to_dict()
        return document


@dataclass(frozen=True)
class StreamCounters:
    """How many frames, up to now; ``captured == answered + sum(dropped) + in_progress``.

    Attributes:
        captured: frames that the source delivered, damaged ones too.
        answered: results that the consumer was given, whatever their status.
        dropped: cause -> frames without a result that was given.
        stale, abstained, failed: of those answered, the ones with this status.
        reconnects: how often a lost source came back.
        in_progress: frames on their way.
    """

    captured: int
    answered: int
    dropped: Mapping[str, int]
    stale: int
    abstained: int
    failed: int
    reconnects: int
    in_progress: int


def record_of(frame: StreamFrame, result: StreamResult[Any]) -> dict[str, Any]:
    """One frame and its result for JSON, in one flat document."""
    at = frame.captured_at
    times = {"captured_at": at.iso(), "captured_monotonic_ns": at.monotonic_ns}
    shown = {} if frame.presentation_s is None else {"presentation_s": round(frame.presentation_s, 6)}
    width, height = frame.image.size_wh
    size = {"width": width, "height": height}
    return {"index": frame.index, "source": frame.source, **times, **shown, **size, **result.to_dict()}
