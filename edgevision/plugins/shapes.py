"""The attributes that the items of each hook must have, and the types that their calls must return."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from edgevision.artifact import Artifact
from edgevision.system.shown import shown

#: Returns what is wrong with a value, in words; empty if nothing is.
Check = Callable[[Any], str]


def wrong_item(hook: str, item: Any) -> str:
    """The fault of an item that a hook returned; empty if it has none.

    Raises:
        Exception: whatever an attribute of the item raises.
    """
    absent = object()
    found = {member: getattr(item, member, absent) for member in MEMBERS[hook]}
    missing = [member for member, value in found.items() if value is absent]
    if missing:
        return f"{type(item).__name__} without {', '.join(missing)}"
    for member, check in MEMBERS[hook].items():
        wrong = check(found[member])
        if wrong:
            return f"{type(item).__name__} with the {member} {wrong}"
    return ""


def _text(value: Any) -> str:
    return "" if isinstance(value, str) and value else f"{shown(value)}, expected text"


def _words(value: Any) -> str:
    return "" if isinstance(value, str) else f"{shown(value)}, expected text"


def _names(value: Any) -> str:
    valid = isinstance(value, (tuple, list)) and all(isinstance(one, str) and one for one in value)
    return "" if valid else f"{shown(value)}, expected a tuple of names"


def _some_names(value: Any) -> str:
    return _names(value) or ("" if value else "(), expected one or more names")


def _function(value: Any) -> str:
    return "" if callable(value) else f"{shown(value)}, expected a method"


def _flag(value: Any) -> str:
    return "" if isinstance(value, bool) else f"{shown(value)}, expected True or False"


def _count(value: Any) -> str:
    valid = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return "" if valid else f"{shown(value)}, expected a whole number of 1 or more"


def _mapping(value: Any) -> str:
    return "" if isinstance(value, Mapping) else f"{shown(value)}, expected a mapping"


def _several(value: Any) -> str:
    valid = isinstance(value, Iterable) and not isinstance(value, (str, bytes))
    return "" if valid else f"{shown(value)}, expected a list"


def _task_texts(value: Any) -> str:
    return "" if hasattr(value, "agreement") else f"{shown(value)}, expected TaskTexts"


#: Hook -> attribute that each of its items must have -> how it is checked.
MEMBERS: dict[str, Mapping[str, Check]] = {
    "edgevision_backends": {
        "name": _text,
        "formats": _some_names,
        "options": _names,
        "version": _function,
        "devices": _function,
        "open": _function,
    },
    "edgevision_readers": {"name": _text, "reads": _function, "read": _function},
    "edgevision_converters": {
        "name": _text,
        "kind": _text,
        "format": _text,
        "precisions": _some_names,
        "convert": _function,
    },
    "edgevision_decoders": {"name": _text, "recognise": _function, "prepare": _function},
    "edgevision_tasks": {
        **dict.fromkeys(("name", "noun", "activity", "verb"), _text),
        **dict.fromkeys(("ranks_classes", "takes_images"), _flag),
        "description": _function,
        "schema": _mapping,
        "texts": _task_texts,
        "options": _several,
        **dict.fromkeys(("recognise", "model", "lines", "draw", "evaluation"), _function),
    },
    "edgevision_export_formats": {"name": _text, "summary": _words, "formats": _names, "export": _function},
    "edgevision_frame_sources": {
        "name": _text,
        "accepts": _words,
        "recognises": _function,
        "open": _function,
    },
    "edgevision_trackers": {"name": _text, "summary": _words, "create": _function},
    "edgevision_executors": {"name": _text, "summary": _words, "unit_size": _count, "run": _function},
    "edgevision_commands": {"name": _text, "main": _function},
}


def _devices(value: Any) -> str:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return f"{shown(value)}, expected a list of DeviceInfo"
    for one in value:
        if not all(isinstance(getattr(one, name, None), str) for name in ("name", "description")):
            return f"{shown(value)}, expected objects of class DeviceInfo in it"
    return "" if value else "no device, expected one, or DeviceError with the reason"


def _session(value: Any) -> str:
    for side in ("inputs", "outputs"):
        specs = getattr(value, side, None)
        if not isinstance(specs, tuple) or not all(hasattr(one, "dynamic_batch") for one in specs):
            return f"a session whose {side} are {shown(specs)}, expected a tuple of TensorSpec"
    for name in ("device", "precision"):
        if not (isinstance(getattr(value, name, None), str) and getattr(value, name)):
            return f"a session whose {name} is {shown(getattr(value, name, None))}, expected text"
    missing = [name for name in ("run", "close") if not callable(getattr(value, name, None))]
    return f"a session without {', '.join(missing)}" if missing else ""


def _optional_mapping(value: Any) -> str:
    return "" if value is None or isinstance(value, Mapping) else f"{shown(value)}, expected settings or None"


def _artifact(value: Any) -> str:
    return "" if isinstance(value, Artifact) else f"{shown(value)}, expected an Artifact"


def _source(value: Any) -> str:
    needed = ("kind", "path", "description", "sha256", "inputs", "outputs", "facts", "versions", "run")
    missing = [name for name in needed if not hasattr(value, name)]
    return f"{type(value).__name__} without {', '.join(missing)}" if missing else ""


def _claim(value: Any) -> str:
    valid = value is None or (
        isinstance(value, int) and not isinstance(value, bool) and hasattr(value, "name")
    )
    return "" if valid else f"{shown(value)}, expected a Claim or None"


def _lines(value: Any) -> str:
    valid = (
        not isinstance(value, str) and isinstance(value, Sequence) and all(isinstance(x, str) for x in value)
    )
    return "" if valid and value else f"{shown(value)}, expected one or more lines of text"


def _image(value: Any) -> str:
    shape, kind = tuple(getattr(value, "shape", ())), getattr(value, "dtype", None)
    valid = len(shape) == 3 and shape[-1] == 3 and kind == "uint8"
    return "" if valid else f"{shown(value)}, expected (height, width, 3) uint8"


def _callable(value: Any) -> str:
    return "" if callable(value) else f"{shown(value)}, expected a function of the outputs"


#: (hook, method) -> how its result is checked.
RESULTS: dict[tuple[str, str], Check] = {
    ("edgevision_backends", "version"): _text,
    ("edgevision_backends", "devices"): _devices,
    ("edgevision_backends", "open"): _session,
    ("edgevision_backends", "companions"): _several,
    ("edgevision_readers", "read"): _source,
    ("edgevision_readers", "read_with_options"): _source,
    ("edgevision_readers", "explain"): _text,
    ("edgevision_converters", "convert"): _artifact,
    ("edgevision_converters", "convert_plain"): _artifact,
    ("edgevision_converters", "convert_full_integer"): _artifact,
    ("edgevision_converters", "sensitivities"): _several,
    ("edgevision_decoders", "recognise"): _optional_mapping,
    ("edgevision_decoders", "recognise_described"): _optional_mapping,
    ("edgevision_decoders", "prepare"): _callable,
    ("edgevision_tasks", "recognise"): _claim,
    ("edgevision_tasks", "lines"): _lines,
    ("edgevision_tasks", "draw"): _image,
}
