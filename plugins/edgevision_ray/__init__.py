"""Batches on the machines of a Ray cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import edgevision

if TYPE_CHECKING:
    from edgevision.executor import Executor


@edgevision.hookimpl
def edgevision_executors() -> list[Executor]:
    """As `edgevision.hookspecs.edgevision_executors`."""
    from edgevision_ray.executor import RayExecutor

    return [RayExecutor()]
