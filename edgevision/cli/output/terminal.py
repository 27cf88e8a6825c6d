"""Terminal output of long commands: progress, without the messages that libraries print."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import click

from edgevision.cli.options.verbosity import log_to, verbosity
from edgevision.system.progress import Progress


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
        tempfile.TemporaryFile() as noise,
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
def progress_on(stream: TextIO) -> Iterator[Progress | None]:
    """Show progress on a stream: a bar on a terminal, one line per stage elsewhere or between log lines.

    Yields:
        The function to call after each step; `None` with ``-q``.
    """
    if verbosity() < 0:
        yield None
    elif verbosity() > 0 or not stream.isatty():
        yield _StageLines(stream)
    else:
        with click.progressbar(length=1000, file=stream, label=" " * 34, show_eta=False) as bar:

            def show(stage: str, done: int, total: int) -> None:
                label = f"{stage:34.34}"
                if label != bar.label:
                    bar.label = label
                    bar.render_progress()
                bar.update(done * 1000 // max(total, 1) - bar.pos)

            yield show


class _StageLines:
    """One line for each stage that begins."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage:
            self._stage = stage
            print(f"edgevision: {stage}", file=self._stream)
