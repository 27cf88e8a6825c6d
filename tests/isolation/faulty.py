"""A plugin whose backend does on command what runtimes do when they fail, installed for other processes too.

The first value of the input is the command. Everything else is the backend of `edgevision.testing`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgevision.artifact import Artifact
from edgevision.tensors import Array, TensorSpec
from edgevision.testing import FakeBackend

SOURCE = """
import ctypes, os, signal, sys, time
from dataclasses import replace
import numpy as np
from edgevision import hookimpl
from edgevision.errors import ArtifactError, InferenceError, InputError
from edgevision.testing import FakeBackend

held = []

def fail(error):
    raise error

COMMANDS = {
    "raise": lambda: fail(RuntimeError("corrupt scale")),
    "fail": lambda: fail(InferenceError("the runtime failed")),
    "refuse": lambda: fail(InputError("input 'image': too dark")),
    "leave": lambda: sys.exit(4),
    "hang": lambda: time.sleep(600),
    "hang with the interpreter locked": lambda: ctypes.PyDLL(None).sleep(600),
    "exit": lambda: os._exit(3),
    "segfault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "leak": lambda: held.append(np.ones(30_000_000, np.uint8)),
    "sleep": lambda: time.sleep(0.3),
    "start a child": lambda: os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "600"),
}
NAMES = list(COMMANDS)


class Faulty(FakeBackend):
    name = "faulty"
    formats = ("fake",)
    options = ("broken",)

    def open(self, artifact, settings):
        broken = settings.options.get("broken")
        if broken and os.path.exists(broken):
            with open(broken) as file:
                how = file.read()
            if how == "hang":
                time.sleep(600)
            if how == "segfault":
                ctypes.string_at(0)
            raise ArtifactError(f"{artifact.name}: {how}")
        settings.check_options(self.name, self.options)
        return super().open(artifact, replace(settings, options={}))

    def version(self):
        return "faulty 1"


def react(inputs):
    image = next(iter(inputs.values()))
    command = int(image.reshape(-1)[0])
    if command < 0:
        COMMANDS[NAMES[-command - 1]]()
    if command == -100:
        return {"scores": np.zeros((7, 2))}
    last = image.reshape(len(image), -1)[:, -1:] / 100  # an answer of its own for each image
    return {"scores": np.concatenate([last, -last], 1)}


@hookimpl
def edgevision_backends():
    return [Faulty(react)]
"""

IMAGE = TensorSpec("image", (None, 4, 4, 3), "float32")
SCORES = TensorSpec("scores", (None, 2), "float32")


def install(folder: Path) -> Path:
    """Install the plugin in a folder, and return what to put on ``sys.path``."""
    metadata = folder / "faulty_plugin-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty-plugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[edgevision]\nfaulty = faulty_plugin\n")
    (folder / "faulty_plugin.py").write_text(SOURCE)
    return folder


def artifact() -> Artifact:
    """An artifact of the plugin's format."""
    return FakeBackend.artifact([IMAGE], [SCORES])


def command(name: str = "") -> dict[str, Array]:
    """The inputs of a run that does what `name` says; nothing special by default."""
    import faulty_plugin

    values = np.ones((1, 4, 4, 3), np.float32)
    if name:
        values[0, 0, 0, 0] = -1 - faulty_plugin.NAMES.index(name)
    return {"image": values}
