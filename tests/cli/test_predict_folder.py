"""Folders of images: the same lines as for each image alone, in the order of the names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import edgevision
from edgevision.cli.predict import command
from edgevision.errors import InferenceError, InputError
from edgevision.imaging.decode import read_image
from edgevision.imaging.find import ImageFile
from edgevision.imaging.write import write_image
from edgevision.tasks.batches import pays

DATA = Path(__file__).parents[1] / "data"
BARE = ("--input-range", "0..1", "--scores", "softmax", "--output-name", "scores", "--json")
KNOWN = edgevision.BareModel(
    image=edgevision.InputOptions(value_range=(0.0, 1.0)), score_kind="softmax", output="scores"
)

pytestmark = pytest.mark.usefixtures("several_cores")


@pytest.fixture
def several_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevision.execution.thread_shares.cores", lambda: 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = np.random.default_rng(0).integers(0, 256, (45, 20, 30, 3), np.uint8)
    (tmp_path / "images").mkdir()
    for place, image in enumerate(images):
        write_image(tmp_path / "images" / f"{place:02}.png", image)
    return tmp_path / "images"


def _predict(*words: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words], standalone_mode=False)


def _rows(done: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("backend", ["tflite", "openvino"])
@pytest.mark.parametrize("name", ["tiny.tflite", "tiny_int8.tflite"])
def test_an_image_among_many_gets_the_same_result_as_alone(folder: Path, name: str, backend: str) -> None:
    pytest.importorskip({"tflite": "ai_edge_litert"}.get(backend, backend))
    rows = _rows(_predict(DATA / name, folder, "--backend", backend, *BARE))
    settings = edgevision.SessionSettings(threads=1)
    with edgevision.load(DATA / name, backend, settings=settings, bare=KNOWN) as model:
        alone = [model(read_image(path)).to_dict(1)["classes"] for path in sorted(folder.iterdir())]
        assert pays(model.session, (8, 8)) == (model.session.precision == "int8")
    assert [Path(row["image"]).name for row in rows] == [f"{place:02}.png" for place in range(45)]
    assert [row["classes"] for row in rows] == alone


@pytest.mark.parametrize("name", ["tiny.tflite", "tiny_int8.tflite"])
def test_broken_images_among_many_are_reported_in_their_places(folder: Path, name: str) -> None:
    complete = _rows(_predict(DATA / name, folder, *BARE))
    broken = [0, 7, 8, 44]
    for place in broken:
        (folder / f"{place:02}.png").write_text("no image")
    done = _predict(DATA / name, folder, *BARE)
    rows = _rows(done)
    assert [place for place, row in enumerate(rows) if "error" in row] == broken
    assert [row for row in rows if "error" not in row] == [
        row for place, row in enumerate(complete) if place not in broken
    ]
    assert isinstance(done.exception, InputError)
    assert "4 of 45 images could not be used" in str(done.exception)


def test_annotated_copies_of_all_are_saved(folder: Path, tmp_path: Path) -> None:
    (folder / "03.png").write_text("no image")
    _predict(DATA / "tiny_int8.tflite", folder, *BARE, "--save", tmp_path / "seen")
    saved = sorted(path.name for path in (tmp_path / "seen").iterdir())
    assert saved == [f"{place:02}.png" for place in range(45) if place != 3]


def test_a_failing_runtime_ends_the_command_after_the_results_before_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = ImageFile.read

    def fail(file: ImageFile) -> Any:
        if file.path.name == "20.png":
            raise InferenceError("the runtime failed")
        return read(file)

    monkeypatch.setattr(ImageFile, "read", fail)
    done = _predict(DATA / "tiny.tflite", folder, *BARE)
    assert isinstance(done.exception, InferenceError)
    assert len(_rows(done)) == 20
