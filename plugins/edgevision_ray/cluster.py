"""The Ray cluster that a batch works on: the caller's, or one of this machine that ends with the work."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from edgevision.errors import MissingRuntimeError, ProcessError, first_line
from edgevision.system.telemetry import without_telemetry

#: Ray's own variable for the address of a cluster.
_ADDRESS = "RAY_ADDRESS"
#: Set before Ray is imported: it sends no usage statistics, and says nothing of GPUs.
_VARIABLES = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
#: How often a cluster of this machine is started: Ray gives up after 30 s, which a busy machine may need.
_STARTS = 3


@contextmanager
def connected() -> Iterator[Any]:
    """Ray, connected to a cluster; one that was started for this ends with the block, and its folder goes.

    Raises:
        MissingRuntimeError: Ray is not installed.
        ProcessError: no cluster is at ``RAY_ADDRESS``, or none can be started.
    """
    os.environ.update(_VARIABLES)
    try:
        with without_telemetry():
            import ray
    except ImportError as error:
        raise MissingRuntimeError("ray", f"executor 'ray': {first_line(error)}") from error
    if ray.is_initialized():  # the caller's
        yield ray
        return
    # Ray's sockets are in its folder, and their paths have 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="ev-", ignore_cleanup_errors=True) as folder:
        _connect(ray, folder)
        try:
            yield ray
        finally:
            with suppress(Exception):
                ray.shutdown()


def node_cpus(ray: Any) -> list[float]:
    """The CPUs of each machine of the cluster that is alive.

    Raises:
        ProcessError: there are none.
    """
    cpus = [float(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    if sum(cpus) <= 0:
        raise ProcessError("the Ray cluster has no CPUs; see ray status")
    return cpus


def _connect(ray: Any, folder: str) -> None:
    address = os.environ.get(_ADDRESS)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if not address:
        options |= {"address": "local", "include_dashboard": False, "_temp_dir": folder}
    for start in range(1, _STARTS + 1):
        try:
            ray.init(**options)
        except Exception as error:
            ray.shutdown()
            if address or start == _STARTS:
                where = f"at {_ADDRESS}={address}" if address else "could be started on this machine"
                raise ProcessError(
                    f"no Ray cluster {where}: {type(error).__name__}: {first_line(error)}"
                ) from error
        else:
            return
