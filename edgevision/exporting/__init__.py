"""Bundles in the forms that other programs expect; a plugin like any other that provides such forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevision.hookspecs import hookimpl

if TYPE_CHECKING:
    from edgevision.export_format import ExportFormat


@hookimpl
def edgevision_export_formats() -> list[ExportFormat]:
    """The forms of programs that run several backends' formats."""
    # Imported here: `edgevision --help` asks plugins for commands, and must not import numpy.
    from edgevision.exporting.frigate import Frigate
    from edgevision.exporting.ovms import OpenVINOModelServer
    from edgevision.exporting.triton import Triton

    return [Frigate(), Triton(), OpenVINOModelServer()]
