"""A model with others that answer in its place, in an order: degraded mode.

The others are open from the start. One takes over when a call or a check of a known answer fails; then the
very call that failed is answered by it. What fails is not asked again before a check of it was good.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar, cast
from weakref import finalize

from edgevision.backend import Slot
from edgevision.errors import (
    ArtifactError,
    DeviceError,
    ForkedSessionError,
    InferenceError,
    OptionError,
    SessionClosedError,
    first_line,
)
from edgevision.health import (
    DEGRADED,
    OK,
    STALE,
    Health,
    HealthChecks,
    Schedule,
    SessionMonitor,
)
from edgevision.observation import observers
from edgevision.session import CheckedSession
from edgevision.system.clock import Clock, SystemClock
from edgevision.system.log import warning
from edgevision.tasks.image_model import ImageModel

if TYPE_CHECKING:
    from edgevision.imaging.frame import Frame
    from edgevision.streaming.call_arguments import CallArguments
    from edgevision.streaming.records import RunFacts

ModelT = TypeVar("ModelT", bound=ImageModel[Any])
ResultT = TypeVar("ResultT")

#: Errors of a runtime, and not of the image or of the caller.
_OF_THE_RUNTIME = (InferenceError, ArtifactError, DeviceError)
#: These are raised as they are: no other model would fare better.
_OF_THE_CALLER = (SessionClosedError, ForkedSessionError)


def with_alternatives(
    models: Sequence[ImageModel[Any]],
    names: Sequence[str],
    absent: str,
    checks: HealthChecks,
    clock: Clock | None = None,
) -> ImageModel[Any]:
    """The first model with the others as fallbacks: of the same class, with the same methods.

    Args:
        models: in the order of preference, one or more; closed with the result.
        names: of the models, for messages.
        absent: why a model that is preferred to all of these is not there; empty if none is.
        checks: the schedule of health checks.
        clock: the time and its threads, for tests.

    Raises:
        OptionError: they do not have the same task and labels.
    """
    first = models[0]
    for model, name in zip(models[1:], names[1:], strict=True):
        if type(model) is not type(first) or getattr(model, "labels", ()) != getattr(first, "labels", ()):
            raise OptionError(
                f"fallback {name}: has another task or other labels than {names[0]}; a fallback must answer "
                "the same question"
            )
    alternatives = Alternatives(models, names, absent, checks, clock)
    twin: ImageModel[Any] = object.__new__(_kind(type(first)))  # type: ignore[arg-type]  # a type
    own = {name: value for name, value in first.__dict__.items() if name not in _CURRENT}
    twin.__dict__.update(own, alternatives=alternatives, _monitor=alternatives)
    finalize(twin, alternatives.stop)  # its threads hold the models, and never the result
    alternatives.start()
    return twin


class Alternatives:
    """Models in an order of preference, and which one answers; watched as by a `SessionMonitor`.

    Args:
        models, names, absent, checks, clock: as `with_alternatives`.
    """

    scheduled = True

    def __init__(
        self,
        models: Sequence[ImageModel[Any]],
        names: Sequence[str],
        absent: str,
        checks: HealthChecks,
        clock: Clock | None,
    ) -> None:
        self.models = tuple(models)
        self._names = tuple(names)
        self._absent = absent
        self._checks = checks
        self._clock = SystemClock() if clock is None else clock
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._place = 0
        self._reason = absent
        self._failed = [""] * len(models)
        self._good = [0] * len(models)
        self._since = self._clock.now()
        self._told: Health | None = None
        self._monitors = [
            SessionMonitor(model.session, model._known_check, checks, model.bundle_digest, self._clock)
            for model in models
        ]
        for model, monitor in zip(models, self._monitors, strict=True):
            model.session.tell_answers(monitor.answered)
        self._schedule: Schedule | None = None

    @property
    def current(self) -> ImageModel[Any]:
        """The model that answers now."""
        return self.models[self._place]

    def answer(self, calls: Sequence[Callable[[], ResultT]]) -> tuple[int, ResultT]:
        """The number of the model that answered, and its answer.

        Args:
            calls: asks each model.

        Raises:
            EdgeVisionError: of the model that answers now, if no other one answers either: then the cause may
                be the image, and nothing is switched.
        """
        place = self._place
        try:
            return place, calls[place]()
        except _OF_THE_CALLER:
            raise
        except _OF_THE_RUNTIME as error:
            for other in self._others(place):
                try:
                    result = calls[other]()
                except _OF_THE_RUNTIME:
                    continue
                self._fail(place, f"{type(error).__name__}: {first_line(error)}")
                self._switch(place, other, self._failed[place])
                return other, result
            raise

    # As `SessionMonitor`

    def health(self, check: bool | None = None) -> Health:
        """As `SessionMonitor.health`."""
        if self._process != os.getpid():
            raise ForkedSessionError("the model was loaded before this process was forked; load it here")
        if check:
            self._check()
        return self._settle()

    def start(self) -> None:
        """As `SessionMonitor.start`."""
        self._schedule = Schedule(self._checks.every_s, self._check, self._settle, self._clock)

    def stop(self) -> None:
        """As `SessionMonitor.stop`."""
        if self._process == os.getpid():
            if self._schedule is not None:
                self._schedule.stop()
            self._settle()

    def _check(self) -> None:
        """Check every model, one after the other: one that nobody asks must be well when it is needed."""
        for place, monitor in enumerate(self._monitors):
            if monitor.check():
                self._good[place] += 1
                self._failed[place] = ""
            elif not self.models[place].session.is_closed:
                self._fail(place, monitor.error or "the check failed")
        self._choose()

    def _choose(self) -> None:
        place = self._place
        if self._failed[place]:
            others = self._others(place)
            if others:
                self._switch(place, others[0], self._failed[place])
            return
        after = self._checks.return_after
        if after is not None:
            well = [one for one in range(place) if not self._failed[one] and self._good[one] >= after]
            if well:
                self._switch(place, well[0], f"{self._names[well[0]]} was well in {after} checks")

    def _settle(self) -> Health:
        place = self._place
        health = self._monitors[place].look()
        if health.state == STALE and (others := self._others(place)):
            self._fail(place, health.reason)
            self._switch(place, others[0], health.reason)
            place = self._place
            health = self._monitors[place].look()
        if health.state == OK and (place or self._absent):
            health = replace(health, state=DEGRADED, reason=f"{self._names[place]} answers: {self._reason}")
        with self._lock:
            before = self._told
            if before is not None and _identity(before) == _identity(health):
                health = replace(health, since=before.since)
                self._told = health
                return health
            health = replace(health, since=self._clock.now())
            self._told = health
        observers.call("edgevision_health_changed", health=health, before=before)
        return health

    def _others(self, place: int) -> list[int]:
        """Models that may answer instead, the preferred first."""
        return [one for one in range(len(self.models)) if one != place and not self._failed[one]]

    def _fail(self, place: int, reason: str) -> None:
        self._failed[place] = reason
        self._good[place] = 0

    def _switch(self, place: int, other: int, reason: str) -> None:
        with self._lock:
            if self._place != place:  # another thread was first
                return
            self._place, self._reason = other, f"{self._names[place]}: {reason}"
        warning("%s answers from now on instead of %s: %s", self._names[other], self._names[place], reason)
        self._settle()


class _Switching(ImageModel[Any]):
    """The part of a model with alternatives that is not as in the class of its first model."""

    alternatives: Alternatives

    @property
    def session(self) -> CheckedSession:  # type: ignore[override]
        """Of the model that answers now."""
        return self.alternatives.current.session

    @property
    def bundle_digest(self) -> str | None:  # type: ignore[override]
        """Of the model that answers now."""
        return self.alternatives.current.bundle_digest

    @property
    def abstain_below_operating_point(self) -> bool:
        """As `Classifier.abstain_below_operating_point`, of all models."""
        return bool(getattr(self.alternatives.current, "abstain_below_operating_point", False))

    @abstain_below_operating_point.setter
    def abstain_below_operating_point(self, abstain: bool) -> None:
        for model in self.alternatives.models:
            model.__dict__["abstain_below_operating_point"] = abstain

    def close(self) -> None:
        """Close all models."""
        for model in self.alternatives.models:
            model.close()
        self.alternatives.stop()

    def over(self, session: CheckedSession) -> Any:
        """As `TaskModel.over`, of the model that answers now."""
        return self.alternatives.current.over(session)

    def unobserved(self: ModelT) -> ModelT:
        """As `TaskModel.unobserved`."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__, observed=False)
        return twin

    def _asked(self, method: str, *arguments: Any, **named: Any) -> Any:
        """The answer of a method of the model that answers now, or of the next one."""

        def ask(model: ImageModel[Any]) -> Any:
            asked = model if self.observed else model.unobserved()
            return getattr(asked, method)(*arguments, **named)

        return self.alternatives.answer([partial(ask, model) for model in self.alternatives.models])[1]

    def _answering(self, call: CallArguments, watch: Callable[[Slot], Slot]) -> Callable[[Frame], Any]:
        models = self.alternatives.models
        return _Answering(self.alternatives, [model._answering(call, watch) for model in models])


class _Answering:
    """Answers frames of a stream, in one of its threads.

    Attributes:
        run: backend, device, precision and bundle of the last answer.
    """

    def __init__(self, alternatives: Alternatives, answering: Sequence[Callable[[Frame], Any]]) -> None:
        from edgevision.streaming.records import run_facts

        self._alternatives = alternatives
        self._answering = answering
        self._runs = [run_facts(model) for model in alternatives.models]
        self.run: RunFacts | None = None

    def __call__(self, frame: Frame) -> Any:
        self.run = None
        place, result = self._alternatives.answer([partial(one, frame) for one in self._answering])
        self.run = self._runs[place]
        return result


#: Attributes that are those of the model that answers now.
_CURRENT = ("session", "bundle_digest", "_known_check")


@cache
def _kind(kind: type[ModelT]) -> type[ModelT]:
    """The class of models of this class with alternatives."""

    def method(name: str) -> Callable[..., Any]:
        def asked(self: _Switching, *arguments: Any, **named: Any) -> Any:
            return self._asked(name, *arguments, **named)

        original = getattr(kind, name)
        asked.__doc__, asked.__signature__ = original.__doc__, _signature(original)  # type: ignore[attr-defined]
        return asked

    answering = {name: method(name) for name in kind.answering_methods}
    return cast("type[ModelT]", type(kind.__name__, (_Switching, kind), answering))


def _signature(function: Any) -> Any:
    import inspect

    return inspect.signature(function)


def _identity(health: Health) -> tuple[object, ...]:
    return health.state, health.backend, health.device, health.precision, health.bundle_digest
