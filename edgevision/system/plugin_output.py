"""Says whether code of a plugin runs, so that the command line keeps what it prints out of its own output."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: True in a thread, and the tasks that it starts, while it runs code of a plugin.
runs_plugin: ContextVar[bool] = ContextVar("runs_plugin", default=False)


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Send to stderr what a library writes to descriptor 1 in a block, from native code too.

    For plugins of runtimes that print. The descriptor is that of the whole process, so that a block is for
    what happens seldom: an import, or opening a model.
    """
    with _redirecting:
        saved = os.dup(1)
        os.dup2(2, 1)
        try:
            yield
        finally:
            os.dup2(saved, 1)
            os.close(saved)


#: Two threads would each put back what the other one set.
_redirecting = threading.RLock()
