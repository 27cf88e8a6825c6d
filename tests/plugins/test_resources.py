"""Closing a session gives memory, threads and descriptors back at once, on real runtimes."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edgevision.artifact import Artifact
from edgevision.plugins import registry
from edgevision.session import open_session

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="counts threads in Linux's /proc"
)

BACKENDS = {
    "tflite": ("tiny_tflite", "ai_edge_litert"),
    "onnx": ("tiny_onnx", "onnxruntime"),
    "openvino": ("tiny_ir", "openvino"),
}


@pytest.fixture(params=BACKENDS)
def use_once(request: pytest.FixtureRequest) -> Callable[[], None]:
    """Opens a session, uses it in every way, and closes it."""
    fixture, module = BACKENDS[request.param]
    pytest.importorskip(module, reason=f"{module} is not installed")
    artifact: Artifact = request.getfixturevalue(fixture)
    backend = registry().backend(request.param)

    def use() -> None:
        session = open_session(backend, artifact)
        spec = session.inputs[0]
        for batch in (1, 2):
            session.run({spec.name: np.ones(spec.with_batch(batch), spec.dtype)})
        with session.lease() as first, session.lease() as second:
            first.run()
            second.run()
        session.close()

    return use


@pytest.fixture
def without_garbage_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_garbage_collector")
def test_closed_sessions_keep_no_thread_descriptor_or_memory(use_once: Callable[[], None]) -> None:
    for _ in range(3):  # what the runtime keeps for the process
        use_once()
    before = threads_and_descriptors()
    memory = resident_mb()
    for _ in range(30):
        use_once()
    after = threads_and_descriptors()
    # A thread that has ended may be listed for a moment longer, never one for each session.
    assert after[0] <= before[0] + 3
    assert after[1] == before[1]
    assert resident_mb() - memory < 5


def threads_and_descriptors() -> tuple[int, int]:
    return count("task"), count("fd")


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def count(kind: str) -> int:
    return len(list(Path("/proc/self", kind).iterdir()))
