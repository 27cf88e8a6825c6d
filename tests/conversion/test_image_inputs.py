"""Models whose input is an image in another shape are converted; others are refused with the option."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edgevision.cli import cli
from edgevision.errors import OptionError, SourceError
from edgevision.loading.load import load

pytestmark = [
    pytest.mark.convert,
    # Keras 3.15 with numpy 2 warns of its own conversions.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]
SIZE = 12


@pytest.fixture(scope="module")
def keras() -> Any:
    return pytest.importorskip("keras", reason="needs the extra `convert`")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images that are bright on the left or on the right: two sets with a folder per class."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for part in ("calibration", "evaluation"):
        for name in ("left", "right"):
            (folder / part / name).mkdir(parents=True)
            for number in range(20):
                pixels = rng.integers(0, 60, (SIZE, SIZE, 3), np.uint8)
                half = slice(0, SIZE // 2) if name == "left" else slice(SIZE // 2, SIZE)
                pixels[:, half] += 150
                cv2.imwrite(str(folder / part / name / f"{number}.png"), pixels)
    return folder


def classifier(keras: Any, shape: tuple[int, ...]) -> Any:
    """A model that compares the halves of an image of any shape, for values of 0…1."""
    layers = keras.layers
    image = keras.Input(shape, name="image")
    channels = int(np.prod(shape)) // SIZE**2
    first = len(shape) == 3 and shape[0] == 3
    x = layers.Permute((2, 3, 1))(image) if first else image
    x = layers.Flatten()(layers.Reshape((SIZE, SIZE, channels))(x))
    dense = layers.Dense(2, activation="softmax", name="scores")
    model = keras.Model(image, dense(x))
    halves = np.zeros((SIZE, SIZE, channels, 2), np.float32)
    halves[:, : SIZE // 2, ..., 0] = halves[:, SIZE // 2 :, ..., 1] = 0.02
    dense.set_weights([halves.reshape(-1, 2), np.zeros(2, np.float32)])
    return model


def convert(source: Path, images: Path, output: Path, *options: str) -> Any:
    arguments = ["--target", "generic-cpu", "--precision", "int8", "--force", "--accept-not-shown"]
    sets = ["--calibration", str(images / "calibration"), "--evaluation", str(images / "evaluation")]
    return CliRunner().invoke(cli, ["convert", str(source), *arguments, *sets, "-o", str(output), *options])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((SIZE, SIZE), []),
        ((SIZE, SIZE, 1), []),
        ((SIZE * SIZE,), ["--input-size", f"{SIZE}x{SIZE}"]),
        ((SIZE * SIZE * 3,), ["--input-size", f"{SIZE}x{SIZE}"]),
        ((3, SIZE, SIZE), []),
    ],
    ids=str,
)
def test_an_image_in_another_shape_is_converted_and_predicted(
    tmp_path: Path, keras: Any, images: Path, shape: tuple[int, ...], options: list[str]
) -> None:
    classifier(keras, shape).save(tmp_path / "model.keras")
    output = tmp_path / "model.evb"
    done = convert(tmp_path / "model.keras", images, output, "--input-range", "0..1", *options)
    assert done.exit_code == 0, done.exception
    with load(output) as model:
        for name in ("left", "right"):
            assert model(images / "evaluation" / name / "0.png").top()[0].label == name


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((SIZE * SIZE,), "pass --input-size 12x12; if it generates images from a vector, pass --task FILE"),
        ((SIZE * SIZE * 3,), "pass --input-size 12x12"),
        ((50,), "pass --input-size WIDTHxHEIGHT"),
        ((2, SIZE, SIZE, 3), "video is not supported; save the part of the model that takes one frame"),
        (
            (SIZE, SIZE, 6),
            "6 channels are not supported; save a model whose first layers make these of 1 or 3",
        ),
        ((SIZE, SIZE, 4), "has no alpha channel; save a model that adds an opaque one"),
    ],
)
def test_an_input_that_is_no_image_is_refused_with_the_next_step(
    tmp_path: Path, keras: Any, images: Path, shape: tuple[int, ...], words: str
) -> None:
    image = keras.Input(shape)
    keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(image))).save(tmp_path / "model.keras")
    done = convert(tmp_path / "model.keras", images, tmp_path / "model.evb", "--input-range", "0..1")
    assert isinstance(done.exception, SourceError)
    assert words in str(done.exception)


def test_the_lines_that_add_an_alpha_channel_make_a_model_that_converts(
    tmp_path: Path, keras: Any, images: Path
) -> None:
    image = keras.Input((SIZE, SIZE, 4))
    model = keras.Model(
        image, keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(image / 255.0))
    )
    model.save(tmp_path / "model.keras")
    done = convert(tmp_path / "model.keras", images, tmp_path / "model.evb", "--input-range", "0..255")
    code = re.search(r"(image = keras\.Input.*\.save\('NAME\.keras'\))", str(done.exception))
    assert code is not None
    exec(code[1].replace("NAME", str(tmp_path / "opaque")), {"keras": keras, "model": model})  # noqa: S102
    done = convert(tmp_path / "opaque.keras", images, tmp_path / "model.evb", "--input-range", "0..255")
    assert done.exit_code == 0, done.exception


def test_a_signature_and_a_package_are_named_on_the_command_line(
    tmp_path: Path, keras: Any, images: Path
) -> None:
    import tensorflow as tf

    model = classifier(keras, (SIZE, SIZE, 3))

    def scores(image: Any) -> Any:
        return {"scores": model(image / 255.0, training=False)}

    spec = tf.TensorSpec((None, SIZE, SIZE, 3), name="image")
    holder = tf.Module()
    holder.model = model
    concrete = tf.function(scores).get_concrete_function(spec)
    tf.saved_model.save(holder, str(tmp_path / "model"), signatures={"one": concrete, "two": concrete})
    done = convert(tmp_path / "model", images, tmp_path / "model.evb")
    assert isinstance(done.exception, SourceError)
    assert "pass --signature one or --signature two" in str(done.exception)
    done = convert(tmp_path / "model", images, tmp_path / "model.evb", "--signature", "two")
    assert done.exit_code == 0, done.exception
    done = convert(tmp_path / "model", images, tmp_path / "model.evb", "--import", "nowhere_at_all")
    assert isinstance(done.exception, OptionError)
    assert "--import" in str(done.exception)
    assert "nowhere_at_all" not in sys.modules


def test_a_file_that_nobody_reads_is_explained(tmp_path: Path, images: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08\x08")
    done = convert(tmp_path / "model.onnx", images, tmp_path / "model.evb")
    assert isinstance(done.exception, SourceError)
    assert "is an ONNX model already" in str(done.exception)
