"""Find an interpreter of TFLite models among the three packages that have one."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from edgevision.errors import MissingRuntimeError, PluginError, first_line

#: Distribution -> module with `Interpreter` and `load_delegate`; the first that can be imported is used.
_MODULES = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
    "tensorflow": "tensorflow.lite.python.interpreter",
}


class Runtime(NamedTuple):
    """An interpreter of TFLite models.

    Attributes:
        distribution: name of its package.
        module: its module.
        interpreter: the class `Interpreter`.
        load_delegate: (path of a library, options) -> delegate.
    """

    distribution: str
    module: Any
    interpreter: Callable[..., Any]
    load_delegate: Callable[..., Any]

    @property
    def version(self) -> str:
        """Name and version, such as ``ai-edge-litert 2.3.0``; looked up now, because it takes a while."""
        return f"{self.distribution} {_version(self.distribution, self.module)}"


@lru_cache(maxsize=1)
def find_runtime() -> Runtime:
    """The first of the three packages that is installed.

    Raises:
        MissingRuntimeError: none is installed.
        PluginError: one is installed, and cannot be imported; says why.
    """
    for distribution, name in _MODULES.items():
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            # A package that is installed and lacks a dependency is broken, not missing.
            if error.name not in (name, name.split(".")[0]):
                raise _broken(distribution, error) from error
        except (ImportError, AttributeError, OSError) as error:
            raise _broken(distribution, error) from error
        else:
            return Runtime(distribution, module, module.Interpreter, module.load_delegate)
    raise MissingRuntimeError(
        "tflite", "no TFLite interpreter is installed (ai-edge-litert is the usual one)"
    )


def _broken(distribution: str, error: Exception) -> PluginError:
    hint = ""
    if distribution == "tflite-runtime":
        hint = '; it needs numpy 1, in an environment of its own: pip install "edgevision[tflite-runtime]"'
    return PluginError(f"{distribution} is installed and cannot be imported: {first_line(error)}{hint}")


def _version(distribution: str, module: Any) -> str:
    from importlib.metadata import PackageNotFoundError, version  # not at the top: it takes a while

    try:
        return version(distribution)
    except PackageNotFoundError:  # tensorflow is also distributed as tensorflow-cpu and others
        package = importlib.import_module(module.__name__.split(".")[0])
        return str(getattr(package, "__version__", "of unknown version"))
