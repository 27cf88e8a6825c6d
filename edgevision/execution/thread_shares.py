"""How many threads work on a set of images, each with how many of the runtime's own, and who waits."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from edgevision.backend import SessionSettings
from edgevision.system.cores import cores


def shared_out(settings: SessionSettings, blocks: int) -> tuple[int, SessionSettings]:
    """The number of workers for some blocks, and the settings of their session.

    One worker per core, each with one thread of the runtime; if `settings` set the threads of a call,
    only as many workers as fit on the cores.
    """
    workers = min(blocks, cores() // (settings.threads or 1))
    if workers < 2:
        return 1, settings
    if settings.threads is None and settings.device in (None, "cpu"):
        settings = replace(settings, threads=1)
    return workers, settings


def turn_on(device: str) -> AbstractContextManager[object]:
    """A context for running a session on `device`: none on the CPU, a lock elsewhere.

    Other devices serve one caller at a time, and each slot takes some of their memory.
    """
    return nullcontext() if device == "cpu" else threading.Lock()
