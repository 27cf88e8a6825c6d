"""A plugin whose backend crashes, hangs or answers wrongly, installed in a folder for child processes."""

from __future__ import annotations

from pathlib import Path

_MODULE = """
import os, signal, sys, time
from edgevision import hookimpl
from edgevision.testing import FakeBackend


class Misbehaving(FakeBackend):
    name = "misbehaving"
    formats = ("fake",)

    def open(self, artifact, settings):
        {how}
        return super().open(artifact, settings)


@hookimpl
def edgevision_backends():
    return [Misbehaving()]
"""

#: Name -> what the backend does when it opens an artifact.
WAYS = {
    "works": "pass",
    "crashes": "os.kill(os.getpid(), signal.SIGSEGV)",
    "aborts": "os.abort()",
    "exits": "os._exit(3)",
    "hangs": "time.sleep(300)",
    "is deaf": "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)",
    "answers wrongly": "self.answers = {'scores': [114, -119]}",
    "raises": "raise RuntimeError('no such operator')",
    "fills the memory": "held = bytearray(1 << 46)",
}


def install(folder: Path, way: str) -> Path:
    """Install the plugin below `folder`, and return what to put on ``PYTHONPATH``."""
    package = folder / "misbehaving"
    metadata = package / "misbehaving-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "entry_points.txt").write_text("[edgevision]\nmisbehaving = misbehaving_plugin\n")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: misbehaving\nVersion: 1.0\n")
    (package / "misbehaving_plugin.py").write_text(_MODULE.format(how=WAYS[way]))
    return package
