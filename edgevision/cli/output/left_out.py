"""A line on stderr about the files that a command found but did not use."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.cli.lines import echo_line
from edgevision.imaging.find import LeftOut, told_left_out


def echo_left_out(left_out: Sequence[LeftOut]) -> None:
    """Print the number of the files by kind, with the reasons and a few names; nothing if there are none."""
    if left_out:
        echo_line(told_left_out(left_out), err=True)
