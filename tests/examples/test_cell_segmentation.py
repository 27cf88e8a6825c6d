"""The example of cell segmentation: masks from boxes, and its commands on real photos."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "cell_segmentation"
WEIGHTS = EXAMPLE / "cells.keras"
SLIDE, RED, WHITE = (225, 225, 230), (190, 130, 140), (90, 50, 170)


@pytest.fixture(scope="module")
def masks() -> Iterator[ModuleType]:
    """The example's module `masks`, removed afterwards."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        yield import_module("masks")
    finally:
        sys.path.remove(str(EXAMPLE))
        sys.modules.pop("masks", None)


def _photo() -> tuple[np.ndarray, dict[str, tuple[int, int, int, int]]]:
    """A photo of two red cells, one without a box, and a white one; and the boxes."""
    random = np.random.default_rng(0)
    image = np.full((480, 640, 3), SLIDE, np.uint8)
    for centre, reach, color in (((120, 120), 50, RED), ((120, 360), 50, RED), ((420, 240), 80, WHITE)):
        cv2.circle(image, centre, reach, color, -1)
    image = np.clip(image + random.normal(0, 3, image.shape), 0, 255).astype(np.uint8)
    return image, {"RBC": (66, 66, 174, 174), "WBC": (336, 156, 504, 324)}


def _zipped(path: Path, photos: int) -> Path:
    image, boxes = _photo()
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax>"
        f"<ymax>{bottom}</ymax></bndbox></object>"
        for name, (left, top, right, bottom) in boxes.items()
    )
    jpeg = cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()
    names = [f"photo{number}" for number in range(photos)]
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(f"BCCD/JPEGImages/{name}.jpg", jpeg)
            archive.writestr(f"BCCD/Annotations/{name}.xml", f"<annotation>{objects}</annotation>")
        archive.writestr("BCCD/train.txt", "\n".join(names))
        archive.writestr("BCCD/val.txt", names[0])
    return path


def test_cells_get_the_class_of_their_box_and_those_without_a_box_are_left_out(
    masks: ModuleType, tmp_path: Path
) -> None:
    masks.unpack(_zipped(tmp_path / "bccd.zip", 2), tmp_path / "bccd")
    mask = cv2.imread(str(tmp_path / "bccd" / "val-masks" / "photo0.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (480, 640)
    expected = np.zeros((480, 640), np.uint8)
    for centre, reach, number in (((120, 120), 50, 1), ((120, 360), 50, 255), ((420, 240), 80, 2)):
        cv2.circle(expected, centre, reach, number, -1)
    assert (mask == expected).mean() > 0.985
    assert (mask[120, 120], mask[360, 120], mask[240, 420], mask[20, 320]) == (1, 255, 2, 0)
    labels = (tmp_path / "bccd" / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert labels == ["background", "red cell", "white cell", "platelet"]
    again = tmp_path / "again"
    masks.unpack(tmp_path / "bccd.zip", again)
    for part in ("train-masks/photo1.png", "val-masks/photo0.png"):
        assert (again / part).read_bytes() == (tmp_path / "bccd" / part).read_bytes()


def test_the_weights_are_small() -> None:
    assert WEIGHTS.stat().st_size < 3_000_000


def _commands() -> list[str]:
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    (body,) = re.findall(r"^## Commands\n(.*?)(?=^## )", readme, flags=re.DOTALL | re.MULTILINE)
    return [
        line
        for block in re.findall(r"```bash\n(.*?)```", body, flags=re.DOTALL)
        for line in block.splitlines()
    ]


@pytest.mark.convert
@pytest.mark.slow
def test_the_commands_work_as_typed_and_int8_keeps_dice_within_half_a_point(
    tmp_path: Path, shared: Path
) -> None:
    """On a tenth of the photos, with the weights of the example; the training runs for one epoch."""
    with (
        zipfile.ZipFile(shared / "data" / "bccd.zip") as whole,
        zipfile.ZipFile(tmp_path / "bccd.zip", "w") as part,
    ):
        for name, count in (("train", 20), ("val", 9)):
            chosen = whole.read(f"BCCD/{name}.txt").decode().split()[:count]
            part.writestr(f"BCCD/{name}.txt", "\n".join(chosen))
            for each in chosen:
                for entry in (f"BCCD/JPEGImages/{each}.jpg", f"BCCD/Annotations/{each}.xml"):
                    part.writestr(entry, whole.read(entry))
    (tmp_path / "examples").symlink_to(EXAMPLE.parent)
    outputs: dict[str, str] = {}
    for command in _commands():
        program, *words = shlex.split(command)
        start = [sys.executable, "-m", "edgevision"] if program == "edgevision" else [sys.executable]
        extra = ["--epochs", "1"] if "train.py" in command else []
        extra += ["--accept-not-shown"] if " convert " in command else []  # nine photos show nothing
        done = subprocess.run(
            [*start, *words, *extra],
            cwd=tmp_path,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr[-3000:]}"
        outputs[words[0]] = done.stdout
        if "train.py" in command:
            (tmp_path / "cells.keras").write_bytes(WEIGHTS.read_bytes())
    drops = _drops(tmp_path / "cells.evb")
    assert len(drops) == 3
    assert all(abs(drop) < 0.005 for drop in drops), drops
    assert "mean Dice" in outputs["evaluate"]
    assert len(list((tmp_path / "drawn").glob("*.jpg"))) == 9


def _drops(bundle: Path) -> list[Any]:
    from edgevision.bundle.storage import read_bundle
    from edgevision.evidence.document import read_evidence

    opened = read_bundle(bundle)
    evidence = opened.manifest.evidence
    assert evidence is not None
    measured = read_evidence(opened.read(evidence).decode(), "evidence.json").results
    return [result.comparison.metric("mean Dice").drop for result in measured]
