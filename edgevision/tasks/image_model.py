"""Models that answer about an image, and so about a stream of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from edgevision.backend import Slot
from edgevision.errors import OptionError
from edgevision.imaging.frame import Frame
from edgevision.imaging.preprocess import Preprocessing
from edgevision.system.arguments import instance, real_number
from edgevision.system.shown import shown
from edgevision.tasks.base import TaskModel

if TYPE_CHECKING:  # who predicts on files does not wait for threads and sources
    from edgevision.streaming.call_arguments import CallArguments
    from edgevision.streaming.exchange import Follow
    from edgevision.streaming.settings import StreamSettings
    from edgevision.streaming.stream import Stream
    from edgevision.system.clock import Clock
    from edgevision.system.numeric import RealNumber
    from edgevision.tasks.tracking import Tracking

ResultT = TypeVar("ResultT")


class ImageModel(TaskModel, Generic[ResultT]):
    """A model whose call takes an image, or a list of them, and gives a result about each.

    Attributes:
        preprocessing: from an image to the network's input.
        labels: one name per class; empty if it has none.
        answering_methods: names of the methods that run the network on images, which a fallback answers, too.
    """

    preprocessing: Preprocessing
    labels: tuple[str, ...] = ()
    answering_methods: ClassVar[tuple[str, ...]] = ("__call__",)
    if TYPE_CHECKING:  # (images, color="rgb", **arguments), of which each subclass has its own
        __call__: Callable[..., Any]

    def stream(
        self,
        source: Any,
        policy: str | None = None,
        *,
        max_age_ms: RealNumber | None = None,
        deadline_ms: RealNumber | None = None,
        settings: StreamSettings | None = None,
        track: str | Tracking | None = None,
        clock: Clock | None = None,
    ) -> Stream[ResultT]:
        """Answer about the frames of a camera, a video or a network stream, as they come.

        Capturing, inference and the caller's own loop overlap. Several streams of one model take turns on its
        device. No frame is lost in silence: `Stream.counters` has each with the cause.

        Args:
            source: a camera's index, such as 0, or ``/dev/video0``; a video file; a folder, a pattern or a
                numbered sequence (``frames/%04d.png``) of images; an iterator of images in any form that a
                call takes; or what a plugin opens, such as ``rtsp://…`` and ``http://…`` with the extra
                ``video``.
            policy: ``wait``: every frame is answered, and the source waits; ``latest``: the newest frame is
                answered next, and the newest result is given; ``queue(N)``: up to N frames wait, and the
                oldest is dropped for a newer one. By default ``latest`` for live sources, else ``wait``.
            max_age_ms: a frame that is older is dropped and counted, before its turn or after it; above 0.
            deadline_ms: a result whose frame is older when it is given has the status ``stale``; above 0.
            settings: time limits of the source, reconnecting, and arguments of each call.
            track: for a detector: follow its objects by this tracker, such as ``bytetrack`` (extra
                ``track``); `Detections.tracker_id` has their ids.
            clock: the time and its threads, for tests: `edgevision.testing.SimulatedClock`.

        Returns:
            The stream, to be iterated over once, with ``for`` or ``async for``: pairs of a `StreamFrame` and
            a `StreamResult`, whose `value` is what a call returns. A frame beyond the limits of `input_gate`
            gives a result with the status ``abstained: …``. A stage that fails gives a result with the
            status ``failed: …`` for its frame. The loop raises `StreamLostError` if the source stopped and
            did not come back in time, `StreamBrokenError` if its data is damaged, and `StreamError` if it
            cannot be opened; it ends if the source ended.

        Raises:
            OptionError: an argument is invalid, or nothing opens such a source.
            PluginError: there is no such tracker.
            MissingRuntimeError: its library is not installed; names the install command.
        """
        from edgevision.frame_source import SourceSettings
        from edgevision.streaming.call_arguments import CallArguments
        from edgevision.streaming.capture import STALL_S
        from edgevision.streaming.policy import policy_of
        from edgevision.streaming.settings import StreamSettings
        from edgevision.streaming.sources.choice import open_reader, source_of
        from edgevision.streaming.stream import Stream, StreamRun
        from edgevision.system.clock import SystemClock

        settings = StreamSettings() if settings is None else instance(settings, StreamSettings, "settings")
        chosen = None if policy is None else policy_of(policy)
        limits_ms = _limit_ms(max_age_ms, "max_age_ms"), _limit_ms(deadline_ms, "deadline_ms")
        source_of(source)  # a mistake is told here, and not in a loop that begins later
        read_timeout_s = _LIBRARY_SHARE * float(STALL_S if settings.stall_s is None else settings.stall_s)
        opening = SourceSettings(float(settings.open_timeout_s), read_timeout_s, settings.color)
        call = CallArguments(settings.call, self._check_call)
        follow = None if track is None else self._follow(track)
        run = StreamRun(
            partial(open_reader, source, opening),
            partial(self._answering, call),
            self,
            chosen,
            limits_ms,
            settings,
            SystemClock() if clock is None else _checked(clock),
        )
        run.exchange.follow = follow
        run.exchange.gate = self._gate()
        return Stream(run, call)

    def _gate(self) -> Callable[[Frame], str] | None:
        """A function that says why a frame is not answered, for the frames of one source in their order."""
        if self.input_gate is None:
            return None
        from edgevision.imaging.gate import FrameGate

        return FrameGate(self.input_gate, self.preprocessing.mapping).reason

    def _answering(self, call: CallArguments, watch: Callable[[Slot], Slot]) -> Callable[[Frame], ResultT]:
        """This model as a function of a frame, on slots that are watched."""
        watched = cast("Callable[..., ResultT]", self.over(self.session.view(watch)).unobserved())
        return lambda frame: watched(frame, **call.current)

    @property
    def call_arguments(self) -> tuple[str, ...]:
        """Names of the arguments that a call takes beside images and their colour, such as thresholds."""
        import inspect

        return tuple(inspect.signature(type(self).__call__).parameters)[3:]

    def _check_call(self, arguments: Mapping[str, Any]) -> None:
        """Raise OptionError for arguments that a call does not take, or whose values it would refuse."""
        if not arguments:
            return
        known = self.call_arguments
        for name in arguments:
            if name not in known:
                accepted = ", ".join(known) or "none"
                raise OptionError(
                    f"call: no argument {shown(name)} of a {type(self).__name__}; it takes: {accepted}"
                )

    def _follow(self, track: str | Tracking) -> Follow[ResultT]:
        """A function that adds the ids of objects to a result; see `stream`."""
        raise OptionError(
            f"track: follows the objects that a detector finds; this model is a {type(self).__name__}; "
            "remove it"
        )


#: Of the time after which a source counts as lost, what a library gets: its own error says more than ours.
_LIBRARY_SHARE = 0.75


def _checked(clock: Clock) -> Clock:
    from edgevision.system.clock import Clock

    if not isinstance(clock, Clock) or isinstance(clock, type):
        raise OptionError(
            f"clock: expected a clock, such as edgevision.testing.SimulatedClock(), got {shown(clock)}"
        )
    return clock


def _limit_ms(value: RealNumber | None, argument: str) -> float | None:
    if value is None:
        return None
    limit = real_number(value, argument)
    if limit <= 0:
        raise OptionError(f"{argument}: expected milliseconds above 0, got {limit:g}")
    return limit
