"""Packaging: what is installed, which extras there are, and what an import loads."""

from __future__ import annotations

import configparser
import contextlib
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import edgevision

ROOT = Path(__file__).parents[1]


def _setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_every_folder_with_code_is_listed_as_a_package() -> None:
    roots = [ROOT, ROOT / "plugins", ROOT / "converters"]
    folders = {
        ".".join(init.parent.relative_to(root).parts)
        for root in roots
        for init in root.glob("edgevision*/**/__init__.py")
    }
    assert folders == set(_setup()["options"]["packages"].split())


def test_every_backend_has_an_extra_of_its_name() -> None:
    from edgevision.plugins import registry

    extras = set(_setup()["options.extras_require"])
    assert set(registry().backends()) <= extras


def test_importing_the_package_loads_no_runtime_no_image_library_no_pluggy_and_no_numpy() -> None:
    heavy = "numpy pluggy cv2 tensorflow keras openvino onnxruntime ai_edge_litert tflite_runtime nncf onnx"
    code = f"import sys, edgevision; print([m for m in '{heavy}'.split() if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_every_public_module_of_the_core_loads_no_runtime() -> None:
    heavy = "tensorflow keras openvino onnxruntime ai_edge_litert tflite_runtime nncf onnx"
    code = (
        "import sys, edgevision\n"
        "for name in edgevision.__all__: getattr(edgevision, name)\n"
        "from edgevision.plugins import registry\n"
        "registry().backends(); registry().converters(); registry().readers()\n"
        f"print([m for m in '{heavy}'.split() if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_every_public_name_can_be_imported() -> None:
    assert all(hasattr(edgevision, name) for name in edgevision.__all__)
    assert set(dir(edgevision)) == set(edgevision.__all__)


def test_no_extra_of_a_device_brings_another_build_of_opencv() -> None:
    """Several distributions install the module cv2: the one that comes last overwrites the others' files."""
    extras = _setup()["options.extras_require"]
    apart = {"benchmarks"}  # an environment of its own
    names = {
        name for extra, text in extras.items() if extra not in apart for name in _names(text.split("\n"))
    }
    seen: set[str] = set()
    while names - seen:
        seen |= (new := names - seen)
        for name in new:
            with contextlib.suppress(metadata.PackageNotFoundError):
                names |= _names(metadata.requires(name) or [])
    assert "supervision" in seen
    assert {name for name in seen if name.startswith("opencv")} == set()  # the core has its own


def _names(requirements: Iterable[str]) -> set[str]:
    """Of the distributions that are required without an extra."""
    plain = (line for line in requirements if line.strip() and "extra ==" not in line and "#" not in line)
    return {re.split(r"[^A-Za-z0-9._-]", line.strip())[0].lower() for line in plain} - {"edgevision"}
