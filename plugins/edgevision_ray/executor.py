"""The executor `ray`: actors on the machines of a Ray cluster, each of which holds a loaded model.

Ray's core is used, and not Ray Data. There, an exception in the user's function ends the job and loses rows,
and its own resuming hangs without an error where its actors take the last CPU; it also brings 500 MB more.
What is needed of
it is little: units are sent to actors, a few ahead of what is done, and their answers are put in order.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from edgevision.errors import EdgeVisionError, InferenceError, OptionError, ProcessError, first_line
from edgevision.executor import Answer, Unit, Work
from edgevision_ray.cluster import connected, node_cpus

#: Units per actor that are sent ahead.
_AHEAD = 2
#: Units per actor that may be done and wait for an earlier one, or be under way.
_WINDOW = 8
#: How often a unit is sent again after its actor was lost.
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
        with connected() as ray:
            cpus = node_cpus(ray)
            count = max(1, math.floor(sum(cpus))) if workers is None else workers
            with _Actors(ray, work, count, share_of_cpu(cpus, count)) as actors:
                yield from actors.answers(units)


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


class _Actors:
    """The actors of one run."""

    def __init__(self, ray: Any, work: Work, count: int, cpus: float) -> None:
        self._ray = ray
        self._work = work
        shared = ray.put(work)
        remote = ray.remote(num_cpus=cpus, max_restarts=-1, max_task_retries=_RETRIES)(Worker)
        self._actors = [remote.remote(shared) for _ in range(count)]
        #: References to answers -> actor.
        self._starting = {actor.opened.remote(): place for place, actor in enumerate(self._actors)}
        self._ready: list[int] = []
        self._load = dict.fromkeys(range(count), 0)
        self._pending: dict[Any, tuple[int, Unit, int]] = {}
        self._done: dict[int, Answer] = {}

    def __enter__(self) -> _Actors:
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self._actors:
            self._ray.kill(actor, no_restart=True)

    def answers(self, units: Iterable[Unit]) -> Iterator[Answer]:
        """The answers, in the order of the units."""
        waiting = iter(units)
        sent = given = 0
        is_more = True
        heard_s = time.monotonic()
        while True:
            window = max(1, len(self._ready)) * _WINDOW
            while is_more and self._ready and sent - given < window:
                place = min(self._ready, key=self._load.__getitem__)
                if self._load[place] >= _AHEAD:
                    break
                unit = next(waiting, None)
                if unit is None:
                    is_more = False
                    break
                self._send(sent, unit, place)
                sent += 1
            if not is_more and given == sent:
                return
            if self._hear():
                heard_s = time.monotonic()
            self._check_silence(heard_s)
            while given in self._done:
                yield self._done.pop(given)
                given += 1
                heard_s = time.monotonic()

    def _send(self, number: int, unit: Unit, place: int) -> None:
        self._pending[self._actors[place].answer.remote(unit)] = number, unit, place
        self._load[place] += 1

    def _hear(self) -> bool:
        """Take what came; `False` if nothing did for some seconds."""
        references = [*self._starting, *self._pending]
        found, _ = self._ray.wait(references, num_returns=1, timeout=_LOOK_S)
        for reference in found:
            if reference in self._starting:
                self._ready_or_raise(reference)
            else:
                number, unit, place = self._pending.pop(reference)
                self._load[place] -= 1
                self._done[number] = self._received(reference, unit)
        return bool(found)

    def _ready_or_raise(self, reference: Any) -> None:
        place = self._starting.pop(reference)
        try:
            error = self._ray.get(reference)
        except self._ray.exceptions.RayError as lost:
            raise ProcessError(
                f"a worker of the Ray cluster was lost while it loaded the model: {lost}"
            ) from lost
        if error is not None:
            raise error
        self._ready.append(place)

    def _received(self, reference: Any, unit: Unit) -> Answer:
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return self._one_by_one(unit, first_line(error))
        if isinstance(answer, EdgeVisionError):
            raise answer
        return list(answer)

    def _one_by_one(self, unit: Unit, reason: str) -> Answer:
        """The answer about a unit with which actors were lost again and again: one image may be the cause."""
        if len(unit) == 1 or not self._work.divisible:
            told = f"its process was lost {_RETRIES + 1} times: {reason}"
            return [self._work.lost(entry, told) for entry in unit]
        answers: list[Any] = []
        for entry in unit:
            reference = self._actors[min(self._ready, key=self._load.__getitem__)].answer.remote([entry])
            answers += self._received(reference, [entry])
        return answers

    def _check_silence(self, heard_s: float) -> None:
        """Refuse to wait without an end."""
        silent_s = time.monotonic() - heard_s
        if not self._ready and silent_s > _START_S:
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
