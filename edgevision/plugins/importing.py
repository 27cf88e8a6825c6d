"""Imports a plugin that others wrote, and puts back what the import changed in this process."""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from edgevision.plugins.door import Door
from edgevision.plugins.provider import Provider
from edgevision.system.entry_points import EntryPoint


class Imported(NamedTuple):
    """A plugin that was imported.

    Attributes:
        plugin: the module or object.
        seconds: how long that took.
        changed: what it changed in this process, which was put back; such as ``the working directory``.
    """

    plugin: Any
    seconds: float
    changed: tuple[str, ...]


def import_plugin(point: EntryPoint, provider: Provider) -> Imported:
    """Import what an entry point names.

    Raises:
        PluginFailedError: the import raised something.
    """
    start = time.perf_counter()
    if provider.is_own:
        return Imported(point.load(), time.perf_counter() - start, ())
    states = [(state, state.read()) for state in _STATES]
    try:
        with Door(provider, "import"):
            plugin = point.load()
    finally:
        changed = []
        for state, before in states:
            with suppress(Exception):  # a working directory that was deleted
                if state.read() != before:
                    state.write(before)
                    changed.append(state.name)
    return Imported(plugin, time.perf_counter() - start, tuple(changed))


class _State(NamedTuple):
    """Something of the whole process that a plugin has no business to change while it is imported."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], Any]


def _signals() -> list[tuple[int, Any]]:
    import signal  # not needed for EdgeVision's own plugins

    return [(one, signal.getsignal(one)) for one in (signal.SIGINT, signal.SIGTERM)]


def _set_signals(before: list[tuple[int, Any]]) -> None:
    import signal

    if threading.current_thread() is threading.main_thread():
        for number, handler in before:
            if handler is not None and signal.getsignal(number) != handler:
                signal.signal(number, handler)


#: How numpy handles errors when it is imported: a plugin may be the first that does.
_NUMPY_DEFAULT = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}


def _float_errors() -> dict[str, str]:
    numpy = sys.modules.get("numpy")
    return _NUMPY_DEFAULT if numpy is None else numpy.geterr()


def _set_float_errors(before: dict[str, str]) -> None:
    sys.modules["numpy"].seterr(**before)


def _working_directory() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109
    except OSError:
        return None


def _set_working_directory(before: str | None) -> None:
    if before is not None:
        os.chdir(before)


def _raising_warnings() -> list[Any]:
    return [one for one in warnings.filters if one[0] == "error"]


def _set_raising_warnings(before: list[Any]) -> None:
    kept = [one for one in warnings.filters if one[0] != "error" or one in before]
    warnings.filters[:] = kept  # type: ignore[index]
    with warnings.catch_warnings():
        pass  # makes Python look at the list again


_STATES = (
    _State("the working directory", _working_directory, _set_working_directory),
    _State("the handling of signals", _signals, _set_signals),
    _State("numpy's handling of errors", _float_errors, _set_float_errors),
    _State("sys.stdout", lambda: sys.stdout, lambda before: setattr(sys, "stdout", before)),
    _State("sys.stderr", lambda: sys.stderr, lambda before: setattr(sys, "stderr", before)),
    _State("sys.excepthook", lambda: sys.excepthook, lambda before: setattr(sys, "excepthook", before)),
    _State("warnings to errors", _raising_warnings, _set_raising_warnings),
    _State("the limit of recursion", sys.getrecursionlimit, sys.setrecursionlimit),
)
