"""Limits of a child process: each job of a worker has its own, and more than there is cannot be had."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("resource")

CODE = """
import resource
from edgevision.execution.limits import limit_this_process
seen = []
for seconds in (10, 1000):
    limit_this_process(seconds)
    seen.append(resource.getrlimit(resource.RLIMIT_CPU)[0])
print(seen[0] < seen[1])
try:
    bytearray(1 << 44)
except MemoryError:
    print("no memory")
"""


def test_a_later_job_gets_its_own_time_and_memory_is_limited() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["True", "no memory"]
