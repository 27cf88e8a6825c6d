"""Lines that libraries write from C++, past Python's own streams."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_STDERR = 2
_REDIRECTED = Lock()


@contextmanager
def without_native_lines(start: bytes) -> Iterator[None]:
    """A context in which lines on the process's standard error that begin with `start` are dropped.

    What else is written there, by other threads too, appears when the context ends: keep it short.
    """
    with _REDIRECTED, tempfile.TemporaryFile() as kept:
        try:
            original = os.dup(_STDERR)
        except OSError:  # closed: nobody sees the lines
            yield
            return
        sys.stderr.flush()
        os.dup2(kept.fileno(), _STDERR)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(original, _STDERR)
            os.close(original)
            kept.seek(0)
            for line in kept:
                if not line.startswith(start):
                    os.write(_STDERR, line)
