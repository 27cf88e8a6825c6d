"""A task that only a package has, through every command: run in a process that has the package installed.

Prints one JSON object: command -> what it gave.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from click.testing import CliRunner

RED, BLUE = (230, 20, 20), (20, 20, 230)


def main(folder: Path) -> dict[str, Any]:
    """Convert a network of two heat maps, and use it."""
    _write_images(folder)
    _network().save(folder / "pose.keras")
    images, truth, bundle = folder / "images", folder / "truth.json", folder / "pose.evb"
    found: dict[str, Any] = {"bundle": str(bundle)}
    points = ("--task", "pose", "--task-option", 'points=["red", "blue"]')
    found["not stated"] = _error("convert", folder / "pose.keras", "--target", "onnx-cpu", "-o", bundle)
    found["convert"] = _run(
        *("convert", folder / "pose.keras", "--target", "onnx-cpu", "--precision", "int8", "-o", bundle),
        *(
            "--calibration",
            folder / "calibration",
            "--evaluation",
            images,
            "--truth",
            truth,
            *points,
            "--accept-not-shown",
        ),
    )
    found["predict"] = json.loads(
        _run("predict", bundle, images / "00.png", "--json", "--save", folder / "drawn")
    )
    found["evaluate"] = _run(
        "evaluate", bundle, images, "--truth", truth, "--json", "--save", folder / "worst"
    )
    found["compare"] = _run("compare", bundle, bundle, images, "--truth", truth)
    found["bench"] = _run("bench", bundle, "--seconds", "0.1")
    found["selftest"] = _run("selftest", bundle)
    found["report"] = _run("report", bundle, "-o", folder / "report.html")
    found["inspect"] = _run("inspect", bundle)
    found["explain"] = _error("explain", bundle, images / "00.png", "-o", folder / "explained")
    journal = folder / "journal.evj"
    found["stream"] = _run(
        *("stream", bundle, images, "--policy", "wait", "--jsonl", folder / "answers.jsonl"),
        *("--journal", journal, "--journal-frames", "all"),
    )
    found["replay"] = _run("journal", "replay", journal, "--bundle", bundle)
    found["journal"] = _run("journal", "show", journal, "--json")
    found["live"] = _live(bundle, images)
    found["manifest"] = json.loads(_run("inspect", bundle, "--json"))
    return found


def _live(bundle: Path, images: Path) -> dict[str, Any]:
    """What the page of a preview is told, and the size of its picture."""
    from edgevision.loading.load import load
    from edgevision.preview.live import Live
    from edgevision.tasks.kind import kind_of

    with load(bundle) as model:
        stream = model.stream(images, "wait")
        kind = kind_of(model.task)

        def draw(frame: Any, result: Any) -> Any:
            return kind.draw(frame.image.pixels, result.value, 1, 1)

        live = Live(stream, draw, lines=lambda result: kind.lines(result, 1))
        with stream:
            frame, result = next(iter(stream))
            live.add(frame, result)
            picture = live.picture()
            return {"frame": live.to_dict()["frame"], "picture": 0 if picture is None else len(picture[1])}


def _network() -> Any:
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3), name="photo")
    scaled = keras.layers.Rescaling(1 / 255)(image)
    colors = keras.layers.Conv2D(2, 1, activation="relu", name="colors")
    heat = keras.layers.AveragePooling2D(2, name="heat")(colors(scaled))
    colors.set_weights([np.array([[[[1, -1], [-0.5, -0.5], [-1, 1]]]], np.float32), np.zeros(2, np.float32)])
    return keras.Model(image, heat)


def _write_images(folder: Path) -> None:
    for name in ("images", "calibration"):
        (folder / name).mkdir(parents=True)
    random = np.random.default_rng(0)
    truth = {}
    for number in range(32):
        image = random.integers(60, 90, (48, 64, 3), np.uint8)
        corners = random.choice(12, 2, replace=False)
        places = [(int(one % 4) * 16 + 8, int(one // 4) * 16 + 8) for one in corners]
        for place, color in zip(places, (RED, BLUE), strict=True):
            cv2.circle(image, place, 4, color[::-1], -1)
        name = "images" if number < 24 else "calibration"
        cv2.imwrite(str(folder / name / f"{number:02d}.png"), image)
        truth[f"{number:02d}.png"] = [list(place) for place in places]
    (folder / "truth.json").write_text(json.dumps(truth), encoding="utf-8")


def _invoke(name: str, *arguments: object) -> Any:
    command = import_module(f"edgevision.cli.{name}").command
    return CliRunner().invoke(command, [str(each) for each in arguments], standalone_mode=False)


def _run(name: str, *arguments: object) -> str:
    result = _invoke(name, *arguments)
    if result.exception is not None:
        raise RuntimeError(f"{name}: {result.exception!r}\n{result.output}") from result.exception
    return str(result.output)


def _error(name: str, *arguments: object) -> str:
    return str(_invoke(name, *arguments).exception)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))))
