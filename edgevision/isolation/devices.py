"""Asks a runtime for its devices in a process of its own, without loading it in this one."""

from __future__ import annotations

from edgevision.backend import Backend
from edgevision.errors import DeviceError
from edgevision.execution.first_run import class_name, requested_backend
from edgevision.execution.messages import Message
from edgevision.execution.worker import Worker
from edgevision.plugins import device_names

#: Seconds until a runtime that hangs is ended.
_TIMEOUT_S = 60.0


def available_in_child(backend: Backend, device: str | None) -> Backend:
    """The backend itself, if this machine has its runtime and the device.

    Raises:
        DeviceError: it has no device, or not this one.
        EdgeVisionError: as `edgevision.plugins.Registry.available_backend`; or its process ended.
    """
    fields = {"backend": backend.name, "class": class_name(backend)}
    with Worker() as worker:
        answer = worker.ask(
            _devices_requested, Message(fields), what=f"devices of '{backend.name}'", timeout_s=_TIMEOUT_S
        )
    names = answer.fields["devices"]
    if device is not None and device not in names:
        raise DeviceError(f"has no device '{device}', only {', '.join(names)}")
    return backend


def _devices_requested(request: Message) -> Message:
    """Do what `available_in_child` asks for: the job of the worker."""
    return Message({"devices": device_names(requested_backend(request.fields))})
