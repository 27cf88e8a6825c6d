"""Plugins that are broken in one way each: none harms EdgeVision or another plugin, and each is named.

Every row of `breakages` is installed beside a sound plugin; the commands that do not need it give what they
give without it, and ``edgevision plugins`` says what is wrong.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from breakages import BARE, BREAKAGES, HEAD, Breakage

from edgevision.artifact import read_artifact
from tiny_bundles import DATA, DETECT, classifier_artifact, detector_artifact, write_artifacts

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the table's commands are forks")

SERVER = Path(__file__).with_name("command_server.py")
#: The other runtimes take seconds to be asked for their devices, and are the same code.
WITHOUT = "openvino,onnx,cuda"

#: A sound plugin, with something of what each command lists.
SOUND = f"""{HEAD}
import sys

class Sound(Backend):
    name = "sound"
    formats = ("sound",)

@hook
def edgevision_backends():
    return [Sound()]

@hook
def edgevision_targets():
    return [__file__.replace("sound_module.py", "sound.toml")]

@hook
def edgevision_inferred(observation):
    print("observed", observation.status, file=sys.stderr)
"""
HELLO = 'import click\n\n@click.command()\ndef command():\n    """Say hello."""\n    click.echo("hello")\n'
TARGET = "[sound]\ndescription = 'x'\nbackend = 'sound'\nformat = 'sound'\nprecisions = ['float32']\n"
POINTS = "[edgevision]\nsound = sound_module\n[edgevision.commands]\nhello = sound_hello:command\n"


class Done(NamedTuple):
    code: int
    stdout: str
    stderr: str


class Commands:
    """Runs commands in forks of a server, in a folder with two bundles, images and a sound plugin."""

    def __init__(self, folder: Path, server: subprocess.Popen[str]) -> None:
        self.folder = folder
        self._server = server

    def __call__(
        self,
        *commands: tuple[str, ...],
        site: Path | None = None,
        seconds: float = 60,
        without: str = WITHOUT,
        selftest: str = "never",
        keep_imports: bool = False,
    ) -> list[Done]:
        """How each command of one process ended.

        Args:
            commands: the words of each.
            site: a folder with further packages.
            seconds: that plugins have.
            without: plugins that are left out.
            selftest: whether a bundle is first opened in a process of its own.
            keep_imports: whether the server imports what the commands import, for those to come.
        """
        output = Path(tempfile.mkdtemp(dir=self.folder))
        paths = [str(one) for one in (site, self.folder / "site") if one]
        environment = {
            "PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
            "EDGEVISION_DISABLE_PLUGINS": without,
            "EDGEVISION_CACHE": str(self.folder / "cache"),
            "EDGEVISION_PLUGIN_SECONDS": str(seconds),
            "EDGEVISION_SELFTEST": selftest,
        }
        request = {
            "commands": commands,
            "paths": paths,
            "folder": str(self.folder),
            "environment": environment,
            "output": str(output),
            "keep_imports": keep_imports,
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        assert int(self._server.stdout.readline()) == 0
        codes = json.loads((output / "codes").read_text())
        return [
            Done(code, *(Path(output, f"{place}.{name}").read_text() for name in ("stdout", "stderr")))
            for place, code in enumerate(codes)
        ]


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    folder = tmp_path_factory.mktemp("broken")
    write_artifacts(folder / "tiny.evb", {"tflite-float32": classifier_artifact()})
    detector = detector_artifact(read_artifact(DATA / "tiny.tflite"))
    write_artifacts(folder / "detector.evb", {"tflite-float32": detector}, task=DETECT)
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    (folder / "frames").mkdir()
    for name in ("image.png", "frames/1.png", "frames/2.png"):
        cv2.imwrite(str(folder / name), image)
    (folder / "own.broken").write_bytes(b"{}")
    (folder / "tiny.tflite").write_bytes((DATA / "tiny.tflite").read_bytes())
    install(folder / "site", "sound", POINTS, {"sound_module.py": SOUND, "sound_hello.py": HELLO})
    (folder / "site" / "sound.toml").write_text(TARGET)
    command = [sys.executable, str(SERVER)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        made = Commands(folder, server)
        made(*UNHARMED.values(), ("plugins", "--json"), keep_imports=True)
        yield made
        assert server.stdin is not None
        server.stdin.close()


def install(
    site: Path, name: str, points: str | bytes, files: Mapping[str, str], metadata: bytes | None = b""
) -> None:
    """A package as pip leaves it."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "entry_points.txt").write_bytes(points.encode() if isinstance(points, str) else points)
    if metadata is not None:
        (info / "METADATA").write_bytes(
            metadata or f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()
        )
    for file, content in files.items():
        (site / file).write_text(content)


def broken_site(folder: Path, breakage: Breakage) -> Path:
    """The folder in which a broken plugin is installed."""
    site = folder / "broken_site"
    modules = {} if breakage.source is None else {"broken_module.py": breakage.source}
    install(site, "broken", breakage.entry_points, {**modules, **breakage.files}, breakage.metadata)
    for name, (points, source) in breakage.others.items():
        install(site, name, points, {f"{name}_module.py": source})
    return site


#: Commands that need no plugin but the sound one.
UNHARMED = {
    "help": ("--help",),
    "backends": ("backends", "--json"),
    "targets": ("targets", "--json"),
    "predict": ("predict", "tiny.evb", "image.png", "--json"),
    "bare file": ("predict", "tiny.tflite", "image.png", "--json", "--output-name", "scores", *BARE),
    "command": ("hello",),
}


@pytest.fixture(scope="module")
def usual(commands: Commands) -> dict[str, Done]:
    """What the commands give without a broken plugin."""
    done = dict(zip(UNHARMED, commands(*UNHARMED.values()), strict=True))
    assert [one.code for one in done.values()] == [0] * len(done), done
    assert '"sound"' in done["backends"].stdout
    assert "observed ok" in done["predict"].stderr
    assert done["command"].stdout == "hello\n"
    return done


@pytest.mark.parametrize("name", BREAKAGES)
def test_a_broken_plugin_harms_no_other_and_is_named(
    name: str, commands: Commands, usual: dict[str, Done], tmp_path: Path
) -> None:
    breakage = BREAKAGES[name]
    site = broken_site(tmp_path, breakage)
    seconds = 60.0
    if breakage.hangs:  # what does not hang has its time, however busy the machine is
        commands(("targets",), site=site, without=f"{WITHOUT},broken" * (breakage.hangs == "at first"))
        seconds = 2.0
    uses = [use.words for use in breakage.use]
    *unharmed, listed = commands(*UNHARMED.values(), ("plugins", "--json"), site=site, seconds=seconds)
    for (command, expected), done in zip(usual.items(), unharmed, strict=True):
        check_unharmed(command, done, expected)
    assert listed.code == 0, listed
    check_row(breakage, json.loads(listed.stdout)["plugins"])
    for use, done in zip(
        breakage.use, commands(*uses, site=site, selftest="first-load") if uses else (), strict=True
    ):
        assert done.code == use.code, done
        assert re.search(use.said, done.stderr), done
        assert "Traceback" not in done.stderr


def check_unharmed(command: str, done: Done, usual: Done) -> None:
    """A command gives what it gives without the broken plugin; a list may have more rows."""
    assert done.code == 0, (command, done)
    if command == "help":
        missing = set(usual.stdout.splitlines()) - set(done.stdout.splitlines())
        assert not missing
    elif command == "backends":
        rows = json.loads(done.stdout)["backends"]
        assert [row for row in json.loads(usual.stdout)["backends"] if row not in rows] == []
    elif command == "targets":
        rows = json.loads(done.stdout)
        assert [row for row in json.loads(usual.stdout) if row not in rows] == []
    else:
        assert done.stdout == usual.stdout
    assert ("observed ok" in done.stderr) == ("observed ok" in usual.stderr)
    assert "Traceback" not in done.stderr


def check_row(breakage: Breakage, rows: list[dict[str, Any]]) -> None:
    problems = {row["package"]: row["problems"] for row in rows}
    found = " | ".join(problems.pop("broken", ()))
    assert re.search(breakage.row, found, re.DOTALL) if breakage.row else not found, found
    # Whatever is wrong is said of the broken plugin.
    assert not [said for package, said in problems.items() if package not in breakage.others and said]


def test_the_table_has_the_rows_of_the_issue() -> None:
    assert len(BREAKAGES) >= 42
