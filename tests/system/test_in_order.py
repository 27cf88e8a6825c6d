"""Blocks on several threads: in order, a limited number at a time, and no thread left behind."""

from __future__ import annotations

import _thread
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgevision.errors import InferenceError
from edgevision.system.in_order import in_blocks, in_order

WORKERS = 3


class _Image:
    """Something large that can be watched."""

    def __init__(self) -> None:
        self.pixels = np.zeros((64, 64, 3), np.uint8)


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("edgevision")]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_the_order_of_the_blocks_however_long_each_takes(workers: int) -> None:
    slow = threading.Event()

    def work(block: list[int]) -> list[int]:
        if workers > 1 and block[0] == 0:
            assert slow.wait(10), "the second block was not worked on meanwhile"
        else:
            slow.set()
        return [10 * number for number in block]

    with in_order(work, in_blocks(range(23), 4), workers) as results:
        assert list(results) == [10 * number for number in range(23)]
    assert _threads() == []


def test_no_block_gives_no_result() -> None:
    with in_order(list[int], [], WORKERS) as results:
        assert list(results) == []


def test_memory_does_not_grow_with_the_number_of_blocks() -> None:
    alive: weakref.WeakSet[_Image] = weakref.WeakSet()
    most, begun = 0, 0

    def blocks() -> Iterator[int]:
        nonlocal begun
        for number in range(1, 201):
            begun = number
            yield number

    def work(block: int) -> list[int]:
        nonlocal most
        images = [_Image() for _ in range(4)]
        alive.update(images)
        most = max(most, len(alive))
        return [block] * len(images)

    with in_order(work, blocks(), WORKERS) as results:
        for taken, _ in enumerate(results):
            assert begun <= taken // 4 + 2 * WORKERS, "blocks were begun long before they were wanted"
    assert most <= 4 * WORKERS


def test_an_error_is_raised_after_the_results_before_it_and_ends_all() -> None:
    begun = []

    def work(block: int) -> Iterator[int]:
        begun.append(block)
        yield 2 * block
        if block == 5:
            raise InferenceError("the runtime failed")

    taken: list[int] = []

    def take() -> None:
        with in_order(work, range(99), WORKERS) as results:
            for one in results:
                taken.append(one)

    with pytest.raises(InferenceError, match="the runtime failed"):
        take()
    assert taken == [0, 2, 4, 6, 8, 10]
    assert max(begun) <= 5 + 2 * WORKERS
    assert _threads() == []


def test_leaving_early_stops_workers_between_two_results_and_drops_waiting_blocks() -> None:
    finished = []
    taken = threading.Event()

    def work(block: int) -> Iterator[int]:
        yield block
        if block:
            taken.wait(10)
            yield from range(1_000_000)
            finished.append(block)

    with in_order(work, range(100), WORKERS) as results:
        assert next(results) == 0
        taken.set()
    assert finished == []
    assert _threads() == []


def test_an_error_of_the_consumer_stops_the_workers_too() -> None:
    with pytest.raises(ZeroDivisionError), in_order(lambda n: [n], range(100), WORKERS) as results:
        1 / next(results)
    assert _threads() == []


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to a child")
def test_ctrl_c_ends_it_while_real_networks_run() -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    script = """
        import signal
        import sys
        import numpy as np
        import edgevision
        from edgevision.system.in_order import in_order

        # A shell starts what it runs in the background with SIGINT ignored, and children inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        image = edgevision.InputOptions(value_range=(0.0, 1.0))
        bare = edgevision.BareModel(image, score_kind="softmax", output="scores")
        model = edgevision.load(sys.argv[1], "tflite", bare=bare)
        image = np.zeros((480, 640, 3), np.uint8)
        def work(image):
            while True:
                yield model(image)
        with in_order(lambda n: [model(image)] if n == 0 else work(image), range(100), 3) as results:
            print(type(next(results)).__name__, flush=True)
            next(results)
    """
    model = Path(__file__).parents[1] / "data" / "tiny.tflite"
    words = [sys.executable, "-c", textwrap.dedent(script), model]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "Classification\n"
        process.send_signal(signal.SIGINT)
        try:
            _, output = process.communicate(timeout=30)
        finally:
            process.kill()  # one that runs on would be waited for without an end
    assert process.returncode == -signal.SIGINT, output
    assert "KeyboardInterrupt" in output


def test_ctrl_c_that_arrives_just_before_the_wait_for_a_result_is_not_lost() -> None:
    running, noticed, ended = threading.Event(), threading.Event(), threading.Event()

    def work(block: int) -> Iterator[int]:
        running.set()
        ended.wait()
        yield block

    def interrupt() -> None:
        running.wait()
        time.sleep(0.2)  # now the caller waits
        _thread.interrupt_main()  # as a signal that came before: it wakes nobody
        noticed.wait(timeout=10)
        ended.set()

    threading.Thread(target=interrupt).start()
    try:
        with in_order(work, range(9), WORKERS) as results:
            try:
                next(results)
            except KeyboardInterrupt:
                waited_for_a_result = ended.is_set()
                noticed.set()
                raise
    except KeyboardInterrupt:
        assert not waited_for_a_result
    else:
        pytest.fail("the interrupt was lost")
