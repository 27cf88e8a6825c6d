"""Says whether code of a plugin runs, so that the command line keeps what it prints out of its own output."""

from __future__ import annotations

from contextvars import ContextVar

#: True in a thread, and the tasks that it starts, while it runs code of a plugin.
runs_plugin: ContextVar[bool] = ContextVar("runs_plugin", default=False)
