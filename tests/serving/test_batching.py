"""Requests that wait: together where the network allows it, never more than may, and none is forgotten."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from edgevision.artifact import Artifact
from edgevision.errors import InferenceError
from edgevision.serving.batching import (
    BatchingQueue,
    ExpiredError,
    Job,
    QueueClosedError,
    QueueFullError,
    batch_sizes,
)
from edgevision.session import open_session
from edgevision.slots import FunctionBackend, FunctionSession
from edgevision.tensors import TensorSpec


def double(inputs: Any) -> Any:
    return {"y": inputs["x"] * 2}


@contextmanager
def queue(
    function: Callable[..., Any] = double,
    batch: int | None = None,
    slots: int = 1,
    capacity: int = 4,
    max_batch: int = 4,
    delay_s: float = 0.0,
) -> Iterator[BatchingQueue]:
    spec = TensorSpec("x", (batch, 2), "float32")
    outputs = [TensorSpec("y", (batch, 2), "float32")]
    backend = FunctionBackend("double", lambda artifact: FunctionSession([spec], function, outputs))
    with open_session(backend, Artifact("double", "float32", {"x.double": b""})) as session:
        one = BatchingQueue(session, slots, capacity, max_batch, delay_s)
        yield one
        one.close()


def job(value: float, rows: int = 1, wait_s: float = 60.0) -> Job:
    return Job(None, {"x": np.full((rows, 2), value, np.float32)}, rows, time.monotonic() + wait_s)


@contextmanager
def busy(one: BatchingQueue) -> Iterator[None]:
    """Its only slot is taken until the block ends."""
    begun, ends = threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        ends.wait(60)

    one.submit(Job(call, None, 1, time.monotonic() + 60))
    assert begun.wait(60)
    try:
        yield
    finally:
        ends.set()


def test_what_waits_together_is_run_together_and_answered_apart() -> None:
    with queue() as one:
        jobs = [job(value, rows) for value, rows in ((1.0, 1), (2.0, 2), (3.0, 1), (4.0, 3))]
        with busy(one):
            for each in jobs:
                one.submit(each)
        for value, each in enumerate(jobs, 1):
            np.testing.assert_array_equal(each.done.result(60)["y"], np.full((each.rows, 2), 2.0 * value))
        assert (one.batches, one.rows) == (2, 7)  # 1 + 2 + 1, and 3, which had no room beside them


def test_a_full_batch_does_not_wait_for_its_delay() -> None:
    with queue(max_batch=2, delay_s=600) as one:
        jobs = [job(1.0), job(2.0)]
        for each in jobs:
            one.submit(each)
        assert [each.done.result(60)["y"][0, 0] for each in jobs] == [2.0, 4.0]
        assert one.batches == 1


def test_one_request_waits_for_others_no_longer_than_its_delay() -> None:
    with queue(delay_s=0.05) as one:
        alone = job(3.0)
        one.submit(alone)
        assert alone.done.result(60)["y"][0, 0] == 6.0


def test_a_request_that_is_no_tensor_ends_the_wait_for_others() -> None:
    with queue(delay_s=600) as one:
        first, other = job(1.0), Job(lambda: "seen", None, 1, time.monotonic() + 60)
        one.submit(first)
        one.submit(other)
        assert first.done.result(60)["y"][0, 0] == 2.0
        assert other.done.result(60) == "seen"


def test_more_than_may_wait_is_refused_at_once() -> None:
    with queue(capacity=2) as one, busy(one):
        one.submit(job(1.0))
        one.submit(job(2.0))
        with pytest.raises(QueueFullError) as raised:
            one.submit(job(3.0))
        assert raised.value.retry_after_s >= 0
        assert one.waiting == 2


def test_who_left_or_waited_too_long_takes_no_slot() -> None:
    ran: list[float] = []

    def note(inputs: Any) -> Any:
        ran.append(float(inputs["x"][0, 0]))
        return double(inputs)

    with queue(note, max_batch=1) as one:
        left, late, stays = job(7.0), job(8.0, wait_s=0), job(9.0)
        with busy(one):
            for each in (left, late, stays):
                one.submit(each)
            assert left.done.cancel()
        assert stays.done.result(60)["y"][0, 0] == 18.0
        with pytest.raises(ExpiredError):
            late.done.result(60)
        assert ran == [9.0]


def test_closing_finishes_what_was_taken_and_takes_no_more() -> None:
    with queue(capacity=8, max_batch=1) as one:
        jobs = [job(float(value)) for value in range(5)]
        with busy(one):
            for each in jobs:
                one.submit(each)
            closing = threading.Thread(target=one.close)
            closing.start()
            while not one._closed:
                time.sleep(0.001)
            with pytest.raises(QueueClosedError):
                one.submit(job(1.0))
        closing.join(60)
        assert [each.done.result(0)["y"][0, 0] for each in jobs] == [0, 2, 4, 6, 8]


def test_a_failure_is_of_those_that_ran_and_of_nobody_else() -> None:
    def fails(inputs: Any) -> Any:
        if (inputs["x"] == 5).any():
            raise ValueError("five")
        return double(inputs)

    with queue(fails) as one:
        bad, good = job(5.0), job(6.0)
        one.submit(bad)
        with pytest.raises(InferenceError, match="five"):
            bad.done.result(60)
        one.submit(good)
        assert good.done.result(60)["y"][0, 0] == 12.0


@pytest.mark.parametrize(
    ("function", "batch"),
    [
        (lambda inputs: {"y": inputs["x"] - inputs["x"].mean(axis=0)}, None),  # rows depend on each other
        (lambda inputs: {"y": inputs["x"][::-1].copy()}, None),
        (double, 1),
    ],
    ids=["mean of the batch", "order of the batch", "a fixed batch"],
)
def test_a_network_that_answers_rows_otherwise_together_runs_each_request_alone(
    function: Any, batch: int | None
) -> None:
    with queue(function, batch) as one:
        assert not one.joins
        jobs = [job(1.0), job(2.0)]
        with busy(one):
            for each in jobs:
                one.submit(each)
        for each in jobs:
            np.testing.assert_array_equal(each.done.result(60)["y"], function(each.inputs)["y"])
        assert one.batches == 2


@pytest.mark.parametrize("rows", range(1, 9))
def test_rows_are_run_in_few_sizes(rows: int) -> None:
    sizes: set[int] = set()

    def note(inputs: Any) -> Any:
        sizes.add(len(inputs["x"]))
        return double(inputs)

    with queue(note, max_batch=8) as one:
        sizes.clear()
        asked = job(1.0, rows)
        asked.inputs["x"][:, 0] = np.arange(rows)  # type: ignore[index]
        one.submit(asked)
        np.testing.assert_array_equal(asked.done.result(60)["y"][:, 0], 2 * np.arange(rows))
    assert sizes <= set(batch_sizes(8, 1))


@pytest.mark.parametrize(
    ("max_batch", "slots", "sizes"),
    [(8, 1, (8, 4, 2, 1)), (8, 100, (8, 1)), (1, 1, (1,)), (6, 1, (6, 3, 1)), (100, 1, (100, 50, 25, 1))],
)
def test_the_sizes_are_as_many_as_a_session_keeps(max_batch: int, slots: int, sizes: Any) -> None:
    assert batch_sizes(max_batch, slots) == sizes
