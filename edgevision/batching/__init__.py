"""Many images: predictions about them, or their evaluation, on this machine or a cluster, resumable.

The executor that needs nothing but this process is a plugin like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevision.hookspecs import hookimpl

if TYPE_CHECKING:
    from edgevision.executor import Executor


@hookimpl
def edgevision_executors() -> list[Executor]:
    """As `edgevision.hookspecs.edgevision_executors`."""
    # Imported here: `edgevision --help` asks plugins for commands, and must not wait for threads.
    from edgevision.batching.local import LocalExecutor

    return [LocalExecutor()]
