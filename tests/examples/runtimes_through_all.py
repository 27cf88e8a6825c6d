"""ncnn and MNN, which only packages of examples/plugins have, through the commands: run with both installed.

Prints one JSON object: what was done -> what it gave.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner

from edgevision.artifact import Artifact, read_artifact
from edgevision.converter import Source
from edgevision.plugins import registry
from edgevision.session import open_session
from edgevision.testing import check_backend
from plugins.segment.segment_shapes import LABELS, shapes, trained, write_shapes

TARGETS = """
[tiny]
description = "a board without room"
backend = "ncnn"
format = "ncnn"
precisions = ["float16"]
limits = {max_size_mb = 0.001}
"""


def main(folder: Path) -> dict[str, Any]:
    """Convert a U-Net to float16 for both, and use it."""
    import keras

    folder.mkdir()
    trained(keras, "softmax", len(LABELS)).save(folder / "unet.keras")
    write_shapes(folder / "set", 60, 1, (48, 40))
    (folder / "labels.txt").write_text("\n".join(LABELS), encoding="utf-8")
    (folder / "targets.toml").write_text(TARGETS, encoding="utf-8")
    images, masks, bundle = folder / "set" / "images", folder / "set" / "masks", folder / "unet.evb"
    data = ("--evaluation", images, "--truth", masks, "--labels", folder / "labels.txt", "--accept-not-shown")
    both = ("--target", "ncnn-cpu", "--target", "mnn-cpu", "--precision", "float16")
    found: dict[str, Any] = {}
    _run("convert", folder / "unet.keras", *both, *data, "-o", bundle)
    limited = ("--target", "tiny", "--targets-file", folder / "targets.toml", "-o", folder / "tiny.evb")
    found["limits"] = _error("convert", folder / "unet.keras", *limited, *data)
    found["inspect"] = json.loads(_run("inspect", bundle, "--json"))
    found["plugins"] = found["inspect"]["evidence"]["provenance"]["plugins"]
    for backend in ("ncnn", "mnn"):
        of = ("--backend", backend)
        found[backend] = {
            "predict": json.loads(_run("predict", bundle, images / "000.png", "--json", *of)),
            "evaluate": json.loads(_run("evaluate", bundle, images, "--truth", masks, "--json", *of)),
        }
    bench = ("bench", bundle, "--backend", "mnn", "--seconds", "0.05", "--json")
    found["bench"] = json.loads(_run(*bench))
    found["tune"] = json.loads(_run("tune", bundle, "--seconds", "0.05", "--threads", "1", "--json"))
    _run("report", bundle, "-o", folder / "report.html")
    found["report"] = (folder / "report.html").read_text(encoding="utf-8")
    found["bare"] = _bare(bundle, folder / "labels.txt", images / "000.png")
    found["again"] = _converted_again(folder / "unet.keras", bundle)
    return found


def _bare(bundle: Path, labels: Path, image: Path) -> dict[str, Any]:
    """What the artifacts say without their bundle: ncnn's of two files, MNN's of one."""
    options = ("--task", "segment", "--labels", labels, "--input-range", "0..255", "--scores", "softmax")
    files = {"ncnn": "artifacts/ncnn-float16/model.param", "mnn": "artifacts/mnn-float16/model.mnn"}
    return {
        name: json.loads(_run("predict", bundle / file, image, "--json", *options))
        for name, file in files.items()
    }


def _converted_again(model: Path, bundle: Path) -> dict[str, Any]:
    """The other precisions of each converter, float16 again in this process, and the backends' contracts."""
    plugins = registry()
    source: Source = plugins.reader("keras").read(model, trust_source=False, input_size_wh=None)
    pixels = shapes(3, 9)[0].astype(np.float32)
    expected = source.run({source.inputs[0].name: pixels})
    found: dict[str, Any] = {}
    for name in ("ncnn", "mnn"):
        converter, backend = plugins.converter(f"keras-{name}"), plugins.backend(name)
        before = _written(bundle, name)
        for precision in converter.precisions:
            artifact = converter.convert(source, precision, None)
            with open_session(backend, artifact) as session:
                answers = session.run({session.inputs[0].name: pixels})
            found[f"{name}-{precision}"] = {
                "same": artifact.sha256 == before.sha256,
                "error": max(float(np.abs(answers[key] - expected[key]).max()) for key in expected),
                "size": artifact.size_bytes,
            }
        check_backend(backend, before)
    return found


def _written(bundle: Path, name: str) -> Artifact:
    folder = bundle / "artifacts" / f"{name}-float16"
    file = folder / ("model.param" if name == "ncnn" else "model.mnn")
    return read_artifact(file, registry().file_formats())


def _invoke(name: str, *arguments: object) -> Any:
    command = import_module(f"edgevision.cli.{name}").command
    return CliRunner().invoke(command, [str(each) for each in arguments], standalone_mode=False)


def _run(name: str, *arguments: object) -> str:
    result = _invoke(name, *arguments)
    if result.exception is not None:
        raise RuntimeError(f"{name}: {result.exception!r}\n{result.output}") from result.exception
    return str(result.stdout)


def _error(name: str, *arguments: object) -> str:
    return str(_invoke(name, *arguments).exception)


if __name__ == "__main__":
    answer = main(Path(sys.argv[1]))
    Path(sys.argv[2]).write_text(json.dumps(answer), encoding="utf-8")
