"""The executor `ray`: actors on the machines of a Ray cluster, each of which holds a loaded model.

Ray's core is used, and not Ray Data. There, an exception in the user's function ends the job and loses rows,
and its own resuming hangs without an error where its actors take the last CPU; it also brings 500 MB more.
What is needed of
it is little: units are sent to actors, a few ahead of what is done, and their answers are put in order.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any

from edgevision.errors import EdgeVisionError, InferenceError, OptionError, ProcessError, first_line
from edgevision.executor import Answer, Unit, Work
from edgevision_ray.cluster import connected, node_cpus

#: Units per actor that are sent ahead.
_AHEAD = 2
#: Units per actor that may be done and wait for an earlier one, or be under way.
_WINDOW = 8
#: How often a unit is sent again, to an actor that has nothing else to do, after one was lost with it.
_RETRIES = 2
#: Seconds without any answer or new actor after which the cluster counts as lost; a model may take long to
#: load.
_SILENCE_S = 600.0
#: Seconds until the first actor has a place.
_START_S = 300.0
_LOOK_S = 5.0
#: An actor's share of a CPU is one by so many at least: a thousand actors on one core help nobody.
_MOST_PER_CPU = 16


class RayExecutor:
    """As `edgevision.executor.Executor`.

    The cluster is the one that this process is connected to, or that ``RAY_ADDRESS`` names, or else one of
    this machine alone, which ends with the work.
    """

    name = "ray"
    summary = "the machines of a Ray cluster, or this one if RAY_ADDRESS names none"
    unit_size = 32

    def run(self, work: Work, units: Iterable[Unit], workers: int | None) -> Iterator[Answer]:
        """As `Executor.run`."""
        waiting = iter(units)
        first = next(waiting, None)
        if first is None:  # nothing is left to do, and no cluster is started for it
            return
        with connected() as ray:
            cpus = node_cpus(ray)
            count = max(1, math.floor(sum(cpus))) if workers is None else workers
            with _Actors(ray, work, count, share_of_cpu(cpus, count)) as actors:
                yield from actors.answers(chain([first], waiting))


def share_of_cpu(cpus: list[float], actors: int) -> float:
    """The share of a CPU that each of some actors may reserve so that all have a place.

    Args:
        cpus: of each machine.
        actors: 1 or more.

    Raises:
        OptionError: the cluster is too small: actors without a place would be waited for without an end.
    """
    for parts in range(1, _MOST_PER_CPU + 1):
        if sum(math.floor(cpu * parts + 1e-6) for cpu in cpus) >= actors:
            return 1 / parts
    most = sum(math.floor(cpu * _MOST_PER_CPU) for cpu in cpus)
    raise OptionError(
        f"workers: the Ray cluster has {sum(cpus):g} CPUs on {len(cpus)} machines, which hold {most} workers "
        f"at most, got {actors}; pass fewer"
    )


class Worker:
    """One actor: a process that holds a loaded model."""

    def __init__(self, work: Work) -> None:
        self._error: EdgeVisionError | None = None
        try:
            self._opened = work.open()
            self._answer = self._opened.__enter__()
        except (
            Exception
        ) as error:  # an exception of a constructor would be an actor that died, again and again
            self._error = _portable(error)

    def opened(self) -> EdgeVisionError | None:
        """The reason why the model could not be loaded; `None` if it is."""
        return self._error

    def answer(self, unit: Unit) -> Answer | EdgeVisionError:
        """The answer about a unit, or what was raised instead."""
        if self._error is not None:
            return self._error
        try:
            return list(self._answer(unit))
        except Exception as error:
            return _portable(error)


@dataclass
class _Task:
    """A unit that is to be answered, or an entry of one whose process was lost again and again.

    Attributes:
        number: of the unit.
        unit: its entries, or a single one of them.
        part: index of that one; `None` for the whole unit.
        losses: how often its actor was lost while it worked on nothing else.
        alone: whether its actor works on nothing else: so that it is known who is lost for whose sake.
        place: of its actor.
    """

    number: int
    unit: Unit
    part: int | None = None
    losses: int = 0
    alone: bool = False
    place: int = -1


class _Actors:
    """The actors of one run, and the units that are under way."""

    def __init__(self, ray: Any, work: Work, count: int, cpus: float) -> None:
        self._ray = ray
        self._work = work
        self._shared = ray.put(work)  # kept: an actor that starts again reads it once more
        # Calls of `answer` are sent again here: Ray cannot tell a fatal one from those that waited behind it.
        remote = ray.remote(num_cpus=cpus, max_restarts=-1, max_task_retries=-1)(Worker)
        self._actors = [remote.remote(self._shared) for _ in range(count)]
        self._starting: dict[Any, int] = {}
        for place in range(count):
            self._await(place)
        #: Place of an actor that has its model -> calls that it has.
        self._load: dict[int, int] = {}
        self._pending: dict[Any, _Task] = {}
        self._suspects: deque[_Task] = deque()
        self._parts: dict[int, dict[int, Any]] = {}
        self._done: dict[int, Answer] = {}

    def __enter__(self) -> _Actors:
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self._actors:
            self._ray.kill(actor, no_restart=True)

    def answers(self, units: Iterable[Unit]) -> Iterator[Answer]:
        """The answers, in the order of the units."""
        waiting = (_Task(number, unit) for number, unit in enumerate(units))
        upcoming = next(waiting, None)
        sent = given = 0
        heard_s = time.monotonic()
        while upcoming is not None or given < sent:
            self._send_suspects()
            while upcoming is not None and sent - given < max(1, len(self._load)) * _WINDOW:
                if not self._send(upcoming):
                    break
                sent += 1
                upcoming = next(waiting, None)
            if self._hear():
                heard_s = time.monotonic()
            self._check_silence(heard_s)
            while given in self._done:
                yield self._done.pop(given)
                given += 1
                heard_s = time.monotonic()  # the caller may have taken long

    def _await(self, place: int) -> None:
        """Wait for an actor's model from now on."""
        self._starting[self._actors[place].opened.remote()] = place

    def _send(self, task: _Task) -> bool:
        """Send a task to the actor that has least to do; `False` if all have enough."""
        taken = {one.place for one in self._pending.values() if one.alone}
        free = [place for place in self._load if place not in taken]
        place = min(free, key=self._load.__getitem__, default=None)
        if place is None or self._load[place] >= (1 if task.alone else _AHEAD):
            return False
        task.place = place
        self._pending[self._actors[place].answer.options(max_task_retries=0).remote(task.unit)] = task
        self._load[place] += 1
        return True

    def _send_suspects(self) -> None:
        while self._suspects and self._send(self._suspects[0]):
            self._suspects.popleft()

    def _hear(self) -> bool:
        """Take what came; `False` if nothing did for some seconds."""
        found, _ = self._ray.wait([*self._starting, *self._pending], num_returns=1, timeout=_LOOK_S)
        for reference in found:
            if reference in self._starting:
                self._opened(reference)
            else:
                self._answered(reference, self._pending.pop(reference))
        return bool(found)

    def _opened(self, reference: Any) -> None:
        place = self._starting.pop(reference)
        try:
            error = self._ray.get(reference)
        except self._ray.exceptions.RayError as lost:
            reason = str(lost).strip().splitlines()[-1]
            raise ProcessError(
                "a worker of the Ray cluster was lost while it loaded the model (has its machine the same "
                f"edgevision?): {reason}"
            ) from lost
        if error is not None:
            raise error
        self._load[place] = 0

    def _answered(self, reference: Any, task: _Task) -> None:
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._lost(task, first_line(error))
            return
        if isinstance(answer, EdgeVisionError):
            raise answer
        if task.place in self._load:
            self._load[task.place] -= 1
        self._take(task, list(answer))

    def _take(self, task: _Task, answer: Answer) -> None:
        if task.part is None:
            self._done[task.number] = answer
            return
        parts = self._parts[task.number]
        parts[task.part] = answer[0]
        if None not in parts.values():
            self._done[task.number] = [one for _, one in sorted(self._parts.pop(task.number).items())]

    def _lost(self, task: _Task, reason: str) -> None:
        """The actor of a task was lost: by the task, by another one, or with its machine."""
        if self._load.pop(task.place, None) is not None:
            self._await(task.place)
        losses = task.losses + task.alone
        if losses <= _RETRIES:
            self._suspects.append(_Task(task.number, task.unit, task.part, losses, alone=True))
        elif len(task.unit) > 1 and self._work.divisible:
            self._parts[task.number] = dict.fromkeys(range(len(task.unit)))
            self._suspects += (
                _Task(task.number, [entry], part, alone=True) for part, entry in enumerate(task.unit)
            )
        else:
            told = f"its process was lost {losses} times: {reason}"
            self._take(task, [self._work.lost(entry, told) for entry in task.unit])

    def _check_silence(self, heard_s: float) -> None:
        """Refuse to wait without an end."""
        silent_s = time.monotonic() - heard_s
        if not self._load and silent_s > _START_S:
            raise ProcessError(
                f"no worker has started on the Ray cluster for {_START_S:g} s: its CPUs are in use, or its "
                "machines have no edgevision; see ray status"
            )
        if silent_s > _SILENCE_S:
            raise ProcessError(
                f"no worker of the Ray cluster has answered for {_SILENCE_S:g} s; see ray status, and run "
                "this again: it goes on where it was"
            )


def _portable(error: Exception) -> EdgeVisionError:
    """An error that another process can read: of its class, or of the nearest that takes a message alone."""
    if not isinstance(error, EdgeVisionError):
        return InferenceError(f"a worker failed: {type(error).__name__}: {first_line(error)}")
    for kind in type(error).__mro__:
        with suppress(TypeError):  # such as MissingRuntimeError, which names an extra
            return kind(str(error))  # type: ignore[no-any-return]
    return EdgeVisionError(str(error))
