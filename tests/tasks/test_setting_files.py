"""Decoder settings that are too long for a command line are read from files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision import BareModel, TaskOptions
from edgevision.cli.options.detect import DECODER_OPTIONS
from edgevision.cli.options.groups import under
from edgevision.errors import OptionError

ANCHORS = np.random.default_rng(0).uniform(0, 1, (40, 4)).astype(np.float32)


@pytest.mark.parametrize("kind", [TaskOptions, BareModel])
def test_an_array_is_read_from_a_file(tmp_path: Path, kind: Any) -> None:
    np.save(tmp_path / "anchors.npy", ANCHORS)
    (tmp_path / "grid.json").write_text('{"strides": [8, 16]}')
    settings = kind(
        decoder_settings={"anchors": tmp_path / "anchors.npy", "grid": tmp_path / "grid.json", "a": 1}
    ).decoder_settings
    assert (np.array(settings["anchors"], np.float32) == ANCHORS).all()
    assert (settings["grid"], settings["a"]) == ({"strides": [8, 16]}, 1)
    assert len(json.dumps(settings["anchors"])) < 15 * ANCHORS.size


def test_the_command_line_reads_the_file_after_an_at_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import click

    np.save(tmp_path / "anchors.npy", ANCHORS)
    monkeypatch.chdir(tmp_path)
    found = {}

    def read(**arguments: Any) -> None:
        found.update(TaskOptions(decoder_settings=arguments["decoder_setting"]).decoder_settings)

    click.command()(under("Detector", *DECODER_OPTIONS)(read)).main(
        ["--decoder-setting", "anchors=@anchors.npy"], standalone_mode=False
    )
    assert np.shape(found["anchors"]) == (40, 4)


def refused(folder: Path, name: str, content: bytes) -> str:
    (folder / name).write_bytes(content)
    with pytest.raises(OptionError) as caught:
        TaskOptions(decoder_settings={"anchors": folder / name})
    assert "decoder setting 'anchors'" in str(caught.value)
    return str(caught.value)


def test_files_that_are_not_settings_are_refused(tmp_path: Path) -> None:
    assert "expected a .npy or .json file" in refused(tmp_path, "anchors.csv", b"1,2")
    assert "expected JSON" in refused(tmp_path, "anchors.json", b"[1,")
    assert "expected JSON" in refused(tmp_path, "deep.json", b"[" * 100_000)
    assert "expected an array" in refused(tmp_path, "anchors.npy", b"\x93NUMPY")
    np.save(tmp_path / "words.npy", np.array([{"code": 1}]), allow_pickle=True)
    assert "expected an array" in refused(tmp_path, "words2.npy", (tmp_path / "words.npy").read_bytes())
    np.save(tmp_path / "text.npy", np.array(["a"]))
    assert "expected numbers" in refused(tmp_path, "text2.npy", (tmp_path / "text.npy").read_bytes())
    np.save(tmp_path / "nan.npy", np.array([np.nan]))
    assert "finite" in refused(tmp_path, "nan2.npy", (tmp_path / "nan.npy").read_bytes())
    assert "bytes, expected" in refused(tmp_path, "large.npy", b"\0" * 8_000_001)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"nothing\.npy: cannot be read: No such file"):
        BareModel(decoder_settings={"anchors": tmp_path / "nothing.npy"})
