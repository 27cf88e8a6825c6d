"""Import a library as if one that it depends on were not installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import cast


@contextmanager
def hidden_module(name: str) -> Iterator[None]:
    """Make a module look absent until the block ends, so that a library imported in it does without.

    A library with telemetry in a package of its own is so imported without it: nothing is written to
    the home folder, and no server is contacted.

    Args:
        name: full name of the module; it need not be installed.
    """
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    was_known, module = name in modules, modules.get(name)
    modules[name] = None  # `import` then raises ModuleNotFoundError
    try:
        yield
    finally:
        if was_known:
            modules[name] = module
        else:
            del modules[name]
