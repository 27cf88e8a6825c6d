"""Observers: plugins and objects of the caller that are called after each answer, and never break one.

Where nobody observes, a call costs one look at `listening`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from edgevision.errors import first_line
from edgevision.system.log import warning

if TYPE_CHECKING:  # who loads a model does not wait for clocks
    from edgevision.system.clock import Instant

#: The hooks of observers; see `edgevision.hookspecs`.
HOOKS = (
    "edgevision_model_loaded",
    "edgevision_inferred",
    "edgevision_failed",
    "edgevision_dropped",
    "edgevision_stream_event",
    "edgevision_health_changed",
)


@dataclass(frozen=True, eq=False)
class Observation:
    """One image and what became of it: an answer, a failure, or a frame that was dropped.

    Attributes:
        model: the model that was called, such as a `Classifier`; it has ``session`` and ``bundle_digest``.
        status: ``ok``; ``stale``; ``abstained: REASON``; ``failed: REASON``; or ``dropped: CAUSE``.
        image: the decoded image, an `edgevision.Frame`, valid during the call: its memory may be the
            caller's. `None` if there was none, as for generators, or it could not be decoded.
        result: the model's result; `None` if there is none.
        error: what was raised; `None` if nothing was.
        times_ms: stage -> milliseconds; ``call`` is the whole call, of all images of its batch.
        facts: further JSON values: of a stream the frame's ``index``, ``source`` and ``captured_at``, and
            the ``backend``, ``device``, ``precision`` and ``bundle_digest`` that answered.
    """

    model: Any
    status: str
    image: Any = None
    result: Any = None
    error: Exception | None = None
    times_ms: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


class StreamEvent(NamedTuple):
    """Something that happened to a stream as a whole, mostly to its source.

    Attributes:
        at: when.
        kind: ``opened``, ``lost``, ``reconnected``, ``broken``, ``damaged``, ``ended`` or ``stuck``.
        message: in one line.
    """

    at: Instant
    kind: str
    message: str


class Listener(NamedTuple):
    """One implementation of a hook.

    Attributes:
        name: of the plugin or object that has it, for messages.
        function: it.
        arguments: names of the arguments that it takes.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]


class Observers:
    """The observers of this process.

    Attributes:
        listening: True if there is any.
        failures: how often an observer raised.
    """

    def __init__(self) -> None:
        self.listening = False
        self.failures = 0
        self._listeners: Mapping[str, Sequence[Listener]] = {}
        self._logged: set[tuple[str, str]] = set()

    def set(self, listeners: Mapping[str, Sequence[Listener]]) -> None:
        """Replace all observers: hook -> its implementations."""
        self._listeners = {hook: tuple(listeners.get(hook, ())) for hook in HOOKS}
        self.listening = any(self._listeners.values())

    def call(self, hook: str, **arguments: Any) -> None:
        """Call a hook of every observer; one that raises is logged once, and counted."""
        for listener in self._listeners.get(hook, ()):
            try:
                listener.function(**{name: arguments[name] for name in listener.arguments})
            except (Exception, SystemExit) as error:
                self.failures += 1
                key = listener.name, hook
                if key not in self._logged:
                    self._logged.add(key)
                    reason = f"{type(error).__name__}: {first_line(error)}"
                    warning("observer '%s' failed in %s, and is called again: %s", *key, reason)

    def tell(self, observation: Observation) -> None:
        """Call the hook that an observation's status stands for."""
        state = observation.status.partition(":")[0]
        hook = {"failed": "edgevision_failed", "dropped": "edgevision_dropped"}.get(state)
        self.call(hook or "edgevision_inferred", observation=observation)


#: Those of this process. `edgevision.plugins` fills it, `edgevision.observe` adds to it.
observers = Observers()
