"""Options about the input that contradict the model are refused, unless the caller insists."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision.bundle.storage import read_bundle
from edgevision.conversion.convert import ConversionSettings, convert
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import OptionError
from edgevision.evidence.records import Evidence
from edgevision.imaging.input_options import InputOptions
from edgevision.tasks.options import TaskOptions

pytestmark = pytest.mark.convert

IMAGES = ImageSet.from_arrays(np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), np.uint8))


def _rescaled(keras: Any, image: Any) -> Any:
    return keras.layers.Rescaling(1 / 255)(image)


def _caffe(keras: Any, image: Any) -> Any:
    return keras.applications.resnet50.preprocess_input(image)


def _means_only(keras: Any, image: Any) -> Any:
    return image - np.array([103.939, 116.779, 123.68], np.float32)


def converted(inside: Any, folder: Path, image: InputOptions, **settings: Any) -> Evidence:
    keras = pytest.importorskip("keras", reason="needs the extra `convert`")
    source = keras.Input((8, 8, 3), name="image")
    x = keras.layers.GlobalAveragePooling2D()(inside(keras, source))
    model = keras.Model(source, keras.layers.Dense(3, activation="softmax")(x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Keras's own, with numpy 2
        model.save(folder / "model.keras")
    return convert(
        folder / "model.keras",
        folder / "model.evb",
        targets=["generic-cpu"],
        precisions=["float32"],
        evaluation=IMAGES,
        settings=ConversionSettings(task=TaskOptions(image=image), **settings),
    )


CONTRADICTIONS = {
    "range": (
        _rescaled,
        InputOptions(value_range=(0, 1)),
        r"--input-range 0..1 gives the model values of 0 to 1, .* 0…255 \(layer 'rescaling.*force-input",
    ),
    "family of another range": (
        _rescaled,
        InputOptions(applications="mobilenet_v2"),
        "--preprocess mobilenet_v2 gives",
    ),
    "means twice": (
        _caffe,
        InputOptions(applications="resnet50"),
        "--preprocess resnet50 gives .*values of -123.7",
    ),
    "means said": (
        _caffe,
        InputOptions(value_range=(0, 255), mean=(124, 117, 104)),
        "--mean 124,117,104 gives",
    ),
    "colours": (
        _caffe,
        InputOptions(color="bgr"),
        "--color bgr gives the model BGR images, but it expects RGB",
    ),
    "colours the other way": (_means_only, InputOptions(color="rgb"), "but it expects BGR"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_an_option_that_contradicts_the_model_is_refused_and_can_be_forced(tmp_path: Path, case: str) -> None:
    inside, image, message = CONTRADICTIONS[case]
    with pytest.raises(OptionError, match=message):
        converted(inside, tmp_path, image)
    assert not (tmp_path / "model.evb").exists()
    evidence = converted(inside, tmp_path, image, force_input=True)
    finding, *_ = [one for one in evidence.calibration_findings if one.check == "input-contradiction"]
    assert finding.severity == "warning"
    assert "--force-input was passed" in finding.text


@pytest.mark.parametrize(
    ("inside", "image", "color"),
    [
        (_rescaled, InputOptions(), "rgb"),
        (_rescaled, InputOptions(value_range=(0, 255)), "rgb"),
        (_rescaled, InputOptions(value_range=(0, 256)), "rgb"),
        (_rescaled, InputOptions(applications="efficientnet"), "rgb"),
        (_rescaled, InputOptions(color="bgr"), "bgr"),
        (_caffe, InputOptions(), "rgb"),
        (_means_only, InputOptions(), "bgr"),
        (_means_only, InputOptions(value_range=(0, 255), color="bgr"), "bgr"),
    ],
)
def test_what_agrees_with_the_model_is_accepted(
    tmp_path: Path, inside: Any, image: InputOptions, color: str
) -> None:
    evidence = converted(inside, tmp_path, image)
    assert evidence.calibration_findings == ()
    assert read_bundle(tmp_path / "model.evb").manifest.preprocessing.color == color
