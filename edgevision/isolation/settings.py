"""How a runtime in a process of its own is watched and replaced."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgevision.errors import OptionError
from edgevision.system.arguments import duration, flag, real_number, whole_number
from edgevision.system.shown import shown

#: Milliseconds of a run where the caller sets no deadline: no call waits forever.
_USUAL_DEADLINE_MS = 60_000.0
_MOST_DEADLINE_MS = 86_400_000.0


@dataclass(frozen=True)
class Isolation:
    """How a runtime in a process of its own is watched and replaced.

    Attributes:
        deadline_ms: milliseconds that one run of the network may take; then its process is ended. `None` is
            a minute. A call that comes while the process is replaced waits as long for it.
        standby: whether a second process, with the model open and warm, takes over. It has the model in
            memory once more.
        most_restarts: how often the process is replaced within `within_s`. After one more failure every call
            raises `edgevision.errors.RestartLimitError`.
        within_s: seconds.
        start_timeout_s: seconds for a process to start and open the model, and for a first call of another
            batch size, for which some runtimes compile.
        memory_limit_mb: megabytes in use after which the process is replaced, between two calls; `None` is
            half of the machine's memory. Where the system runs out of memory, it ends this process first.

    Raises:
        OptionError: a field has an invalid value; names it.
    """

    deadline_ms: float | None = None
    standby: bool = False
    most_restarts: int = 5
    within_s: float = 60.0
    start_timeout_s: float = 120.0
    memory_limit_mb: float | None = None

    def __post_init__(self) -> None:
        if self.deadline_ms is not None:
            deadline_ms = real_number(self.deadline_ms, "deadline_ms")
            if not 0 < deadline_ms <= _MOST_DEADLINE_MS:
                raise OptionError(
                    f"deadline_ms: expected milliseconds, above 0 and up to a day, got {shown(deadline_ms)}"
                )
            object.__setattr__(self, "deadline_ms", deadline_ms)
        object.__setattr__(self, "standby", flag(self.standby, "standby"))
        object.__setattr__(self, "most_restarts", whole_number(self.most_restarts, "most_restarts", least=0))
        for name in ("within_s", "start_timeout_s"):
            object.__setattr__(self, name, duration(getattr(self, name), name))
        if self.memory_limit_mb is not None:
            limit = real_number(self.memory_limit_mb, "memory_limit_mb")
            if limit <= 0:
                raise OptionError(f"memory_limit_mb: expected a number above 0, got {limit:g}")
            object.__setattr__(self, "memory_limit_mb", limit)

    @property
    def deadline_s(self) -> float:
        """Seconds that one run may take."""
        return (self.deadline_ms or _USUAL_DEADLINE_MS) / 1e3


def isolation_of(isolate: object, deadline_ms: object, standby: object) -> Isolation | None:
    """How the runtime is isolated, from the arguments of `edgevision.load`; `None` if it is not.

    Raises:
        OptionError: an argument is invalid, or only has a meaning with another.
    """
    standby = flag(standby, "standby")
    if isinstance(isolate, Isolation):
        isolation = isolate
    elif flag(isolate, "isolate"):
        isolation = Isolation()
    else:
        for name, is_stated in (("deadline_ms", deadline_ms is not None), ("standby", standby)):
            if is_stated:
                raise OptionError(f"{name}: only has a meaning with isolate=True; pass both, or remove it")
        return None
    if deadline_ms is not None:
        stated = replace(isolation, deadline_ms=real_number(deadline_ms, "deadline_ms"))
        if isolation.deadline_ms not in (None, stated.deadline_ms):
            raise OptionError(
                f"deadline_ms: {stated.deadline_ms:g} and isolate.deadline_ms {isolation.deadline_ms:g} "
                "contradict each other"
            )
        isolation = stated
    return replace(isolation, standby=isolation.standby or standby)
