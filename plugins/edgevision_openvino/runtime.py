"""Import OpenVINO without its telemetry, and name its devices."""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

from edgevision.errors import DeviceError, MissingRuntimeError, PluginError, first_line
from edgevision.system.telemetry import without_telemetry


@lru_cache(maxsize=1)
def import_openvino() -> Any:
    """The module `openvino`.

    Raises:
        MissingRuntimeError: it is not installed.
        PluginError: it is installed, and cannot be imported; says why.
    """
    try:
        with without_telemetry():
            return importlib.import_module("openvino")
    except ModuleNotFoundError as error:
        if error.name == "openvino":
            raise MissingRuntimeError("openvino", "OpenVINO is not installed") from error
        raise PluginError(f"openvino is installed and cannot be imported: {first_line(error)}") from error
    except (ImportError, AttributeError, OSError) as error:
        raise PluginError(f"openvino is installed and cannot be imported: {first_line(error)}") from error


@lru_cache(maxsize=1)
def core() -> Any:
    """The process's `openvino.Core`: creating one searches for plugins, and threads can share it."""
    return import_openvino().Core()


def device_names() -> list[str]:
    """The devices of this machine, as `SessionSettings.device` names them: ``cpu``, ``gpu:1``, ``npu``.

    Raises:
        DeviceError: OpenVINO finds no device.
    """
    names = [name.lower().replace(".", ":") for name in core().available_devices]
    if not names:
        raise DeviceError("OpenVINO finds no device on this machine; install the driver of the GPU or NPU")
    return sorted(names, key=lambda name: (name != "cpu", name))


def openvino_name(device: str) -> str:
    """OpenVINO's name of a device: ``GPU.1`` for ``gpu:1``."""
    return device.upper().replace(":", ".")
