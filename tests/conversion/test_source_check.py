"""Is the source right? Tiny trained networks that need one range, colour order or interpolation."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgevision.bundle.storage import read_bundle
from edgevision.calibration.alternatives import other_interpolations
from edgevision.cli.output.evidence import echo_evidence
from edgevision.conversion.convert import ConversionSettings, convert
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError
from edgevision.evaluation.source_check import _Sample
from edgevision.evidence.records import Evidence
from edgevision.imaging.input_options import InputOptions
from edgevision.imaging.preprocess import Preprocessing
from edgevision.reporting.report import report_html
from edgevision.tasks.options import TaskOptions

pytestmark = pytest.mark.convert

SIZE = 8


def colours(count: int, seed: int) -> tuple[Any, Any]:
    """Mainly red, mainly blue and dark red images, uint8."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    means = np.array([[180, 60, 90], [90, 60, 180], [90, 20, 30]])[labels][:, None, None]
    return (means + rng.normal(0, 25, (count, SIZE, SIZE, 3))).clip(0, 255).astype(np.uint8), labels


def brightness(count: int, seed: int) -> tuple[Any, Any]:
    """Dark, grey and bright images, uint8."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    means = np.array([50, 125, 200])[labels][:, None, None, None]
    return (means + rng.normal(0, 30, (count, SIZE, SIZE, 3))).clip(0, 255).astype(np.uint8), labels


def textures(count: int, seed: int) -> tuple[Any, Any]:
    """Large images: plain, with faint noise, and with strong noise, which an average removes; uint8."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    spread = np.array([4, 35, 90])[labels][:, None, None, None]
    pixels = 128 + spread * rng.choice([-1, 1], (count, 4 * SIZE, 4 * SIZE, 1))
    return np.broadcast_to(pixels, (*pixels.shape[:3], 3)).astype(np.uint8), labels


def trained(keras: Any, images: Any, labels: Any, epochs: int = 25) -> Any:
    keras.utils.set_random_seed(4)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3), name="image"),
            layers.BatchNormalization(center=False, scale=False, name="white")
            if images.max() > 2
            else layers.Identity(),
            layers.Conv2D(12, 3, activation="relu"),
            layers.Conv2D(12, 1, activation="tanh"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images, labels, epochs=epochs, batch_size=32, verbose=0)
    return model


def resized(images: Any, interpolation: int) -> Any:
    return np.stack([cv2.resize(image, (SIZE, SIZE), interpolation=interpolation) for image in images])


Trained = Callable[[str], Path]


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Networks by name, each trained once."""
    keras = pytest.importorskip("keras", reason="needs the extra `convert`")
    folder = tmp_path_factory.mktemp("networks")

    def build(name: str) -> Any:
        if name == "brightness in 0..1":
            pixels, labels = brightness(300, 1)
            return trained(keras, pixels / np.float32(255), labels)
        if name == "colours in RGB":
            pixels, labels = colours(300, 2)
            return trained(keras, pixels / np.float32(255), labels)
        if name == "colours as Caffe":
            pixels, labels = colours(300, 3)
            caffe = pixels[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)
            return trained(keras, caffe / np.float32(1), labels)
        pixels, labels = textures(300, 5)
        return trained(keras, resized(pixels, cv2.INTER_NEAREST) / np.float32(255), labels)

    def path_of(name: str) -> Path:
        path = folder / f"{name.replace(' ', '_').replace('.', '')}.keras"
        if not path.exists():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # Keras's own, with numpy 2
                build(name).save(path)
        return path

    return path_of


def converted(path: Path, data: tuple[Any, Any], image: InputOptions, **settings: Any) -> Evidence:
    names = ("class 0", "class 1", "class 2")
    return convert(
        path,
        path.with_suffix(".evb"),
        targets=["generic-cpu"],
        precisions=["float32"],
        evaluation=ImageSet.from_arrays(*data, None if data[1] is None else names),
        settings=ConversionSettings(task=TaskOptions(image=image), force=True, **settings),
    )


UNIT = InputOptions(value_range=(0.0, 1.0))
RIGHT = {
    "brightness in 0..1": (brightness(150, 11), UNIT),
    "colours in RGB": (colours(150, 12), UNIT),
    "colours as Caffe": (colours(150, 13), InputOptions(applications="resnet50")),
    "textures": (textures(150, 15), InputOptions(value_range=(0.0, 1.0), interpolation="nearest")),
}


@pytest.mark.parametrize("network", RIGHT)
def test_the_input_of_the_training_has_no_finding(networks: Trained, network: str) -> None:
    data, image = RIGHT[network]
    evidence = converted(networks(network), data, image, strict=True)
    assert evidence.results[0].comparison.metric("accuracy").source > 0.9
    assert evidence.calibration_findings == ()


WRONG = {
    "range 0..255": (
        "brightness in 0..1",
        InputOptions(value_range=(0.0, 255.0)),
        "value-range",
        "--input-range=0..1",
    ),
    "range -1..1": (
        "brightness in 0..1",
        InputOptions(value_range=(-1.0, 1.0)),
        "value-range",
        "--input-range=0..1",
    ),
    "colours": (
        "colours in RGB",
        InputOptions(value_range=(0.0, 1.0), color="bgr"),
        "colour-order",
        "--color rgb",
    ),
    "Caffe": (
        "colours as Caffe",
        InputOptions(value_range=(-1.0, 1.0)),
        "value-range",
        "--preprocess resnet50",
    ),
    "interpolation": (
        "textures",
        InputOptions(value_range=(0.0, 1.0), interpolation="bilinear"),
        "interpolation",
        "--interpolation nearest",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_other_input_than_in_the_training_is_named_with_the_option_to_pass(
    networks: Trained, case: str
) -> None:
    network, image, check, option = WRONG[case]
    data, _ = RIGHT[network]
    evidence = converted(networks(network), data, image)
    assert evidence.results[0].comparison.agreement == 1, "the artifact is as wrong as its source"
    found = {one.check: one for one in evidence.calibration_findings}
    assert f"pass {option})" in found[check].text
    assert found[check].severity == "warning"
    with pytest.raises(InputError, match=f"--strict refuses.*{option}"):
        converted(networks(network), data, image, strict=True)


def test_an_interpolation_that_matters_is_asked_for_without_ground_truth_too(networks: Trained) -> None:
    unlabelled = (textures(40, 16)[0], None)
    (finding,) = converted(networks("textures"), unlabelled, UNIT).calibration_findings
    assert (finding.check, finding.severity) == ("interpolation", "note")
    assert "instead of bilinear; pass --interpolation with the one of its training" in finding.text
    stated = InputOptions(value_range=(0.0, 1.0), interpolation="nearest")
    assert converted(networks("textures"), unlabelled, stated).calibration_findings == ()


def test_the_command_line_and_the_report_show_what_is_wrong_with_the_source(
    networks: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    network, image, _, option = WRONG["colours"]
    path = networks(network)
    evidence = converted(path, RIGHT[network][0], image)
    echo_evidence(evidence)
    printed = capsys.readouterr().out
    page = report_html(read_bundle(path.with_suffix(".evb")))
    for finding in evidence.calibration_findings:
        assert f"warning: {finding.text}" in printed
    assert evidence.calibration is None
    assert "source (colour-order)" in page
    assert f"pass {option}" in page


def test_of_several_inputs_that_explain_the_labels_all_are_named(networks: Trained) -> None:
    """Averages leave so little of the noise that larger values help as much as sharper pixels."""
    data, _ = RIGHT["textures"]
    evidence = converted(
        networks("textures"), data, InputOptions(value_range=(0.0, 1.0), interpolation="area")
    )
    text = evidence.calibration_findings[-1].text
    assert (
        "pass --input-range=-1..1) or resized with nearest (100.00 %; pass --interpolation nearest)" in text
    )


def test_predictions_no_better_than_chance_are_named(networks: Trained) -> None:
    pixels, labels = brightness(150, 21)
    shuffled = np.random.default_rng(0).permutation(labels)
    evidence = converted(networks("brightness in 0..1"), (pixels, shuffled), UNIT)
    (finding,) = evidence.calibration_findings
    assert finding.check == "source-accuracy"
    assert "no better than chance (33" in finding.text
    assert "check the order of the classes (--labels)" in finding.text


def test_a_few_images_that_are_all_right_are_no_chance(networks: Trained) -> None:
    pixels, labels = brightness(4, 22)
    assert converted(networks("brightness in 0..1"), (pixels, labels), UNIT).calibration_findings == ()


def test_a_mediocre_classifier_for_which_the_input_makes_no_difference_is_no_finding(
    networks: Trained,
) -> None:
    pixels, labels = brightness(150, 23)
    noisy = np.where(np.random.default_rng(1).random(150) < 0.35, (labels + 1) % 3, labels)
    evidence = converted(networks("brightness in 0..1"), (pixels, noisy), UNIT)
    assert 0.5 < evidence.results[0].comparison.metric("accuracy").source < 0.75
    assert evidence.calibration_findings == ()


def test_the_sample_is_kept_at_the_size_of_the_network() -> None:
    """256 photographs of a camera would be 9 GB."""
    alive: list[weakref.ref[Any]] = []
    most = 0

    def photographs() -> Iterator[Any]:
        nonlocal most
        for number in range(12):
            photograph = np.full((300, 400, 3), number, np.uint8)
            alive.append(weakref.ref(photograph))
            most = max(most, sum(each() is not None for each in alive))
            yield photograph

    current = Preprocessing((SIZE, SIZE), (0.0, 1.0))
    others = tuple(other_interpolations(current))
    sample = _Sample.of(photographs(), current, others)
    assert most <= 2
    assert sample.resizes
    for seen in (sample.seen_by(other) for other in others):
        assert [image.shape for image in seen] == [(SIZE, SIZE, 3)] * 12
        assert [int(image.max()) for image in seen] == list(range(12))
