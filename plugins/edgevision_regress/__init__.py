"""Regression, embeddings, depth maps: numbers of an image or its pixels; tasks like those of any package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevision import hookimpl

if TYPE_CHECKING:
    from edgevision.tasks.api import TaskKind


@hookimpl
def edgevision_tasks() -> list[TaskKind]:
    """As `edgevision.hookspecs.edgevision_tasks`."""
    # Not at the top: `edgevision --help` imports no numpy.
    from edgevision_regress.depth_kind import DepthKind
    from edgevision_regress.embed_kind import EmbedKind
    from edgevision_regress.kind import RegressKind

    return [RegressKind(), EmbedKind(), DepthKind()]
