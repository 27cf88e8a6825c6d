"""``docs/licences.md`` lists every distribution that an extra installs, with the licence that it states."""

from __future__ import annotations

import importlib.util
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

from edgevision.system.distributions import is_copyleft, licence_of

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")


def rows(cells: int) -> dict[str, list[str]]:
    lines = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("|")]
    found = [[cell.strip() for cell in line] for line in lines if len(line) == cells]
    return {row[0]: row[1:] for row in found if row[0] not in ("distribution", "---")}


LISTED, IN_TURN = rows(5), rows(3)


@pytest.fixture(scope="module")
def command() -> ModuleType:
    pytest.importorskip("packaging")
    spec = importlib.util.spec_from_file_location("licences", ROOT / "benchmarks" / "licences.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_distribution_of_every_extra_is_listed_with_its_extras(command: ModuleType) -> None:
    stated = {name: {word.strip(" `") for word in row[0].split(",")} for name, row in LISTED.items()}
    assert stated == {
        name: {extra or "core" for extra in extras} for name, extras in command.direct().items()
    }


@pytest.mark.parametrize("name", sorted(LISTED))
def test_a_licence_is_what_the_metadata_states_and_of_its_kind(command: ModuleType, name: str) -> None:
    _, licence, kind, remark = LISTED[name]
    assert licence
    assert kind == command.kind_with_contents(name, licence)
    assert remark == command.remark(name)
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return
    if is_copyleft(licence_of(distribution)):
        assert "copyleft" in kind, "run benchmarks/licences.py"
    for file in distribution.files or ():
        for library, of in command.LIBRARIES.items():
            if ".so" in file.suffixes and file.name.startswith(f"lib{library}"):
                assert kind in ({"copyleft"} if of == "GPL" else {"copyleft", "weak copyleft"}), file


def test_copyleft_comes_with_the_extras_for_videos_and_tracking_alone(command: ModuleType) -> None:
    """LGPL stays in shared libraries of its own; GPL would reach what is built with it."""
    assert {name for name, row in LISTED.items() if row[2] == "copyleft"} == {"av", "supervision"}
    assert LISTED["av"][0] == "`video`"
    tests = set(command.FOR_TESTS)
    found = {
        name: row[2] for name, row in LISTED.items() if {w.strip(" `") for w in row[0].split(",")} - tests
    }
    assert {name for name, kind in found.items() if kind == "weak copyleft"} == {
        *("opencv-python-headless", "pi-heif")
    }


def test_what_is_installed_in_turn_and_is_not_permissive_is_listed(command: ModuleType) -> None:
    found = {line.split("|")[1].strip() for line in command.rows_in_turn(command.direct())}
    assert found <= set(IN_TURN), "run benchmarks/licences.py"
    assert not {name for name, row in IN_TURN.items() if row[1] == "copyleft"}


@pytest.mark.parametrize(
    ("licence", "kind"),
    [
        ("MIT", "permissive"),
        ("BSD-3-Clause AND GNU Lesser General Public License v3 (LGPLv3)", "weak copyleft"),
        ("MPL-2.0", "weak copyleft"),
        ("GPL-3.0-or-later", "copyleft"),
        ("GNU Affero General Public License v3", "copyleft"),
        ("Apache-2.0 WITH LLVM-exception", "permissive"),
        ("", "not stated"),
    ],
)
def test_kinds_of_licences(command: ModuleType, licence: str, kind: str) -> None:
    assert command.kind_of(licence) == kind
