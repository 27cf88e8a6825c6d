"""Streams that run for minutes: latencies per minute, and memory, descriptors and threads that must not grow.

Each pair of backend and kind of session has a process of its own, and all run at the same time.
"""

from __future__ import annotations

import ctypes
import gc
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from networks import SHARED
from numpy.typing import NDArray

import edgevision
from edgevision import SessionSettings

MODEL = SHARED / "models" / "mobilenet_v1_0.25_224_quant_metadata.tflite"
KINDS = tuple((backend, how) for backend in ("tflite", "openvino") for how in ("in-process", "isolated"))
#: Before growth is measured: what a runtime and an allocator keep for the process.
_WARM_UP_S = 60.0
_BETWEEN_SAMPLES_S = 2.0
#: A slope is told from noise if it is so many standard errors from 0, and adds so much in an hour.
_ERRORS, _MOST_MB_PER_HOUR = 3.0, 4.0


class Sample(NamedTuple):
    """Resources of a process and its children at one time.

    Attributes:
        at_s: since the stream began.
        resident_mb: memory of all.
        allocated_mb, objects: of this process alone: what glibc's allocator gave out and did not get back,
            and blocks of Python objects. These tell a leak from an allocator that has not settled yet.
        descriptors, threads: of all.
    """

    at_s: float
    resident_mb: float
    allocated_mb: float
    objects: int
    descriptors: int
    threads: int


class Samples:
    """Samples in memory that is there from the start: in a list they would be growth of their own.

    Args:
        seconds: of the run.

    Attributes:
        count: of the samples.
    """

    def __init__(self, seconds: float) -> None:
        self.count = 0
        self._rows = np.zeros((round(seconds / _BETWEEN_SAMPLES_S) + 60, len(Sample._fields)))

    @property
    def last(self) -> Sample:
        """The newest one."""
        return _sample_of(self._rows[self.count - 1])

    def add(self, sample: Sample) -> None:
        """Add one."""
        self._rows[self.count] = sample
        self.count += 1

    def later(self) -> list[Sample]:
        """All after the warm-up."""
        rows = self._rows[: self.count]
        return [_sample_of(row) for row in rows[rows[:, 0] >= _WARM_UP_S]]


def _sample_of(row: NDArray[np.float64]) -> Sample:
    at_s, resident_mb, allocated_mb, objects, descriptors, threads = row.tolist()
    return Sample(at_s, resident_mb, allocated_mb, int(objects), int(descriptors), int(threads))


class _Allocations(ctypes.Structure):
    """As ``struct mallinfo2`` of glibc."""

    _fields_ = (
        *((f"unused_{place}", ctypes.c_size_t) for place in range(4)),
        ("in_mappings", ctypes.c_size_t),  # hblkhd
        *((f"unused_{place}", ctypes.c_size_t) for place in range(5, 7)),
        ("in_use", ctypes.c_size_t),  # uordblks
        *((f"unused_{place}", ctypes.c_size_t) for place in range(8, 10)),
    )


def soak_all(minutes: float, fps: float) -> bool:
    """Run all kinds at once, each in a process; True if none failed."""
    script = f"import soak_stream; raise SystemExit(not soak_stream.soak(*ARGUMENTS, {minutes}, {fps}))"
    commands = [script.replace("*ARGUMENTS", f"{backend!r}, {how!r}") for backend, how in KINDS]
    here = Path(__file__).parent
    runs = [subprocess.Popen([sys.executable, "-c", command], cwd=here) for command in commands]
    codes = [run.wait() for run in runs]
    return not any(codes)


def soak(backend: str, how: str, minutes: float, fps: float) -> bool:
    """Stream for some minutes; print a line per minute and one at the end; False if something grew."""
    name = f"{backend} {how}"
    settings = SessionSettings(threads=1)
    samples = Samples(minutes * 60)
    with edgevision.load(
        MODEL, backend, settings=settings, tune=False, isolate=how == "isolated", selftest="never"
    ) as model:
        stream = model.stream(_camera(minutes * 60, fps), "latest")
        began = minute_began = time.monotonic()
        answer_ms: list[float] = []
        age_ms: list[float] = []
        for _, result in stream:
            result.value  # noqa: B018 - raises if a frame failed
            times, now = result.times, time.monotonic()
            answer_ms.append(times.preprocess_ms + times.inference_ms + times.postprocess_ms)
            age_ms.append(result.age_ms)
            if not samples.count or now - began - samples.last.at_s >= _BETWEEN_SAMPLES_S:
                samples.add(_sample(now - began))
            if now - minute_began >= 60:
                click.echo(
                    f"{name}, minute {(now - began) / 60:.0f}: {_told(answer_ms, age_ms, samples.last)}"
                )
                minute_began, answer_ms, age_ms = now, [], []
        counters = stream.counters
    later = samples.later()
    slope, error = _slope_per_hour(later, 1)
    allocated, objects = _slope_per_hour(later, 2), _slope_per_hour(later, 3)
    descriptors = max(sample.descriptors for sample in later) - later[0].descriptors
    threads = max(sample.threads for sample in later) - later[0].threads
    grows = slope > max(_ERRORS * error, _MOST_MB_PER_HOUR) or descriptors > 0 or threads > 0
    click.echo(
        f"{name}: {counters.answered} of {counters.captured} frames answered, dropped {counters.dropped}; "
        f"memory {slope:+.2f} MB per hour (standard error {error:.2f}), {later[0].resident_mb:.1f} MB after "
        f"the first minute, {later[-1].resident_mb:.1f} MB at the end; allocated in this process "
        f"{allocated[0]:+.3f} MB per hour ({allocated[1]:.3f}), Python objects {objects[0]:+.0f} per hour "
        f"({objects[1]:.0f}); descriptors {descriptors:+d}, threads "
        f"{threads:+d}: {'GROWS' if grows else 'ok'}"
    )
    return not grows


def _camera(seconds: float, fps: float) -> Iterator[NDArray[np.uint8]]:
    random = np.random.default_rng(0)
    frames = random.integers(0, 256, (30, 480, 640, 3), np.uint8)
    start = time.monotonic()
    for index in range(round(seconds * fps)):
        time.sleep(max(0.0, start + (index + 1) / fps - time.monotonic()))
        yield frames[index % len(frames)]


def _told(answer_ms: list[float], age_ms: list[float], sample: Sample) -> str:
    answer, age = np.percentile(answer_ms, (50, 99)), np.percentile(age_ms, (50, 99))
    return (
        f"{len(age_ms)} answers, p50 {answer[0]:.2f} p99 {answer[1]:.2f} ms; age p50 {age[0]:.1f} p99 "
        f"{age[1]:.1f} ms; {sample.resident_mb:.1f} MB, {sample.descriptors} descriptors, "
        f"{sample.threads} threads"
    )


def _slope_per_hour(later: list[Sample], field: int) -> tuple[float, float]:
    """Slope of a field of the samples after the warm-up, by least squares, and its standard error.

    Neighbouring samples are not independent: the error is that of means over ten of them.
    """
    values_at = np.array([(sample.at_s, sample[field]) for sample in later])
    means = values_at[: len(later) // 10 * 10].reshape(-1, 10, 2).mean(1)
    if len(means) < 3:
        raise click.UsageError("--minutes: expected 3 at least: the first one is not counted")
    hours, values = means[:, 0] / 3600, means[:, 1]
    slope, start = np.polyfit(hours, values, 1)
    residuals = values - (slope * hours + start)
    variance = float(residuals @ residuals) / (len(values) - 2)
    return float(slope), float(np.sqrt(variance / ((hours - hours.mean()) ** 2).sum()))


def _sample(at_s: float) -> Sample:
    """Of this process and its children, which an isolated session has."""
    gc.collect()  # what is garbage by now is no growth
    pids = ["self", *_children()]
    pages = descriptors = threads = 0
    for pid in pids:
        process = Path("/proc", pid)
        try:
            pages += int((process / "statm").read_text().split()[1])
            descriptors += sum(1 for _ in (process / "fd").iterdir())
            threads += sum(1 for _ in (process / "task").iterdir())
        except OSError:  # it ended meanwhile
            continue
    return Sample(at_s, pages * 4096 / 1e6, _allocated_mb(), sys.getallocatedblocks(), descriptors, threads)


def _allocated_mb() -> float:
    """By this process from glibc, which has to be 2.33 or later; nan elsewhere."""
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is None:
        return math.nan
    mallinfo.restype = _Allocations
    found = mallinfo()
    return float(found.in_use + found.in_mappings) / 1e6


def _children() -> Iterator[str]:
    for task in Path("/proc/self/task").iterdir():
        yield from (task / "children").read_text().split()
