"""However a stream is left, its threads end and its source is closed: on the machine's own time."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from edgevision.errors import ForkedSessionError, OptionError, StreamBrokenError, StreamError
from edgevision.testing import fake_classifier

MODEL = fake_classifier(["a", "b"], [0.25, 0.75], size_wh=(8, 8))


class Endless:
    """An iterator of frames that notes its end."""

    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Iterator[Any]:
        try:
            while True:
                time.sleep(0.001)
                yield np.zeros((8, 8, 3), np.uint8)
        finally:
            self.closed = True


def own_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("edgevision-")}


def by_break(source: Endless) -> None:
    for _ in MODEL.stream(source):
        break


def by_break_while_it_is_held(source: Endless) -> None:
    stream = MODEL.stream(source)
    for _ in stream:
        break
    assert stream.counters.answered == 1
    assert stream.counters.in_progress == 0


def by_an_exception(source: Endless) -> None:
    with suppress(ZeroDivisionError):
        for _ in MODEL.stream(source):
            _ = 1 // 0


def by_the_end_of_a_block(source: Endless) -> None:
    with MODEL.stream(source) as stream:
        next(iter(stream))


def by_close(source: Endless) -> None:
    stream = MODEL.stream(source)
    frames = iter(stream)
    next(frames)
    stream.close()
    assert next(frames, None) is None


def by_close_in_another_thread(source: Endless) -> None:
    stream = MODEL.stream(source, "queue(2)")
    threading.Timer(0.05, stream.close).start()
    assert sum(1 for _ in stream) > 0


def by_garbage(source: Endless) -> None:
    frames = iter(MODEL.stream(source))
    next(frames)
    del frames
    gc.collect()


def by_ctrl_c(source: Endless) -> None:
    threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with suppress(KeyboardInterrupt):
        for _ in MODEL.stream(source):
            pass


def by_async_break(source: Endless) -> None:
    async def watch() -> None:
        count = 0
        async for frame, result in MODEL.stream(source, "wait"):
            assert result.ok
            assert frame.index == count
            count += 1
            if count == 5:
                break

    asyncio.run(watch())


def by_cancelling_a_task(source: Endless) -> None:
    async def watch() -> None:
        async for _ in MODEL.stream(source, "wait"):
            await asyncio.sleep(0)

    async def cancel() -> None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(watch(), 0.05)

    asyncio.run(cancel())


WAYS = [
    by_break,
    by_break_while_it_is_held,
    by_an_exception,
    by_the_end_of_a_block,
    by_close,
    by_close_in_another_thread,
    by_garbage,
    by_ctrl_c,
    by_async_break,
    by_cancelling_a_task,
]


@pytest.mark.parametrize("leave", WAYS, ids=lambda way: way.__name__)
def test_threads_end_and_the_source_is_closed(leave: Callable[[Endless], None]) -> None:
    source, before = Endless(), own_threads()
    leave(source)
    assert own_threads() <= before
    assert source.closed


def test_async_for_gives_what_for_gives() -> None:
    images = [np.full((8, 8, 3), value, np.uint8) for value in range(20)]

    async def watch() -> list[int]:
        return [frame.index async for frame, result in MODEL.stream(images) if result.ok]

    assert asyncio.run(watch()) == [frame.index for frame, _ in MODEL.stream(images)] == list(range(20))


def test_async_for_raises_what_ended_the_stream() -> None:
    def failing() -> Iterator[Any]:
        yield np.zeros((8, 8, 3), np.uint8)
        raise ValueError("no light")

    seen = []

    async def watch() -> None:
        async for frame, _ in MODEL.stream(failing()):
            seen.append(frame.index)

    with pytest.raises(StreamBrokenError, match="no light"):
        asyncio.run(watch())
    assert seen == [0]


def test_a_stream_runs_once() -> None:
    stream = MODEL.stream([np.zeros((8, 8, 3), np.uint8)])
    assert len(list(stream)) == 1
    with pytest.raises(OptionError, match="this stream has run"):
        list(stream)


def test_many_streams_one_after_the_other_leave_nothing_behind() -> None:
    before = own_threads()
    for _ in range(50):
        by_break(Endless())
    assert own_threads() <= before


def test_a_fork_in_the_middle_of_a_stream_is_told_in_the_child() -> None:
    stream = MODEL.stream(Endless())
    frames = iter(stream)
    next(frames)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            next(frames)
        except ForkedSessionError:
            os.write(write, b"told")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 4) == b"told"
    assert next(frames)[1].ok
    stream.close()


@pytest.mark.parametrize("ending", ["", "raise SystemExit(7)", "os.kill(os.getpid(), signal.SIGTERM)"])
def test_a_process_that_ends_in_the_middle_of_a_stream_keeps_its_exit_code(ending: str) -> None:
    script = f"""
import os, signal, time
import numpy as np
from edgevision.testing import fake_classifier

def frames():
    while True:
        time.sleep(0.001)
        yield np.zeros((480, 640, 3), np.uint8)

model = fake_classifier(["a", "b"], [0.25, 0.75])
stream = model.stream(frames())
it = iter(stream)
next(it)
{ending}
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    expected = 0 if not ending else 7 if "7" in ending else -signal.SIGTERM
    assert done.returncode == expected, done.stderr
    assert done.stderr == ""


def test_memory_stays_bounded_where_nobody_takes_results() -> None:
    produced = itertools.count()

    def frames() -> Iterator[Any]:
        while True:
            next(produced)
            yield np.zeros((8, 8, 3), np.uint8)

    for policy, most in (("wait", 8), ("queue(5)", 12)):
        stream = MODEL.stream(frames(), policy)
        held = iter(stream)
        next(held)
        time.sleep(0.2)
        assert stream.counters.in_progress <= most
        stream.close()


@pytest.mark.parametrize("refused", ["edgevision-work", "edgevision-watch", "edgevision-read"])
def test_a_system_that_starts_no_more_threads_is_told(monkeypatch: pytest.MonkeyPatch, refused: str) -> None:
    before, start = own_threads(), threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == refused:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(StreamError, match="the system starts no more threads"):
        list(MODEL.stream(Endless()))
    assert own_threads() <= before


def test_a_second_loop_over_a_stream_leaves_the_first_alone() -> None:
    stream = MODEL.stream(Endless(), "wait")
    frames = iter(stream)
    next(frames)
    with pytest.raises(OptionError, match="this stream has run"):
        next(iter(stream))
    assert next(frames)[1].ok
    stream.close()


def test_async_for_ends_where_the_last_frames_are_too_old() -> None:
    images = [np.zeros((8, 8, 3), np.uint8)] * 5
    slow = fake_classifier(["a", "b"], lambda image: time.sleep(0.02) or [0.25, 0.75], size_wh=(8, 8))

    async def watch() -> int:
        return len([0 async for _ in slow.stream(images, "queue(5)", max_age_ms=30)])

    assert asyncio.run(asyncio.wait_for(watch(), 20)) < 5
