"""Import ONNX Runtime, and find out which build of it is installed."""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

from edgevision.errors import MissingRuntimeError, PluginError, first_line
from edgevision.system.telemetry import without_telemetry

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"

_BUILDS = ("onnxruntime-gpu", "onnxruntime")


def import_onnxruntime(extra: str) -> Any:
    """The module `onnxruntime`.

    Args:
        extra: the extra that installs the required build.

    Raises:
        MissingRuntimeError: it is not installed.
        PluginError: it is installed, and cannot be imported; says why.
    """
    try:
        return _imported()
    except ModuleNotFoundError as error:
        if error.name == "onnxruntime":
            raise MissingRuntimeError(extra, "ONNX Runtime is not installed") from error
        raise PluginError(_broken(error)) from error
    except (ImportError, AttributeError, OSError) as error:
        raise PluginError(_broken(error)) from error


def import_onnxruntime_with_cuda() -> Any:
    """The module `onnxruntime`, if it was built with CUDA.

    Raises:
        MissingRuntimeError: it is not installed, or was built without CUDA.
    """
    runtime = import_onnxruntime("cuda")
    if CUDA in runtime.get_available_providers():
        return runtime
    if len(installed_builds()) == len(_BUILDS):
        raise MissingRuntimeError("cuda", f"{both_installed()}, then the next command")
    raise MissingRuntimeError(
        "cuda",
        f"onnxruntime {runtime.__version__} is installed, built without CUDA (backend 'onnx' uses it); "
        "first pip uninstall -y onnxruntime, because both builds install the same module",
    )


def version(runtime: Any) -> str:
    """Name and version, such as ``onnxruntime-gpu 1.31.1``; `onnxruntime` if both builds are installed."""
    builds = installed_builds()
    return f"{builds[0] if len(builds) == 1 else 'onnxruntime'} {runtime.__version__}"


def installed_builds() -> list[str]:
    """The installed distributions that provide the module `onnxruntime`."""
    return [name for name in _BUILDS if _is_installed(name)]


def both_installed() -> str:
    """The message for two installed builds."""
    return (
        "onnxruntime and onnxruntime-gpu are both installed and overwrite each other; "
        "first pip uninstall -y onnxruntime onnxruntime-gpu"
    )


def reason(error: Exception) -> str:
    """An error of ONNX Runtime in one line, without its error code."""
    return first_line(error).split(" : ", 3)[-1]


@lru_cache(maxsize=1)
def _imported() -> Any:
    with without_telemetry():
        runtime = importlib.import_module("onnxruntime")
    runtime.disable_telemetry_events()  # for releases that do not read the environment
    runtime.set_default_logger_severity(3)  # errors; what it only warns about is checked and raised here
    return runtime


def _broken(error: Exception) -> str:
    hint = f"; {both_installed()}, then install one again" if len(installed_builds()) > 1 else ""
    return f"onnxruntime is installed and cannot be imported: {first_line(error)}{hint}"


def _is_installed(name: str) -> bool:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
