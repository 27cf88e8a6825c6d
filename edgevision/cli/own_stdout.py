"""Keeps stdout for what the command line itself prints."""

from __future__ import annotations

import io
import os
import sys

from edgevision.system.plugin_output import runs_plugin


def keep_stdout_apart() -> None:
    """Make `sys.stdout` the only way to stdout: whatever libraries write to descriptor 1 goes to stderr.

    One line of a runtime or a plugin in the middle of JSON would make it useless.
    """
    if sys.stdout is None or sys.stderr is None:
        return
    try:
        if sys.stdout.fileno() != 1:
            return
        own = os.dup(1)
        os.dup2(2, 1)
    except (OSError, ValueError):  # one of them is closed, or has no descriptor
        return
    raw = open(own, "wb")  # noqa: SIM115, PTH123 - it stays open
    sys.stdout = _OwnStdout(
        raw,
        encoding=sys.stdout.encoding,
        errors=sys.stdout.errors,
        line_buffering=bool(sys.stdout.line_buffering),
    )


class _OwnStdout(io.TextIOWrapper):
    """Stdout, but for what code of plugins prints: that goes to stderr."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text) if runs_plugin.get() else super().write(text)
