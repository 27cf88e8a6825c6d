"""The one door through which code of other people's plugins is called.

What a plugin raises leaves as one of EdgeVision's errors, with the package, its version and what was called;
what it returns is checked; and what it prints while it runs is kept out of a command's output
(`edgevision.system.plugin_output`). EdgeVision's own plugins are tested with the rest, and called directly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, TracebackType
from typing import Any

from edgevision.artifact import Artifact
from edgevision.errors import EdgeVisionError, PluginFailedError, PluginInferenceError, first_line
from edgevision.plugins.provider import Provider
from edgevision.plugins.shapes import RESULTS
from edgevision.system.plugin_output import runs_plugin

#: Calls whose results have behaviour of their own, which is called through the door too.
_FOLLOWED = frozenset(
    {
        "open",
        "read",
        "read_with_options",
        "prepare",
        "create",
        "symmetric",
        "with_options",
        "lease",
        "model",
        "__enter__",
    }
)
#: Calls that run a model: errors of these are those of inference.
_RUNS = frozenset({"run", "__call__", "feed", "invoke", "fetch", "update", "lease", "__enter__", "__exit__"})
#: Special methods that are forwarded where the object has them.
_SPECIAL = (
    *("__call__", "__enter__", "__exit__", "__iter__", "__next__", "__len__", "__getitem__", "__contains__"),
)
_FUNCTIONS = (FunctionType, BuiltinFunctionType, MethodType, partial)
_PLAIN = (type(None), bool, int, float, str, bytes, tuple, list, dict, type)
#: The attribute of a guarded object that holds its `_Inside`.
_INSIDE = "_edgevision_inside"


class Door:
    """Runs a block of a plugin's code.

    Args:
        provider: the plugin.
        hook: what is called, for errors.
        runs_model: whether an error is one of inference.

    Raises:
        PluginFailedError: the block raised something that is not EdgeVision's; Ctrl-C passes.
    """

    __slots__ = ("_hook", "_passing", "_provider", "_runs_model", "_token")

    def __init__(self, provider: Provider, hook: str, runs_model: bool = False, passing: Any = None) -> None:
        self._provider = provider
        self._hook = hook
        self._runs_model = runs_model
        self._passing = passing

    def __enter__(self) -> None:
        self._token = runs_plugin.set(True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        runs_plugin.reset(self._token)
        if error is None or isinstance(error, _PASSING) or error is self._passing:
            return
        raise failure(self._provider, self._hook, error, self._runs_model) from error


#: `StopIteration` ends a loop over a plugin's object.
_PASSING = (EdgeVisionError, KeyboardInterrupt, GeneratorExit, StopIteration)


def failure(
    provider: Provider, hook: str, error: BaseException | str, runs_model: bool = False
) -> PluginFailedError:
    """The error for what a plugin raised, or for what is wrong with what it returned."""
    reason = error if isinstance(error, str) else f"raised {type(error).__name__}: {first_line(error)}"
    kind = PluginInferenceError if runs_model else PluginFailedError
    name = f"{provider.distribution}:{provider.entry_point}" if provider.distribution else ""
    step = f"; to go on without it, set EDGEVISION_DISABLE_PLUGINS={name}" if name else ""
    failed = kind(f"{provider}: {hook}: {reason}{step}")
    failed.plugin, failed.hook = provider.entry_point, hook
    failed.package, failed.version = provider.distribution, provider.version
    return failed


def guarded(item: Any, provider: Provider, hook: str, what: str, name: str | None = None) -> Any:
    """An object of a plugin whose calls go through the door.

    It has the same attributes, compares equal to the object, and is an instance of the same protocols and
    classes.

    Args:
        item: the object; one of EdgeVision's own plugins, or a plain value, is returned as it is.
        provider: the plugin.
        hook: that provided it, such as ``edgevision_backends``.
        what: the object, for errors, such as ``backend 'ncnn'``.
        name: its name, where that is not the one it states.
    """
    if provider.is_own or isinstance(item, _PLAIN):
        return item
    kind: Any = type(item)
    attributes = tuple(vars(item)) if hasattr(item, "__dict__") else ()
    made: Any = object.__new__(_proxy_class(kind, attributes))
    object.__setattr__(made, _INSIDE, _Inside(item, provider, hook, what, name))
    return made


def inside(item: Any) -> Any:
    """The plugin's own object, of one that is guarded; any other as it is."""
    held = getattr(type(item), _INSIDE, None) and object.__getattribute__(item, _INSIDE)
    return held.item if held else item


def maker(item: Any) -> tuple[Provider, str] | None:
    """The plugin that a guarded object comes from, and the object in words; `None` for any other."""
    held = getattr(type(item), _INSIDE, None) and object.__getattribute__(item, _INSIDE)
    return (held.provider, held.what) if held else None


def name_with_maker(item: Any) -> str:
    """The name of an item for messages; of one that others wrote, with its plugin."""
    made_by = maker(item)
    return f"{item.name} of {made_by[0]}" if made_by else str(item.name)


class _Inside:
    __slots__ = ("hook", "item", "name", "provider", "what")

    def __init__(self, item: Any, provider: Provider, hook: str, what: str, name: str | None) -> None:
        self.item = item
        self.provider = provider
        self.hook = hook
        self.what = what
        self.name = name


class _Guarded:
    """The base of the classes of guarded objects."""

    __slots__ = (_INSIDE, "__weakref__")

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, _INSIDE).item, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(object.__getattribute__(self, _INSIDE).item, name, value)

    def __eq__(self, other: object) -> bool:
        return bool(inside(self) == inside(other))

    def __hash__(self) -> int:
        return hash(inside(self))

    def __repr__(self) -> str:
        return repr(inside(self))


@lru_cache(maxsize=512)
def _proxy_class(kind: type, attributes: tuple[str, ...]) -> type:
    """The class of guarded objects of a class; the objects have these attributes of their own."""
    # Of the same name: two processes tell by it whether they have the same backend.
    members: dict[str, Any] = {
        "__slots__": (),
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
    }
    public = {name for name in (*dir(kind), *attributes) if not name.startswith("_")}
    for name in (*public, *(one for one in _SPECIAL if hasattr(kind, one))):
        held = getattr(kind, name, None)
        # A class that a class holds, such as the description of a task, is a value, and no method.
        is_method = name not in attributes and callable(held) and not isinstance(held, type)
        members[name] = _method(name) if is_method else property(_getter(name), _setter(name))
    members["__class__"] = property(lambda self: kind)
    return type(kind.__name__, (_Guarded,), members)


def _getter(name: str) -> Callable[[Any], Any]:
    def get(self: Any) -> Any:
        held: _Inside = object.__getattribute__(self, _INSIDE)
        if name == "name" and held.name is not None:
            return held.name
        try:
            value = getattr(held.item, name)
        except AttributeError:
            raise
        except Exception as error:
            raise failure(held.provider, f"{held.what}: {name}", error) from error
        # An object that can be called, too, such as a model's preprocessing, keeps its attributes.
        return _bound(held, name, value) if isinstance(value, _FUNCTIONS) else value

    return get


def _setter(name: str) -> Callable[[Any, Any], None]:
    return lambda self, value: setattr(object.__getattribute__(self, _INSIDE).item, name, value)


def _bound(held: _Inside, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that an object holds in an attribute, called through the door."""
    return lambda *arguments, **named: _call(held, name, function, arguments, named)


def _method(name: str) -> Callable[..., Any]:
    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        held: _Inside = object.__getattribute__(self, _INSIDE)
        return _call(held, name, getattr(held.item, name), arguments, named)

    method.__name__ = name
    return method


def _subject(arguments: tuple[Any, ...]) -> str:
    """The file that a call is about, for errors; empty if there is none."""
    first = arguments[0] if arguments else None
    if isinstance(first, Artifact):
        return f" of {first.name}"
    return f" of {first}" if isinstance(first, Path) else ""


def _call(
    held: _Inside,
    name: str,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    named: Mapping[str, Any],
) -> Any:
    called = held.what if name == "__call__" else f"{held.what}: {name}{_subject(arguments)}"
    # A block that an object ends may have failed with an error of the caller's.
    passing = arguments[1] if name == "__exit__" and len(arguments) > 1 else None
    with Door(held.provider, called, name in _RUNS, passing):
        result = function(*map(inside, arguments), **{key: inside(value) for key, value in named.items()})
    check = RESULTS.get((held.hook, name))
    wrong = "" if check is None else check(result)
    if wrong:
        raise failure(held.provider, called, f"returned {wrong}")
    if result is held.item:
        return guarded(result, held.provider, held.hook, held.what, held.name)
    if name in _FOLLOWED:
        return guarded(result, held.provider, f"{held.hook}.{name}", held.what)
    return result
