"""What a long command shows: a progress bar, and none of the libraries' noise."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import click

from edgevision.system.progress import Progress


@contextmanager
def without_noise() -> Iterator[TextIO]:
    """Keep what libraries print, from C++ too, off the terminal.

    Yields:
        The real stderr, for what people shall see.

    The noise goes into a temporary file, whose end is shown if a bug shows.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as noise, os.fdopen(os.dup(kept[1]), "w", buffering=1) as stderr:
        os.dup2(noise.fileno(), 1)
        os.dup2(noise.fileno(), 2)
        try:
            yield stderr
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, descriptor in zip((1, 2), kept, strict=True):
                os.dup2(descriptor, number)
                os.close(descriptor)


@contextmanager
def progress_on(stream: TextIO) -> Iterator[Progress]:
    """Show progress on a stream: a bar on a terminal, a line a stage elsewhere."""
    if not stream.isatty():
        yield _StageLines(stream)
        return
    with click.progressbar(length=1000, file=stream, label=" " * 34, show_eta=False) as bar:

        def tell(stage: str, done: int, steps: int) -> None:
            label = f"{stage:34.34}"
            if label != bar.label:
                bar.label = label
                bar.render_progress()
            bar.update(done * 1000 // max(steps, 1) - bar.pos)

        yield tell


class _StageLines:
    """A line for each stage that begins."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._stage = ""

    def __call__(self, stage: str, done: int, steps: int) -> None:
        if stage != self._stage:
            self._stage = stage
            print(f"edgevision: {stage}", file=self._stream)
