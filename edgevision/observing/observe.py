"""`observe`: let an object of the caller observe all models of this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pluggy

from edgevision.errors import OptionError
from edgevision.hookspecs import hookimpl
from edgevision.observation import HOOKS, observers
from edgevision.plugins import registry
from edgevision.system.shown import shown

ObserverT = TypeVar("ObserverT")

_lock = threading.Lock()


@contextmanager
def observe(observer: ObserverT) -> Iterator[ObserverT]:
    """Let an object observe every model of this process until the block ends.

    It is called in the thread that called the model, after each event, and that thread waits for it: it
    should be quick. If it raises, that is logged once, and the call of the model goes on as without it.

    Args:
        observer: an object with at least one of the methods ``edgevision_model_loaded``,
            ``edgevision_inferred``, ``edgevision_failed``, ``edgevision_dropped``,
            ``edgevision_stream_event`` and ``edgevision_health_changed``, each marked with
            ``@edgevision.hookimpl`` and with the arguments that `edgevision.hookspecs` gives them, or fewer;
            such as a `Journal` or `Metrics`.

    Yields:
        The observer.

    Raises:
        OptionError: it has no such method, one of them takes other arguments, or it observes already.
    """
    manager = registry().manager
    name = f"{type(observer).__name__} {id(observer):#x}"
    with _lock:
        _check(observer)
        if manager.is_registered(observer):
            raise OptionError(f"observer: {shown(observer)} observes already")
        try:
            manager.register(observer, name)
        except (pluggy.PluginValidationError, ValueError) as error:
            if manager.has_plugin(name):  # as pluggy before 1.7 leaves it
                manager.unregister(name=name)
            reason = " ".join(str(error).split())
            raise OptionError(f"observer: {shown(observer)} cannot observe: {reason}") from error
        observers.set(registry().observers())
    try:
        yield observer
    finally:
        with _lock:
            manager.unregister(observer)
            observers.set(registry().observers())


def _check(observer: Any) -> None:
    methods = [name for name in HOOKS if callable(getattr(observer, name, None))]
    attribute = f"{hookimpl.project_name}_impl"
    unmarked = [name for name in methods if not hasattr(getattr(observer, name), attribute)]
    if not methods or unmarked or isinstance(observer, type):
        wrong = f"{unmarked[0]} is not marked with @edgevision.hookimpl" if unmarked else "it has none"
        raise OptionError(
            f"observer: expected an object with one of the methods {', '.join(HOOKS)}; "
            f"{shown(observer)}: {wrong}"
        )
