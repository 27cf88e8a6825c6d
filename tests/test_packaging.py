"""Packaging: what is installed, which extras there are, and what an import loads."""

from __future__ import annotations

import configparser
import subprocess
import sys
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
