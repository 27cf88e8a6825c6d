"""`edgevision.tasks.api`: names for type checkers are those that are there; packages use no others."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from edgevision.tasks import api

ROOT = Path(__file__).parents[2]
#: Packages with tasks that stand on the public interface alone.
PACKAGES = [ROOT / "plugins" / name for name in ("edgevision_segment", "edgevision_regress")]


def test_names_for_type_checkers_and_lazy_names_agree() -> None:
    tree = ast.parse(Path(api.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    typed = {
        (node.module, alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == {(f"edgevision.{module}", name) for module, names in api._NAMES.items() for name in names}
    assert api.__all__ == sorted(api.__all__)
    assert all(hasattr(api, name) for name in api.__all__)
    with pytest.raises(AttributeError, match="no attribute 'TaskKinds'"):
        _ = api.TaskKinds  # type: ignore[attr-defined]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_package_with_a_task_imports_nothing_but_the_public_interface(package: Path) -> None:
    files = list(package.rglob("*.py"))
    assert files
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            of_edgevision = [name for name in names if name.split(".")[0] == "edgevision"]
            assert set(of_edgevision) <= {"edgevision", "edgevision.tasks.api"}, f"{file}:{node.lineno}"


def test_importing_it_loads_nothing_that_a_device_lacks() -> None:
    code = (
        "import sys, edgevision.tasks.api as api\n"
        "api.TaskKind, api.SingleRunModel, api.hookimpl, api.Claim\n"
        "parts = ('evaluation', 'conversion', 'reporting', 'calibration', 'evidence')\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'edgevision'"
        " and name.count('.') and name.split('.')[1] in parts])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
