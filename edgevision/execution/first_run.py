"""The first run of a fresh artifact, in a child process: a runtime that aborts takes nobody with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.artifact import Artifact
from edgevision.backend import Backend, SessionSettings
from edgevision.errors import MissingPluginError
from edgevision.execution.limits import limit_this_process
from edgevision.execution.messages import Message, artifact_of, with_artifact
from edgevision.execution.worker import Worker
from edgevision.plugins import registry
from edgevision.session import CheckedSession, open_session
from edgevision.tasks.batches import parts
from edgevision.tensors import Array

#: Seconds for the first run of a large artifact.
TIMEOUT_S = 600.0


def first_run(
    worker: Worker,
    artifact: Artifact,
    backend: Backend,
    settings: SessionSettings,
    inputs: Mapping[str, Array],
    what: str,
    timeout_s: float | None = None,
) -> dict[str, Array]:
    """Open an artifact and run it in a worker, in the backend and settings that will run it.

    A backend that the worker does not find, because it is registered in this process only, runs here.

    Args:
        worker: runs it.
        artifact, backend, settings: what is run, and how.
        inputs: input name -> float32 ``(n, …)``, real numbers, `n` of 1 or more; empty for one run on zeros.
            The first example runs alone, the others in batches if the artifact takes these.
        what: the artifact and the place, for errors.
        timeout_s: seconds until a runtime that hangs is ended; by default `TIMEOUT_S`.

    Returns:
        Output name -> float32 ``(n, …)``, dequantized.

    Raises:
        ProcessError: the runtime was killed by a signal, ended the process, or timed out.
        ArtifactError, InferenceError, DeviceError: the runtime refused the artifact, or failed.
    """
    timeout_s = TIMEOUT_S if timeout_s is None else timeout_s
    fields = {
        "backend": backend.name,
        "class": class_name(backend),
        "settings": settings_fields(settings),
        "timeout_s": timeout_s,
    }
    request = with_artifact(fields, artifact, {f"input/{name}": values for name, values in inputs.items()})
    answer = worker.ask(_run_requested, request, what=what, timeout_s=timeout_s)
    if answer.fields["absent"]:
        return _run(artifact, backend, settings, inputs)
    return dict(answer.arrays)


def _run_requested(request: Message) -> Message:
    """Do what `first_run` asks for: the job of the worker."""
    limit_this_process(request.fields["timeout_s"])
    inputs = {
        name.removeprefix("input/"): values
        for name, values in request.arrays.items()
        if name.startswith("input/")
    }
    try:
        backend = requested_backend(request.fields)
    except MissingPluginError:
        return Message({"absent": True})
    settings = SessionSettings(**request.fields["settings"])
    return Message({"absent": False}, _run(artifact_of(request), backend, settings, inputs))


def settings_fields(settings: SessionSettings) -> dict[str, Any]:
    """Settings as JSON values, from which `SessionSettings` makes them again."""
    folder = settings.cache_dir
    return {**asdict(settings), "cache_dir": None if folder is None else str(Path(folder).absolute())}


def requested_backend(fields: Mapping[str, Any]) -> Backend:
    """The backend that a request names, if it is the one that the caller has.

    Raises:
        MissingPluginError: this process has no such backend, or another of the same name.
    """
    backend = registry().backend(fields["backend"])
    if class_name(backend) != fields["class"]:
        raise MissingPluginError(f"backend '{backend.name}' is another one in a process of its own")
    return backend


def _run(
    artifact: Artifact, backend: Backend, settings: SessionSettings, inputs: Mapping[str, Array]
) -> dict[str, Array]:
    with open_session(backend, artifact, settings) as session:
        count = min(map(len, inputs.values()), default=1)
        rows = [_run_part(session, inputs, slice(0, 1))]
        for part in parts(count - 1, all(spec.dynamic_batch for spec in session.inputs)):
            rows.append(_run_part(session, inputs, slice(part.start + 1, part.stop + 1)))
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _run_part(session: CheckedSession, inputs: Mapping[str, Array], part: slice) -> dict[str, Array]:
    with session.lease(part.stop - part.start) as slot:
        for spec in session.inputs:
            values = inputs.get(spec.name)
            slot.inputs[spec.name][...] = 0 if values is None else spec.quantize(values[part])
        outputs = slot.run()
    return {spec.name: spec.dequantize(outputs[spec.name]) for spec in session.outputs}


def class_name(backend: Backend) -> str:
    """The class of a backend, by which two processes tell whether they have the same one."""
    return f"{type(backend).__module__}:{type(backend).__qualname__}"
