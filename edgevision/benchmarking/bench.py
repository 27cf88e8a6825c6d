"""bench(): latency and throughput of a model on this machine, by stage and beside the bare runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from edgevision.benchmarking.subjects import (
    Subject,
    batches_of,
    camera_frame,
    frame_subject,
    generator_subject,
    smooth_frame,
)
from edgevision.benchmarking.throughput import Throughput, throughput
from edgevision.errors import OptionError
from edgevision.imaging.decode import MAX_PIXELS
from edgevision.system.arguments import callback, duration, instance, sequence, whole_number
from edgevision.system.machine import Machine, clock_mhz, peak_memory_mb, temperature_c
from edgevision.system.progress import Progress, Steps
from edgevision.system.shown import shown
from edgevision.system.timing import Call, Times, interleave
from edgevision.tasks.base import TaskModel
from edgevision.tasks.image_model import ImageModel
from edgevision.tasks.single_run import SingleRun
from edgevision.tensors import MAX_SIDE

if TYPE_CHECKING:
    from edgevision.tasks.model_types import Model

#: Share of the time for the latency of the stages; the rest is for the throughput on all cores.
_STAGES_SHARE = 0.75


@dataclass(frozen=True)
class BenchResult:
    """Measurements of one model.

    Attributes:
        task: ``classify``, ``detect`` or ``generate``.
        backend, device, precision: where the model ran.
        batch: images per call.
        frame_wh: width and height of the frame in pixels; `None` for a model without an image input.
        calls: calls of the network in one call of the model.
        whole: times from the frame, or the seed, to the typed result.
        bare: times of `calls` calls of the bare runtime, with the input in place and the output left there.
        stages: times of each stage alone, by name.
        fused: for each stage that cannot be timed alone, the reason.
        throughput: with one stream per core.
        peak_memory_mb: largest resident memory of the process so far, in MB (10**6 bytes).
        clock_mhz, temperature_c: at the end; `None` if the system does not report them.
        machine: machine that the measurements were made on.
        call: the whole call, for further measurements.
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
        """Median CPU time of the whole call divided by that of the bare runtime."""
        return self.whole.cpu_us / self.bare.cpu_us

    @property
    def rest_us(self) -> float:
        """CPU time of the whole call outside of all stages: checks, function calls, cold caches."""
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
    """Time a model that no other thread uses at the same time.

    The stages, the whole call and the bare runtime are interleaved, so that other load on the machine affects
    all of them alike. Stages timed alone have warmer caches than within a whole call.

    Args:
        model: a model from `edgevision.load`.
        frame_wh: width and height in pixels of the frame for models with an image input.
        batch: images per call.
        seconds: approximate duration; each call runs at least a few times.
        progress: called as ``progress(stage, done, total)`` after each step.

    Raises:
        OptionError: an argument is not a number or out of range, or the network has a fixed batch size.
        InferenceError: the runtime failed.
    """
    instance(model, TaskModel, "model")
    callback(progress, "progress")
    size_wh, batch = _frame_size(frame_wh), whole_number(batch, "batch", least=1)
    if batch > 1 and not model.session.dynamic_batch:
        raise OptionError(f"batch: expected 1, got {batch}; the network has a fixed batch size")
    seconds = duration(seconds, "seconds")
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
    session, task = model.session, model.task.name
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
    sides = [whole_number(side, "frame_wh", 1, MAX_SIDE) for side in sequence(frame_wh, "frame_wh", "sides")]
    if len(sides) != 2 or sides[0] * sides[1] > MAX_PIXELS:
        raise OptionError(
            f"frame_wh: expected (width, height) of {MAX_PIXELS} pixels at most, got {shown(frame_wh)}"
        )
    return sides[0], sides[1]


def _subjects(
    model: Model, frame_wh: tuple[int, int], batch: int, streams: int, slots: ExitStack
) -> list[Subject]:
    """One subject per stream, each on its own slot."""
    session = model.session
    frame: Any = smooth_frame(frame_wh)
    if isinstance(model, ImageModel):
        frame = camera_frame(frame_wh, model.preprocessing.mapping)
    if isinstance(model, SingleRun):
        return [
            frame_subject(model, frame, batch, slots.enter_context(session.lease(batch)))
            for _ in range(streams)
        ]
    generate = (
        partial(model, [frame] * batch) if isinstance(model, ImageModel) else partial(model.sample, batch, 0)
    )
    batches = batches_of(session, generate)
    leases = (slots.enter_context(session.lease(batches[0])) for _ in range(streams))
    return [generator_subject(generate, len(batches), slot) for slot in leases]


def _takes_frames(model: Model) -> bool:
    return isinstance(model, ImageModel)
