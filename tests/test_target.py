"""Device profiles are data, and a wrong one is named by file, target and field."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgevision.artifact import STANDARD_FORMATS
from edgevision.errors import OptionError
from edgevision.plugins import registry
from edgevision.target import BUILT_IN, find_target, load_targets, read_targets

MINE = """
[my-camera]
description = "our camera"
backend = "tflite"
format = "tflite"
precisions = ["int8", "float32"]
limits = {max_size_mb = 2}
"""


def test_the_promised_targets_are_built_in() -> None:
    promised = {
        "raspberry-pi-4", "raspberry-pi-5", "android-arm64", "coral-edgetpu", "intel-cpu", "intel-gpu",
        "intel-npu", "jetson-orin", "cuda", "generic-cpu",
    }  # fmt: skip
    assert promised <= set(read_targets(BUILT_IN))


@pytest.mark.parametrize("target", read_targets(BUILT_IN).values(), ids=lambda target: target.name)
def test_every_built_in_target_names_a_backend_that_loads_its_format(target) -> None:
    backends = registry().backends()
    assert target.format in [one.name for one in STANDARD_FORMATS]
    assert target.format in backends[target.backend].formats
    assert target.stand_in is None or target.format in backends[target.stand_in].formats


def test_a_users_file_adds_targets_and_replaces_built_in_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = tmp_path / "mine.toml", tmp_path / "theirs.toml"
    mine.write_text(MINE)
    theirs.write_text(MINE.replace("my-camera", "raspberry-pi-5"))
    monkeypatch.setenv("EDGEVISION_TARGETS", os.pathsep.join([str(mine), str(theirs)]))
    targets = load_targets()
    assert targets["my-camera"].limits == {"max_size_mb": 2}
    assert targets["my-camera"].origin == str(mine)
    assert targets["raspberry-pi-5"].description == "our camera"
    assert load_targets((mine,))["intel-cpu"].origin == "built in"
    assert load_targets([str(mine)])["my-camera"].origin == str(mine)
    assert read_targets(str(mine)) == read_targets(mine)


def test_for_an_unknown_target_the_nearest_is_suggested() -> None:
    with pytest.raises(OptionError, match="did you mean 'raspberry-pi-5'"):
        find_target("raspberypi5", load_targets())
    with pytest.raises(OptionError, match="no target 'zzz'; run edgevision targets for the list"):
        find_target("zzz", load_targets())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = [", "is not valid TOML"),
        ("camera = 3", "target 'camera': expected a table, got 3"),
        (MINE.replace("format =", "fromat ="), "unknown field 'fromat'; known fields: architecture, "),
        (MINE.replace('backend = "tflite"\n', ""), "field 'backend' is missing"),
        (MINE.replace('"our camera"', "7"), "field 'description': expected text, got 7"),
        (MINE.replace('"int8"', '"int4"'), "field 'precisions': expected a list of"),
        (MINE.replace('["int8", "float32"]', "[]"), "field 'precisions': expected a list of"),
        (
            MINE.replace("max_size_mb = 2", "max_size_mb = 0"),
            "limit 'max_size_mb': expected a number above 0",
        ),
        *(
            (
                MINE.replace("max_size_mb = 2", f"max_latency_ms = {value}"),
                "limit 'max_latency_ms': expected a number above 0",
            )
            for value in ("nan", "inf", "-1", "-inf", "true", '"2"', "1" + 400 * "0")
        ),
        (MINE.replace("backend =", 'machine = " "\nbackend ='), "field 'machine': expected text, got ' '"),
        (
            MINE.replace("backend =", 'architecture = "arm"\nbackend ='),
            "field 'architecture': expected x86_64 or aarch64 or armv7l",
        ),
        (MINE.replace("max_size_mb", "max_size"), "field 'limits': expected a table of max_size_mb"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "targets.toml"
    path.write_text(text)
    with pytest.raises(OptionError, match=message) as caught:
        read_targets(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"absent\.toml: cannot be read"):
        read_targets(tmp_path / "absent.toml")
