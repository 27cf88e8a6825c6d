"""The same plugins are found that `importlib.metadata` finds."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from edgevision.system.entry_points import entry_points


def _install(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "entry_points.txt").write_text(text, encoding="utf-8")
    (folder / name / "METADATA").write_text("Name: none\nVersion: 1\n")


def _pairs(points: object) -> list[tuple[str, str]]:
    return sorted((point.name, point.value) for point in points)  # type: ignore[attr-defined]


@pytest.mark.parametrize("group", ["edgevision", "console_scripts", "pytest11", "no_such_group"])
def test_every_group_of_this_machine_is_as_importlib_has_it(group: str) -> None:
    assert _pairs(entry_points(group)) == _pairs(metadata.entry_points(group=group))


def test_packages_in_two_folders_comments_and_extras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "# one\n[other]\nx = y\n\n[ours]\n  a = os.path:join\nb=json\ne = os [extra]\n"
    _install(tmp_path / "one", "My.Plugin-1.0.dist-info", text)
    _install(tmp_path / "one", "old.egg-info", "[ours]\nold = sys:version_info.major\n")
    _install(tmp_path / "two", "my_plugin-2.0.dist-info", "[ours]\nhidden = by_the_first\n")
    _install(tmp_path / "two", "My_Plugin.egg-info", "[ours]\nhidden_too = by_the_first\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "one"), str(tmp_path / "gone"), str(tmp_path / "two")])
    points = {point.name: point for point in entry_points("ours")}
    assert _pairs(points.values()) == _pairs(metadata.entry_points(group="ours"))
    assert set(points) == {"a", "b", "e", "old"}
    assert points["a"].load() is __import__("os").path.join
    assert points["old"].load() == sys.version_info.major


def test_a_package_in_a_zip_is_found_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("zipped-1.0.dist-info/METADATA", "Name: zipped\nVersion: 1.0\n")
        archive.writestr("zipped-1.0.dist-info/entry_points.txt", "[ours]\nzipped = json\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "all.zip"), *sys.path])
    assert [point.name for point in entry_points("ours")] == ["zipped"]


def test_the_registry_of_plugins_does_not_load_the_e_mail_parser() -> None:
    code = "import sys; from edgevision.plugins import registry; registry().backends()"
    code += "; print('email' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
