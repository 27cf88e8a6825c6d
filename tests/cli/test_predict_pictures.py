"""``predict`` on pictures as cameras and scanners make them: every file answered, refused or told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import edgevision
from edgevision.cli.predict import command
from edgevision.errors import InputError, OptionError, OutputError
from edgevision.imaging.write import write_image
from image_files import PATIENT, dicom, png, ramp, tiff

MODEL = Path(__file__).parents[1] / "data" / "tiny.tflite"
BARE = ("--input-range", "0..1", "--scores", "softmax", "--output-name", "scores")


def _predict(*words: object, stdin: bytes | None = None) -> Result:
    arguments = [str(MODEL), *map(str, words), *BARE]
    return CliRunner().invoke(command, arguments, input=stdin, standalone_mode=False)


def _rows(done: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def _picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8))
    return path


@pytest.fixture
def scenes(tmp_path: Path) -> dict[str, Path]:
    """One scene of 12 bits by four ways."""
    pytest.importorskip("pydicom")
    pixels = ramp(12, (16, 16))
    files = {"scene.png": png(pixels), "scene.tif": tiff(pixels), "scene.dcm": dicom(pixels, bits=12)}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return {name: tmp_path / name for name in files}


def test_every_route_of_twelve_bits_gives_the_answer_of_the_reference(scenes: dict[str, Path]) -> None:
    options = edgevision.InputOptions(value_range=(0.0, 1.0), bit_depth=12)
    bare = edgevision.BareModel(image=options, score_kind="softmax", output="scores")
    eight = edgevision.BareModel(
        image=edgevision.InputOptions(value_range=(0.0, 1.0)), score_kind="softmax", output="scores"
    )
    pixels = ramp(12, (16, 16))
    with edgevision.load(MODEL, bare=bare) as model, edgevision.load(MODEL, bare=eight) as plain:
        by_array = model(pixels).scores
        reference = plain((pixels >> 4).astype(np.uint8)).scores
        assert np.abs(by_array - reference).max() < 0.02
        assert np.array_equal(model.classify_batch([pixels])[0].scores, by_array)
        with pytest.raises(InputError, match="16 bits per channel; say how"):
            plain(pixels)
        with pytest.raises(InputError, match="16 bits per channel; say how"):
            plain([pixels])
    done = _predict(*scenes.values(), "--bit-depth", 12, "--json")
    assert done.exception is None
    for row in _rows(done):
        best = max(row["classes"], key=lambda one: one["score"])
        assert best["score"] == pytest.approx(float(by_array.max()), abs=1e-6)


def test_twelve_bits_without_a_statement_are_refused_and_others_go_on(
    scenes: dict[str, Path], tmp_path: Path
) -> None:
    _picture(tmp_path / "plain.png")
    done = _predict(tmp_path, "--json")
    rows = {Path(row["image"]).name: row for row in _rows(done)}
    assert "classes" in rows["plain.png"]
    for name in scenes:
        assert "say how values become black and white: --bit-depth 12" in rows[name]["error"]
    assert isinstance(done.exception, InputError)
    assert "3 of 4 images could not be used" in str(done.exception)


@pytest.mark.parametrize(
    "option",
    [
        ("--window", "2000,1500"),
        ("--window-percentiles", "1,99"),
        ("--pixel-range", "0..4095"),
        ("--bit-depth", "12"),
    ],
)
def test_every_statement_can_be_typed(option: tuple[str, str], scenes: dict[str, Path]) -> None:
    assert _predict(*scenes.values(), *option).exception is None


@pytest.mark.parametrize(
    "option", [("--window", "40"), ("--window-percentiles", "a,b"), ("--bit-depth", "20")]
)
def test_a_statement_that_cannot_be_read_is_refused(option: tuple[str, str], scenes: dict[str, Path]) -> None:
    done = CliRunner().invoke(command, [str(MODEL), str(scenes["scene.png"]), *BARE, *option])
    assert done.exit_code == 2
    assert option[0] in done.output


def test_frames_and_their_spacing_are_in_the_results(tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    path = tmp_path / "series.dcm"
    path.write_bytes(dicom(np.stack([ramp(12)] * 3), bits=12, PixelSpacing=[0.5, 0.25]))
    done = _predict(path, "--bit-depth", 12, "--json", "--save", tmp_path / "out")
    rows = _rows(done)
    assert [row["image"] for row in rows] == [f"{path}#{number}" for number in range(3)]
    assert all(row["pixel_spacing_mm"] == [0.5, 0.25] for row in rows)
    assert [Path(row["saved"]).name for row in rows] == [f"series#{number}.png" for number in range(3)]
    assert all(Path(row["saved"]).is_file() for row in rows)
    assert PATIENT not in done.stdout + done.stderr


def test_what_a_folder_leaves_out_is_told_in_text_and_json(tmp_path: Path) -> None:
    _picture(tmp_path / "a.png")
    for name in ("film.mp4", "notes.txt", "raw.nef"):
        (tmp_path / name).touch()
    done = _predict(tmp_path)
    assert done.exception is None
    assert done.stderr.count("left out 3 files: 1 .mp4 (video") == 1
    done = _predict(tmp_path, "--json")
    rows = _rows(done)
    assert [Path(row["image"]).name for row in rows] == ["a.png", "film.mp4", "notes.txt", "raw.nef"]
    assert ["left_out" in row for row in rows] == [False, True, True, True]
    assert "left out 3 files" in done.stderr


def test_a_folder_without_images_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").touch()
    done = _predict(tmp_path)
    assert isinstance(done.exception, InputError)
    assert "no images found" in str(done.exception)
    assert "film.mp4" in str(done.exception)


def test_folders_patterns_and_standard_input_together(tmp_path: Path) -> None:
    _picture(tmp_path / "one" / "a.png")
    _picture(tmp_path / "two" / "deep" / "b.png")
    content = _picture(tmp_path / "c.png").read_bytes()
    done = _predict(tmp_path / "one", tmp_path / "two" / "**" / "*.png", "-", "--json", stdin=content)
    assert done.exception is None
    names = [row["image"] for row in _rows(done)]
    assert names == ["-", str(tmp_path / "one" / "a.png"), str(tmp_path / "two" / "deep" / "b.png")]


@pytest.mark.parametrize(
    ("words", "stdin", "error", "message"),
    [
        (["-"], b"", InputError, "standard input is empty"),
        (["-", "-"], b"x", OptionError, "read once"),
    ],
)
def test_standard_input_without_an_image_is_refused(
    words: list[str], stdin: bytes, error: type[Exception], message: str
) -> None:
    done = _predict(*words, stdin=stdin)
    assert isinstance(done.exception, error)
    assert message in str(done.exception)


def test_saved_copies_keep_the_folders_and_are_never_replaced_unasked(tmp_path: Path) -> None:
    for name in ("day/1.png", "night/1.png"):
        _picture(tmp_path / "in" / name)
    out = tmp_path / "out"
    done = _predict(tmp_path / "in", "--save", out, "--json")
    saved = [Path(row["saved"]).relative_to(out).as_posix() for row in _rows(done)]
    assert saved == ["day/1.png", "night/1.png"]
    before = (out / "day" / "1.png").read_bytes()
    again = _predict(tmp_path / "in", "--save", out)
    assert isinstance(again.exception, OutputError)
    assert "pass --overwrite" in str(again.exception)
    assert (out / "day" / "1.png").read_bytes() == before
    assert _predict(tmp_path / "in", "--save", out, "--overwrite").exception is None


def test_a_saved_copy_of_twelve_bits_shows_what_the_network_sees(tmp_path: Path) -> None:
    from edgevision.imaging.decode import as_image

    path = tmp_path / "scene.png"
    path.write_bytes(png(np.full((40, 40), 4095, np.uint16)))
    assert _predict(path, "--bit-depth", 12, "--save", tmp_path / "out").exception is None
    shown = as_image(tmp_path / "out" / "scene.png")
    assert np.median(shown) == 255
