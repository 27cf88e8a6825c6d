"""What the import of a plugin changes in its process: put back, and nothing else is called a change."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from edgevision.plugins.importing import import_plugin
from edgevision.plugins.provider import Provider
from edgevision.system.entry_points import TextEntryPoint

sys.path.insert(0, sys.argv[1])
assert "numpy" not in sys.modules
point = TextEntryPoint("first", "first_plugin")
imported = import_plugin(point, Provider("first", "1.0", "first", "first_plugin"))
import numpy
print(imported.changed, numpy.geterr()["divide"])
"""


@pytest.mark.parametrize(
    ("source", "printed"),
    [
        ("import numpy", "() warn"),
        ("import numpy\nnumpy.seterr(all='raise')", '("numpy\'s handling of errors",) warn'),
    ],
)
def test_a_plugin_may_be_the_first_that_imports_numpy(tmp_path: Path, source: str, printed: str) -> None:
    (tmp_path / "first_plugin.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == printed, done.stderr
