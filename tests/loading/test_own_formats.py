"""A plugin's own format is loaded by every command and function; what files leave open is asked at once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

import edgevision
from edgevision import BareModel, InputOptions, RunSettings, hookimpl
from edgevision.artifact import TFLITE, FileFormat, format_of, read_artifact
from edgevision.cli import cli
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import ArtifactError, MissingOptionError, OpenSizeError, OptionError, PluginFailedError
from edgevision.plugins import discover, registry
from edgevision.tensors import Array, TensorSpec
from edgevision.testing import FakeBackend

LABELS = ("dark", "bright")
BARE = BareModel(InputOptions(value_range=(0.0, 1.0)), LABELS, "softmax")
OPTIONS = ("--input-range", "0..1", "--scores", "softmax")


def _brightness(inputs: Mapping[str, Array]) -> Mapping[str, Any]:
    mean = inputs["image"].mean(axis=(1, 2, 3))
    return {"scores": np.stack([1 - mean, mean], axis=1)}


class Sensor(FakeBackend):
    """A runtime whose format comes as a description with weights beside it, or as a folder of both."""

    name = "sensor"
    formats = ("sensor-graph", "sensor-folder")
    file_formats = (
        FileFormat("sensor-graph", (".graph.json", ".weights")),
        FileFormat("sensor-folder", (".sensor",), folder=True),
    )

    def open(self, artifact: Any, settings: Any) -> Any:
        assert any(name.endswith(".weights") for name in artifact.files)
        return super().open(artifact, settings)


@pytest.fixture
def sensor() -> Iterator[Sensor]:
    backend = Sensor(_brightness)
    plugin = SimpleNamespace(edgevision_backends=hookimpl(lambda: [backend]))
    registry().register(plugin, "sensor")
    yield backend
    registry().manager.unregister(name="sensor")


def _tensors(*outputs: TensorSpec) -> bytes:
    image = TensorSpec("image", (None, 8, 8, 3), "float32")
    scores = TensorSpec("scores", (None, 2), "float32")
    return FakeBackend.artifact([image], outputs or [scores]).content


@pytest.fixture(params=["files", "folder"])
def model(request: pytest.FixtureRequest, tmp_path: Path, sensor: Sensor) -> Path:
    if request.param == "files":
        (tmp_path / "m.graph.json").write_bytes(_tensors())
        (tmp_path / "m.weights").write_bytes(b"weights")
        return tmp_path / "m.graph.json"
    folder = tmp_path / "m.sensor"
    (folder / "parts").mkdir(parents=True)
    (folder / "a.json").write_bytes(_tensors())
    (folder / "parts" / "b.weights").write_bytes(b"weights")
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for label, value in (("dark", 20), ("bright", 240)):
        (tmp_path / "images" / label).mkdir(parents=True)
        for number in range(3):
            pixels = np.full((9, 9, 3), value + number, np.uint8)
            cv2.imwrite(str(tmp_path / "images" / label / f"{number}.png"), pixels)
    return tmp_path / "images"


def _run(*words: object) -> Any:
    result = CliRunner().invoke(cli, list(map(str, words)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def _labels(folder: Path) -> Path:
    (folder / "labels.txt").write_text("dark\nbright\n")
    return folder / "labels.txt"


def test_functions_take_a_bare_file_of_a_plugins_own_format(
    model: Path, images: Path, tmp_path: Path
) -> None:
    with edgevision.load_classifier(model, bare=BARE) as loaded:
        assert loaded.session.backend == "sensor"
        assert loaded(np.full((9, 9, 3), 250, np.uint8)).top(1)[0].label == "bright"
        assert edgevision.bench(loaded, seconds=0.05).backend == "sensor"
    on = RunSettings(bare=BARE)
    evaluation = edgevision.evaluate(model, images, on)
    assert evaluation.metric("accuracy").value == 1
    assert (evaluation.run.artifact, evaluation.run.backend) == (model.name, "sensor")
    comparison = edgevision.compare(model, model, images, a_on=on, b_on=on)
    assert comparison.comparison.agreement == 1
    tuning = edgevision.tune(model, threads=[1], batches=[1], seconds=0.05, bare=BARE)
    assert tuning.chosen is not None
    assert (tuning.chosen.backend, tuning.stored) == ("sensor", None)
    edgevision.write_report(model, tmp_path / "page.html", bare=BARE)
    page = (tmp_path / "page.html").read_text()
    assert "No evidence" in page
    assert "<li>bright</li>" in page


def test_commands_take_it_with_the_options_of_predict(model: Path, images: Path, tmp_path: Path) -> None:
    options = (*OPTIONS, "--labels", _labels(tmp_path))
    predicted = _run("predict", model, images, "--json", *options)
    rows = [json.loads(line) for line in predicted.stdout.splitlines()]
    assert [Path(row["image"]).parent.name for row in rows] == [row["classes"][0]["label"] for row in rows]
    evaluated = json.loads(_run("evaluate", model, images, "--json", *options).stdout)
    assert {one["name"]: one["value"] for one in evaluated["metrics"]}["accuracy"] == 1
    compared = json.loads(_run("compare", model, model, images, "--json", *options).stdout)
    assert compared["a"]["artifact"] == model.name
    tuned = json.loads(_run("tune", model, "--json", "--seconds", 0.05, "--batch", 1, *options).stdout)
    assert tuned["chosen"]["backend"] == "sensor"
    assert (
        json.loads(_run("bench", model, "--json", "--seconds", 0.05, *options).stdout)["backend"] == "sensor"
    )
    assert "wrote" in _run("report", model, "-o", tmp_path / "page.html", *options).stdout


def test_a_model_for_more_than_8_bits_is_timed_and_reported_too(model: Path, tmp_path: Path) -> None:
    deep = BareModel(InputOptions(value_range=(0.0, 1.0), bit_depth=12), LABELS, "softmax")
    assert edgevision.tune(model, threads=[1], batches=[1], seconds=0.05, bare=deep).chosen is not None
    edgevision.write_report(model, tmp_path / "page.html", bare=deep)
    assert "<dt>bit depth</dt><dd>12</dd>" in (tmp_path / "page.html").read_text()


def test_classes_without_names_are_not_guessed_from_the_folders(model: Path, images: Path) -> None:
    on = RunSettings(bare=BareModel(InputOptions(value_range=(0.0, 1.0)), score_kind="softmax"))
    with pytest.raises(OptionError, match=r"does not name its classes.* pass --labels FILE"):
        edgevision.evaluate(model, images, on)


def test_a_backend_that_differs_from_the_default_one_is_not_chosen(
    model: Path, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other(Sensor):
        name = "unlike"

    other = Other(lambda inputs: {"scores": _brightness(inputs)["scores"][:, ::-1]})
    registry().register(SimpleNamespace(edgevision_backends=hookimpl(lambda: [other])), "unlike")
    try:
        tuning = edgevision.tune(model, threads=[1], batches=[1], seconds=0.05, bare=BARE)
    finally:
        registry().manager.unregister(name="unlike")
    assert {row.backend: row.status for row in tuning.rows} == {"sensor": "passed", "unlike": "failed"}


def test_a_file_that_belongs_to_it_and_is_missing_is_named(tmp_path: Path, sensor: Sensor) -> None:
    (tmp_path / "m.graph.json").write_bytes(_tensors())
    with pytest.raises(ArtifactError, match=r"m\.weights: cannot be read"):
        edgevision.load(tmp_path / "m.graph.json", bare=BARE)
    (tmp_path / "m.sensor").mkdir()
    with pytest.raises(ArtifactError, match="the folder is empty"):
        edgevision.load(tmp_path / "m.sensor", bare=BARE)


def test_unknown_suffixes_are_refused_with_those_of_all_backends(tmp_path: Path, sensor: Sensor) -> None:
    (tmp_path / "m.pt").write_bytes(b"")
    with pytest.raises(OptionError, match=r"or an artifact \(.*\.tflite, \.graph\.json, \.sensor\)"):
        edgevision.load(tmp_path / "m.pt")


def test_metadata_that_a_plugin_fails_to_read_is_an_error_with_the_file(model: Path, sensor: Sensor) -> None:
    sensor.describe = lambda artifact: {}["labels"]  # type: ignore[attr-defined]
    sensor.formats = tuple(
        sorted(sensor.formats, key=lambda name: (name == "sensor-graph") != model.is_file())
    )
    described = model.name if model.is_file() else "a.json"  # an artifact has the name of its first file
    with pytest.raises(PluginFailedError, match=f"describe of {described}.* raised KeyError: 'labels'"):
        edgevision.load(model, bare=BARE)


def test_two_formats_of_one_suffix_ask_for_the_backend(tmp_path: Path) -> None:
    formats = (FileFormat("a", (".net",)), FileFormat("b", (".net",)))
    with pytest.raises(OptionError, match="may be of format a or b; name the backend"):
        read_artifact(tmp_path / "m.net", formats)
    assert format_of("M.TFLITE") == format_of("a.b.tflite") == TFLITE
    assert (
        format_of("m.graph.json", (FileFormat("x", (".json",)), *Sensor.file_formats))
        == Sensor.file_formats[0]
    )


def test_a_format_without_a_declaration_has_the_suffix_of_its_name() -> None:
    plugins = discover([])
    plugins.register(SimpleNamespace(edgevision_backends=hookimpl(lambda: [FakeBackend()])), "fake")
    assert plugins.file_formats() == (FileFormat("fake", (".fake",)),)


@pytest.mark.parametrize("declared", [("x",), 5, (FileFormat,)])
def test_a_wrong_declaration_is_a_problem_of_that_plugin_alone(declared: Any) -> None:
    class Wrong(FakeBackend):
        name = "wrong"
        file_formats = declared

    plugins = discover([])
    backends = [Wrong(), Sensor()]
    plugins.register(SimpleNamespace(edgevision_backends=hookimpl(lambda: backends)), "several")
    assert {one.name for one in plugins.file_formats()} == {"sensor-graph", "sensor-folder"}
    assert plugins.problems[0].plugin == "wrong"


@pytest.mark.parametrize("suffixes", [(), ("tflite",), (".",), ".tflite", (5,)])
def test_a_file_format_has_suffixes_with_a_dot(suffixes: Any) -> None:
    with pytest.raises(OptionError, match="expected a name, and suffixes such as"):
        FileFormat("x", suffixes)


@pytest.mark.parametrize(
    ("shape", "settings", "options"),
    [
        ((84, 21), {}, ["--input-range", "objectness=true or", "box_unit=pixels or"]),
        ((84, 21), {"objectness": False}, ["--input-range", "box_unit=pixels or"]),
        ((84, 21), {"objectness": False, "box_unit": "pixels"}, ["--input-range"]),
        ((4, 4, 9), {}, ["--input-range", "--decoder"]),
        ((5,), {}, ["--input-range", "--scores softmax"]),
    ],
    ids=str,
)
def test_one_message_asks_for_all_that_a_bare_file_leaves_open(
    shape: tuple[int, ...],
    settings: Mapping[str, Any],
    options: Sequence[str],
    tmp_path: Path,
    sensor: Sensor,
) -> None:
    image, output = TensorSpec("image", (1, 32, 32, 3), "float32"), TensorSpec("o", (1, *shape), "float32")
    (tmp_path / "m.graph.json").write_bytes(FakeBackend.artifact([image], [output]).content)
    (tmp_path / "m.weights").write_bytes(b"weights")
    with pytest.raises(MissingOptionError) as raised:
        edgevision.load(tmp_path / "m.graph.json", bare=BareModel(decoder_settings=settings))
    questions = raised.value.questions
    assert len(questions) == len(options)
    for option in options:
        assert [option in question for question in questions].count(True) == 1
        assert option in str(raised.value)


@pytest.mark.parametrize(("stated", "asked"), [(None, True), ((0.0, 1.0), False)])
def test_an_open_size_is_asked_for_together_with_all_else(
    stated: tuple[float, float] | None,
    asked: bool,
    tmp_path: Path,
    sensor: Sensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def open_sized(self: Sensor, artifact: Any, settings: Any) -> Any:
        if settings.image_size_wh is None:
            raise OpenSizeError("m: only the batch size may be open; pass --input-size WxH")
        return FakeBackend.open(self, artifact, settings)

    monkeypatch.setattr(Sensor, "open", open_sized)
    (tmp_path / "m.graph.json").write_bytes(_tensors())
    (tmp_path / "m.weights").write_bytes(b"weights")
    bare = BareModel(InputOptions(value_range=stated), score_kind="softmax")
    with pytest.raises(OpenSizeError, match="pass --input-size WxH") as raised:
        edgevision.load(tmp_path / "m.graph.json", bare=bare)
    assert ("besides, the model does not say which value range" in str(raised.value)) == asked


def test_options_for_bare_files_are_refused_for_bundles_by_every_function(tmp_path: Path) -> None:
    bundle, images = tmp_path / "m.evb", ImageSet.from_arrays(np.zeros((1, 8, 8, 3), np.uint8), [0], ["a"])
    on = RunSettings(bare=BARE)
    for call in (
        lambda: edgevision.load(bundle, bare=BARE),
        lambda: edgevision.evaluate(bundle, images, on),
        lambda: edgevision.compare(bundle, bundle, images, a_on=on),
        lambda: edgevision.tune(bundle, bare=BARE),
        lambda: edgevision.write_report(bundle, tmp_path / "x.html", bare=BARE),
    ):
        with pytest.raises(OptionError, match="remove the options for bare files"):
            call()


def test_a_pipe_is_not_waited_for_and_a_companion_leads_to_its_first_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.tflite")
    with pytest.raises(ArtifactError, match=r"m\.tflite: cannot be read: is a pipe, expected a regular file"):
        edgevision.load(tmp_path / "m.tflite")
    (tmp_path / "m.xml").write_bytes(b"<net/>")
    with pytest.raises(ArtifactError, match=r"m\.bin: cannot be read: No such file.* belongs to m\.xml"):
        edgevision.load(tmp_path / "m.xml")
    with pytest.raises(OptionError, match=r"m\.bin: expected .*; pass the \.xml file that it belongs to"):
        edgevision.load(tmp_path / "m.bin")


def test_a_folder_that_is_no_artifact_is_refused_by_the_one_inside(tmp_path: Path) -> None:
    folder = tmp_path / "yolo11n_openvino_model"  # as Ultralytics writes it
    folder.mkdir()
    for name in ("yolo11n.xml", "yolo11n.bin", "metadata.yaml"):
        (folder / name).write_bytes(b"")
    with pytest.raises(OptionError, match=rf"; pass {folder / 'yolo11n.xml'}$"):
        read_artifact(folder)
