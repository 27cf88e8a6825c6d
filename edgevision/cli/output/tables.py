"""Plain-text tables."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.cli.lines import echo_line, one_line


def echo_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a header, each column but the last padded to its widest cell."""
    lines = [[one_line(cell) for cell in line] for line in (header, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header) - 1)]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        echo_line("  ".join([*cells, line[-1]]).rstrip())
