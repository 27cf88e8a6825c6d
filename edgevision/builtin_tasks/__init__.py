"""The task kinds that come with EdgeVision, one module each; a plugin like any other.

This package stands above what a workstation needs, since a kind gives its evaluation too; each is imported
when it is asked for, so that a device imports models alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevision.hookspecs import hookimpl

if TYPE_CHECKING:
    from edgevision.tasks.kind import TaskKind


@hookimpl
def edgevision_tasks() -> list[TaskKind]:
    """As `edgevision.hookspecs.edgevision_tasks`."""
    # Imported here: `edgevision --help` asks plugins for commands, and must not import numpy.
    from edgevision.builtin_tasks.classify import ClassifyKind
    from edgevision.builtin_tasks.detect import DetectKind
    from edgevision.builtin_tasks.generate import GenerateKind

    return [ClassifyKind(), DetectKind(), GenerateKind()]
