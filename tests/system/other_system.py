"""A program that imports the package as macOS or Windows have it, and runs a model.

Neither is at hand: what they lack is hidden. The standard library, numpy, OpenCV and LiteRT are imported
first, so that only our modules see another system.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import pathlib
import pkgutil
import signal
import sys
import types
from pathlib import Path
from typing import Any

PRESENT = (
    *(
        "ai_edge_litert.interpreter",
        "asyncio",
        "click",
        "cv2",
        "importlib.metadata",
        "logging",
        "numpy",
        "pluggy",
        "selectors",
    ),
    *(
        "shutil",
        "subprocess",
        "tempfile",
        "threading",
        "typing",
        "xml.etree.ElementTree",
        "zipfile",
        "jinja2",
    ),
    *(
        "difflib",
        "click.shell_completion",
        "concurrent.futures",
        "html",
        "statistics",
        "random",
        "uuid",
        "email",
    ),
)
#: Modules and functions that the system lacks.
MODULES = {"macos": (), "windows": ("fcntl", "resource", "termios", "pwd", "grp", "pty", "syslog")}
OF_OS: dict[str, tuple[str, ...]] = {
    "macos": ("sched_getaffinity", "memfd_create", "posix_fallocate"),
    "windows": (
        *(
            "sched_getaffinity",
            "fork",
            "register_at_fork",
            "sysconf",
            "getloadavg",
            "killpg",
            "getuid",
            "geteuid",
        ),
        *("mkfifo", "fchmod", "fchown", "chown", "setsid", "getpgid", "statvfs", "uname", "memfd_create"),
        *(
            "O_DIRECTORY",
            "O_NOFOLLOW",
            "O_NONBLOCK",
            "O_CLOEXEC",
            "WNOHANG",
            "RTLD_NOLOAD",
            "posix_fallocate",
        ),
    ),
}
OF_SIGNAL = {
    "macos": (),
    "windows": ("SIGKILL", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGPIPE", "setitimer", "pthread_sigmask"),
}
#: File systems of Linux's kernel.
KERNEL = ("/proc", "/sys")


def become(system: str) -> None:
    """Hide from modules that are imported later what `system` does not have."""
    for name in PRESENT:
        importlib.import_module(name)
    for name in MODULES[system]:
        sys.modules[name] = None  # type: ignore[assignment]
    own_os, own_signal = without(os, OF_OS[system]), without(signal, OF_SIGNAL[system])
    own_os.open = refusing(os.open)
    if system == "windows":
        own_os.name, own_os.supports_dir_fd = "nt", frozenset()
    for owner, name in ((pathlib.Path, "iterdir"), (pathlib.Path, "stat")):
        setattr(owner, name, refusing(getattr(owner, name)))
    own_ctypes = without(ctypes, ())
    own_ctypes.CDLL = no_library if system == "windows" else Library
    sys.modules.update(os=own_os, signal=own_signal, ctypes=own_ctypes)


def without(module: types.ModuleType, names: tuple[str, ...]) -> Any:
    copy = types.ModuleType(module.__name__)
    vars(copy).update({name: value for name, value in vars(module).items() if name not in names})
    return copy


def refusing(function: Any) -> Any:
    def call(path: Any, *arguments: Any, **options: Any) -> Any:
        if str(path).startswith(KERNEL):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return function(path, *arguments, **options)

    return call


def no_library(name: str | None, *_: Any, **__: Any) -> None:
    raise TypeError("bad argument type for built-in operation") if name is None else OSError(name)


class Library:
    """The C library of macOS."""

    def __init__(self, name: str | None, *_: Any, **__: Any) -> None:
        if name is not None:
            raise OSError(name)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def main(system: str, bundle: Path) -> None:
    become(system)
    import edgevision

    imported = []
    for package in ("edgevision", "edgevision_tflite", "edgevision_openvino", "edgevision_onnxruntime"):
        root = importlib.import_module(package)
        for found in pkgutil.walk_packages(root.__path__, f"{package}."):
            if not found.name.endswith("__main__"):
                importlib.import_module(found.name)
                imported.append(found.name)
    facts: dict[str, Any] = {"system": system, "modules": len(imported)}
    facts |= run(edgevision, bundle)
    sys.stdout.write(json.dumps(facts) + "\n")


def run(edgevision: Any, bundle: Path) -> dict[str, Any]:
    import numpy as np

    from edgevision.backend import SessionSettings
    from edgevision.execution.first_run import first_run
    from edgevision.execution.worker import Worker
    from edgevision.plugins import registry
    from edgevision.system import machine
    from edgevision.system.files import write_file

    def tried(call: Any) -> str:
        try:
            return str(call())
        except edgevision.EdgeVisionError as error:
            return f"{type(error).__name__}: {error}"

    image = np.full((8, 8, 3), 100, np.uint8)
    with edgevision.load(bundle) as model:
        found = model(image).to_dict()
    kept = list(bundle.with_name("cache").joinpath("first-load").glob("*.txt"))
    output = bundle.with_name("out.txt")
    for text in (b"one", b"two"):
        write_file(output, text)
    packed = edgevision.pack(bundle, bundle.with_name("packed.evb"))
    again = edgevision.pack(bundle, bundle.with_name("packed.evb"), force=True)
    opened = edgevision.read_bundle(bundle)
    artifact, backend = opened.artifact(opened.manifest.artifacts[0]), registry().backend("tflite")
    with Worker() as worker:
        outputs = tried(lambda: sorted(first_run(worker, artifact, backend, SessionSettings(), {}, "tiny")))
    return {
        "best": found["classes"][0]["label"] if "classes" in found else sorted(found),
        "kept": len(kept),
        "written": output.read_text(),
        "packed": packed.artifacts == again.artifacts,
        "child": outputs,
        "peak": tried(machine.peak_memory_mb),
        "memory": tried(machine.memory_mb),
        "processor": tried(machine.processor),
        "backends": tried(lambda: [status.name for status in registry().backend_statuses()]),
    }


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
