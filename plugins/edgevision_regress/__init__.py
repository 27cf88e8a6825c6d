"""Regression: values that a network estimates about an image; a task like that of any other package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevision import hookimpl

if TYPE_CHECKING:
    from edgevision.tasks.api import TaskKind


@hookimpl
def edgevision_tasks() -> list[TaskKind]:
    """As `edgevision.hookspecs.edgevision_tasks`."""
    from edgevision_regress.kind import RegressKind  # not at the top: `edgevision --help` imports no numpy

    return [RegressKind()]
