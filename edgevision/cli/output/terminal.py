"""Terminal output of long commands: progress, without the messages that libraries print."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import click

from edgevision.cli.lines import one_line
from edgevision.cli.options.verbosity import log_to, verbosity
from edgevision.system.progress import Progress
from edgevision.system.reading import null_device

_SECONDS_BETWEEN_MOVES = 0.5


@contextmanager
def without_noise() -> Iterator[TextIO]:
    """Discard what libraries write to stdout and stderr, from C++ too.

    Yields:
        The real stderr, for progress; the log goes there as well.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with (
        null_device() as noise,
        os.fdopen(os.dup(saved[1]), "w", buffering=1) as stderr,
        log_to(stderr),
    ):
        os.dup2(noise.fileno(), 1)
        os.dup2(noise.fileno(), 2)
        try:
            yield stderr
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, descriptor in zip((1, 2), saved, strict=True):
                os.dup2(descriptor, number)
                os.close(descriptor)


@contextmanager
def progress_on(stream: TextIO, in_milliseconds: bool = False) -> Iterator[Progress | None]:
    """Show progress on a stream: a bar on a terminal, one line per stage elsewhere or between log lines.

    Args:
        stream: where to show it.
        in_milliseconds: True if the steps are milliseconds: the bar then moves on its own between two steps,
            and shows the time that is left.

    Yields:
        The function to call after each step; `None` with ``-q``.
    """
    if verbosity() < 0:
        yield None
    elif verbosity() > 0 or not stream.isatty():
        yield _StageLines(stream)
    elif in_milliseconds:
        with _MovingBar(stream) as moving:
            yield moving
    else:
        with click.progressbar(length=1000, file=stream, label=" " * 34, show_eta=False) as bar:

            def show(stage: str, done: int, total: int) -> None:
                label = f"{one_line(stage):34.34}"
                if label != bar.label:
                    bar.label = label
                    bar.render_progress()
                bar.update(done * 1000 // max(total, 1) - bar.pos)

            yield show


class _MovingBar:
    """A bar over estimated time, which moves on while the caller is busy."""

    def __init__(self, stream: TextIO) -> None:
        self._bar = click.progressbar(
            length=1000, file=stream, label=" " * 34, show_eta=False, item_show_func=_shown, width=24
        )
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._reported = (0, 1, time.monotonic())
        self._thread = threading.Thread(target=self._move, name="edgevision-progress", daemon=True)

    def __enter__(self) -> _MovingBar:
        self._bar.__enter__()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._ended.set()
        self._thread.join()
        if kind is None:
            self._bar.update(1000 - self._bar.pos, "")
            self._bar.render_progress()
        self._bar.render_finish()

    def __call__(self, stage: str, done: int, total: int) -> None:
        with self._lock:
            self._reported = (done, total, time.monotonic())
            self._bar.label = f"{one_line(stage):34.34}"
            self._show()

    def _move(self) -> None:
        while not self._ended.wait(_SECONDS_BETWEEN_MOVES):
            with self._lock:
                self._show()

    def _show(self) -> None:
        done, total, reported = self._reported
        now = done + 1000 * (time.monotonic() - reported)
        place = int(1000 * now / max(total, now, 1))
        self._bar.update(max(0, place - self._bar.pos), time_left((total - now) / 1000))
        self._bar.render_progress()


def _shown(text: str | None) -> str:
    return text or ""


def time_left(seconds: float) -> str:
    """An estimate of a duration in words, such as ``about 3 min left``; empty if none is left."""
    if seconds <= 0:
        return ""
    if seconds <= 55:
        return f"about {5 * math.ceil(seconds / 5)} s left"
    if seconds < 3600:
        return f"about {math.ceil(seconds / 60)} min left"
    return f"about {seconds / 3600:.1f} h left"


class _StageLines:
    """One line for each stage that begins."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage:
            self._stage = stage
            print(f"edgevision: {one_line(stage)}", file=self._stream)
