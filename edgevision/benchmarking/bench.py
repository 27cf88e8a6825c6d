"""How long a model takes here: stage by stage, against the bare runtime in the same run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevision.benchmarking.subjects import Subject, counted, frame_subject, making_subject, picture
from edgevision.benchmarking.throughput import Throughput, throughput
from edgevision.errors import OptionError
from edgevision.system.arguments import real_number, whole_number
from edgevision.system.machine import Machine, clock_mhz, peak_memory_mb, temperature_c
from edgevision.system.progress import Progress, Steps
from edgevision.system.timing import Call, Times, interleave
from edgevision.tasks.classify import Classifier
from edgevision.tasks.detect import Detector
from edgevision.tasks.generation.image_to_image import ImageToImage

if TYPE_CHECKING:
    from edgevision.tasks.kinds import Model

#: Of the time, what goes to the stages; the rest goes to all cores at once.
_STAGES_SHARE = 0.75


@dataclass(frozen=True)
class BenchResult:
    """What was measured of one model.

    Attributes:
        task: ``classify``, ``detect`` or ``generate``.
        backend, device, precision: where it ran.
        batch: images in one call.
        frame_wh: width and height of the frame in pixels; `None` for a model that takes no image.
        calls: of the network, in one call of the model.
        whole: from the frame, or the seed, to the typed result.
        bare: the runtime's own call, its input ready and its output left where it is; `calls` of them.
        stages: name -> that stage alone.
        fused: stage -> why it has no time of its own.
        throughput: with a stream a core.
        peak_memory_mb: the process's largest resident memory so far, in MB (10**6 bytes).
        clock_mhz, temperature_c: at the end; `None` where the system does not tell.
        machine: what it ran on.
        call: the whole call itself, to go on with.
    """

    task: str
    backend: str
    device: str
    precision: str
    batch: int
    frame_wh: tuple[int, int] | None
    calls: int
    whole: Times
    bare: Times
    stages: Mapping[str, Times]
    fused: Mapping[str, str]
    throughput: Throughput
    peak_memory_mb: float
    clock_mhz: float | None
    temperature_c: float | None
    machine: Machine
    call: Call = field(repr=False)

    @property
    def ratio(self) -> float:
        """CPU time of the whole call over that of the bare runtime; medians of both."""
        return self.whole.cpu_us / self.bare.cpu_us

    @property
    def rest_us(self) -> float:
        """CPU time of the whole call that no stage accounts for: checks, calls, cold caches."""
        timed = sum(times.cpu_us for name, times in self.stages.items() if name != "decode")
        return self.whole.cpu_us - timed

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        plain = ("task", "backend", "device", "precision", "batch", "frame_wh", "calls")
        return {
            **{name: getattr(self, name) for name in plain},
            "whole": self.whole.to_dict(),
            "bare": self.bare.to_dict(),
            "cpu_ratio": self.ratio,
            "least_wall_ratio": self.whole.least_wall_us / self.bare.least_wall_us,
            "stages": {name: times.to_dict() for name, times in self.stages.items()},
            "fused": dict(self.fused),
            "rest_cpu_ms": self.rest_us / 1e3,
            "throughput": {
                **asdict(self.throughput),
                "percent_of_ceiling": self.throughput.percent_of_ceiling,
            },
            "peak_memory_mb": self.peak_memory_mb,
            "clock_mhz": self.clock_mhz,
            "temperature_c": self.temperature_c,
            "machine": asdict(self.machine),
        }


def bench(
    model: Model,
    *,
    frame_wh: Sequence[int] = (640, 480),
    batch: int = 1,
    seconds: float = 10.0,
    progress: Progress | None = None,
) -> BenchResult:
    """Time a model that no other thread uses meanwhile.

    Every stage, the whole call and the bare runtime run by turns, so that what else the machine does
    falls on all alike. Stages alone find warmer caches than they do in a whole call.

    Args:
        model: what `edgevision.load` gave.
        frame_wh: width and height in pixels of the frame that a model gets that takes images.
        batch: images in one call.
        seconds: about how long it takes; each call is run a few times at least.
        progress: called as ``progress(stage, done, total)`` after each step.

    Raises:
        OptionError: an argument is not a number or out of range, or the network has a fixed batch size.
        InferenceError: the runtime failed.
    """
    size_wh, batch = _frame_size(frame_wh), whole_number(batch, "batch", least=1)
    if batch > 1 and not model.session.dynamic_batch:
        raise OptionError(f"batch: expected 1, got {batch}; the network has a fixed batch size")
    seconds = real_number(seconds, "seconds")
    if not seconds > 0:
        raise OptionError(f"seconds: expected a number above 0, got {seconds:g}")
    machine = Machine.this()
    with ExitStack() as slots:
        subjects = _subjects(model, size_wh, batch, machine.cores, slots)
        first = subjects[0]
        calls = {**first.stages, " bare": first.bare, " whole": first.whole}
        steps = Steps(progress, 2)
        steps.next("timing stages", 1)
        times = interleave(calls, seconds * _STAGES_SHARE)
        steps.next("timing all cores", 1)
        rates = throughput(
            [one.whole for one in subjects],
            [one.needed for one in subjects],
            batch,
            seconds * (1 - _STAGES_SHARE),
        )
        steps.measured(1)
    session, task = model.session, _task_name(model)
    return BenchResult(
        task=task,
        backend=session.backend,
        device=session.device,
        precision=session.precision,
        batch=batch,
        frame_wh=size_wh if _takes_frames(model) else None,
        calls=first.calls,
        whole=times.pop(" whole"),
        bare=times.pop(" bare"),
        stages=times,
        fused=first.fused,
        throughput=rates,
        peak_memory_mb=peak_memory_mb(),
        clock_mhz=clock_mhz(),
        temperature_c=temperature_c(),
        machine=machine,
        call=first.whole,
    )


def _frame_size(frame_wh: Sequence[int]) -> tuple[int, int]:
    if np.shape(frame_wh) != (2,):
        raise OptionError(f"frame_wh: expected (width, height), got {frame_wh!r}")
    width, height = (whole_number(side, "frame_wh", least=1) for side in frame_wh)
    return width, height


def _subjects(
    model: Model, frame_wh: tuple[int, int], batch: int, streams: int, slots: ExitStack
) -> list[Subject]:
    """The same subject for each stream, on a slot of its own."""
    frame = picture(frame_wh)
    session = model.session
    if isinstance(model, (Classifier, Detector)):
        return [
            frame_subject(model, frame, batch, slots.enter_context(session.lease(batch)))
            for _ in range(streams)
        ]
    make = (
        partial(model, [frame] * batch)
        if isinstance(model, ImageToImage)
        else partial(model.sample, batch, 0)
    )
    batches = counted(session, make)
    leases = (slots.enter_context(session.lease(batches[0])) for _ in range(streams))
    return [making_subject(make, len(batches), slot) for slot in leases]


def _takes_frames(model: Model) -> bool:
    return isinstance(model, (Classifier, Detector, ImageToImage))


def _task_name(model: Model) -> str:
    if isinstance(model, Classifier):
        return "classify"
    return "detect" if isinstance(model, Detector) else "generate"
