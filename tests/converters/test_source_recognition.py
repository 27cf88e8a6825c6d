"""Files of every name are recognised by content, and files of other kinds are explained."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, read

from edgevision.errors import SourceError
from edgevision_keras.reading.reader import KerasReader

pytestmark = MARKS


def json_beside_weights(model: Any, folder: Path) -> Path:
    (folder / "model.json").write_text(model.to_json())
    model.save_weights(folder / "own.weights.h5")
    return folder / "model.json"


def weights_beside_json(model: Any, folder: Path) -> Path:
    json_beside_weights(model, folder)
    return folder / "own.weights.h5"


def weights_alone(model: Any, folder: Path) -> Path:
    model.save_weights(folder / "own.weights.h5")
    return folder / "own.weights.h5"


def named(name: str, content: bytes) -> Callable[[Any, Path], Path]:
    def write(_: Any, folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def directory_with(name: str, content: bytes = b"") -> Callable[[Any, Path], Path]:
    def write(_: Any, folder: Path) -> Path:
        (folder / "inner").mkdir()
        (folder / "inner" / name).write_bytes(content)
        return folder / "inner"

    return write


def inner_saved_model(model: Any, folder: Path) -> Path:
    model.export(folder / "outer" / "1", verbose=False)
    return folder / "outer"


def graph_of_saved_model(model: Any, folder: Path) -> Path:
    model.export(folder / "exported", verbose=False)
    return folder / "exported" / "saved_model.pb"


def zipped_saved_model(model: Any, folder: Path) -> Path:
    graph = graph_of_saved_model(model, folder)
    with zipfile.ZipFile(folder / "model.zip", "w") as archive:
        archive.write(graph, "exported/saved_model.pb")
    return folder / "model.zip"


def unpacked(model: Any, folder: Path) -> Path:
    model.save(folder / "model.keras")
    with zipfile.ZipFile(folder / "model.keras") as archive:
        archive.extractall(folder / "model")
    return folder / "model"


def folder_with_file(model: Any, folder: Path) -> Path:
    (folder / "inner").mkdir()
    model.save(folder / "inner" / "best.keras")
    return folder / "inner"


def pytorch_zip(_: Any, folder: Path) -> Path:
    with zipfile.ZipFile(folder / "model.pt", "w") as archive:
        archive.writestr("model/data.pkl", b"")
    return folder / "model.pt"


def tflite(_: Any, folder: Path) -> Path:
    (folder / "model.bin").write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(40))
    return folder / "model.bin"


EXPLAINED: dict[str, tuple[Callable[[Any, Path], Path], str]] = {
    "json": (
        json_beside_weights,
        "architecture of a Keras model alone.*model.load_weights('own.weights.h5')",
    ),
    "weights with json": (weights_beside_json, "only weights.*model_from_json(open('model.json').read())"),
    "weights": (
        weights_alone,
        "only weights.*model.load_weights('own.weights.h5'); model.save('NAME.keras')",
    ),
    "tflite": (tflite, "a TFLite model already.*edgevision predict model.bin IMAGE"),
    "onnx": (named("model.onnx", b"\x08\x08\x12\x07pytorch"), "an ONNX model already"),
    "openvino": (named("model.xml", b"<?xml?>"), "an OpenVINO model already.*predict model.xml"),
    "pytorch": (pytorch_zip, "a PyTorch model, which is not supported"),
    "pytorch pickle": (named("model.pth", pickle.dumps([1], 2)), "a PyTorch model, which is not supported"),
    "pickle": (named("model.pkl", pickle.dumps([1])), "a Python pickle"),
    "core ml": (named("model.mlmodel", b"\x08\x01"), "a Core ML model"),
    "frozen graph": (named("graph.pb", b"\n\x05"), "a frozen graph of TensorFlow 1.*tf.saved_model.save"),
    "checkpoint": (named("model.ckpt.index", b"\x00"), "a checkpoint.*model.load_weights('model.ckpt')"),
    "checkpoint data": (named("m.data-00000-of-00001", b"\x00"), "a checkpoint.*load_weights('m')"),
    "checkpoints": (directory_with("checkpoint"), "a directory of checkpoints"),
    "lfs": (named("model.keras", b"version https://git-lfs.github.com/spec/v1\n"), "run: git lfs pull"),
    "web page": (named("model.h5", b"<!DOCTYPE html>"), "a web page"),
    "tensorflow.js": (named("model.json", json.dumps({"modelTopology": {}}).encode()), "TensorFlow.js"),
    "inner": (inner_saved_model, "a directory with 1 SavedModel in it; pass .*outer/1"),
    "graph": (graph_of_saved_model, "one file of a SavedModel; pass its directory: .*exported"),
    "zipped": (zipped_saved_model, "a zip archive with a SavedModel.*unzip model.zip"),
    "unpacked": (unpacked, "an unpacked .keras file; pack it again"),
    "folder": (folder_with_file, "a directory and not a model; pass the file: .*best.keras"),
    "empty": (named("model", b""), "empty; copy it again"),
    "text": (named("model.txt", b"hello"), "expected a .keras or .h5 file, or a SavedModel directory"),
}


@pytest.mark.parametrize(("make", "words"), EXPLAINED.values(), ids=EXPLAINED.keys())
def test_a_file_of_another_kind_is_explained_with_the_next_step(
    tmp_path: Path, trained: Any, make: Callable[[Any, Path], Path], words: str
) -> None:
    import re

    path = make(trained, tmp_path)
    with pytest.raises(SourceError) as raised:
        read(path)
    message = str(raised.value)
    assert message.startswith(str(path))
    assert re.search(words.replace("(", r"\(").replace(")", r"\)"), message), message
    assert "\n" not in message
    # Only a file that is read is claimed: another plugin may read the others.
    assert KerasReader().reads(path) == ("only weights" in message)
    if not KerasReader().reads(path):
        assert KerasReader().explain(path) == message


def test_the_command_that_joins_json_and_weights_makes_a_model(tmp_path: Path, trained: Any) -> None:
    weights = weights_beside_json(trained, tmp_path)
    with pytest.raises(SourceError) as raised:
        read(weights)
    code = str(raised.value).partition('python -c "')[2].partition('"')[0].replace("NAME", "joined")
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True
    )
    image = np.full((1, 16, 16, 3), 90, np.float32)
    (answer,) = read(tmp_path / "joined.keras").run({"picture": image}).values()
    np.testing.assert_allclose(answer, np.asarray(trained(image, training=False)), atol=1e-6)


def test_hdf5_after_a_block_of_other_data_is_recognised(tmp_path: Path, trained: Any) -> None:
    import h5py

    trained.save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5") as old, h5py.File(tmp_path / "m", "w", userblock_size=512) as new:
        for name in old:
            old.copy(name, new)
        new.attrs.update(old.attrs)
    assert read(tmp_path / "m").description == "Keras 3 .h5 file"


def test_recognition_imports_no_library() -> None:
    code = (
        "import sys, pathlib; from edgevision_keras.reading.recognition import kind_of, explain; "
        "kind_of(pathlib.Path('.')); explain(pathlib.Path('.')); "
        "print(sorted({'tensorflow', 'keras', 'h5py', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "tensorflow" not in done.stdout
    assert "h5py" not in done.stdout
