"""What TFLite files say of themselves, row by row: obeyed, or refused with the option that overrides it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from described_networks import (
    BLUE,
    GRAY,
    RED,
    as_json,
    grid_rows,
    tflite_bytes,
    tflite_classifier,
    tflite_detector,
    tflite_ssd,
    ultralytics,
)

import edgevision
from edgevision import BareModel, InputOptions
from edgevision.cli import cli
from edgevision.errors import ArtifactError, OptionError
from flatbuffer_tables import Table, flatbuffer, floats

BOX = [0.5, 0.5, 0.25, 0.125]
LETTERBOXED = (30.0, 20.0, 50.0, 30.0)
RUNTIMES = ("tflite", "openvino")
NAMES = "red\ngreen\nblue\n"

NORMALIZATION, CALIBRATION, THRESHOLDING = 1, 2, 3
AXIS_LABELS, VALUE_LABELS, SCORE_CALIBRATION, VOCABULARY = 2, 3, 4, 5


def unit(kind: int, options: Mapping[int, Any] | None = None) -> Table:
    return Table({0: np.uint8(kind), 1: Table(options or {})})


def normalization(mean: Any, std: Any) -> Table:
    return unit(NORMALIZATION, {0: floats(*np.atleast_1d(mean)), 1: floats(*np.atleast_1d(std))})


def file(name: str, kind: int = AXIS_LABELS, locale: str = "") -> Table:
    return Table({0: name, 2: np.int8(kind)} | ({3: locale} if locale else {}))


def image(space: int = 1, size: tuple[int, int] | None = None) -> Table:
    properties: dict[int, Any] = {0: np.int8(space)}
    if size is not None:
        properties[1] = Table({0: np.uint32(size[0]), 1: np.uint32(size[1])})
    return Table({0: np.uint8(2), 1: Table(properties)})


def metadata(
    inputs: list[Table] | None = None,
    outputs: list[Table] | None = None,
    files: list[Table] | None = None,
    content: Table | None = None,
    **graph: Any,
) -> bytes:
    """Metadata of one input and one output: their process units, and the files of the output."""
    tensor = Table({0: "image", 4: inputs or []} | ({} if content is None else {3: content}))
    scores = Table({0: "scores", 4: outputs or [], 6: files or []})
    numbered = {int(name.removeprefix("field")): value for name, value in graph.items()}
    return flatbuffer(Table({0: "net", 3: [Table({2: [tensor], 3: [scores], **numbered})]}), b"M001")


def opened(
    folder: Path,
    meta: bytes | None = None,
    members: Mapping[str, str] | None = None,
    net: Any = None,
    backend: str = "tflite",
    bare: BareModel | None = None,
) -> Any:
    path = folder / "model.tflite"
    path.write_bytes(tflite_bytes(net or tflite_classifier(), meta, members))
    return edgevision.load(path, backend, bare=bare)


def top(model: Any, picture: Any = RED) -> str:
    return str(model(picture).top()[0].label)


STANDARD = {"inputs": [normalization(127.5, 127.5)], "files": [file("labels.txt")]}


@pytest.mark.parametrize("backend", RUNTIMES)
@pytest.mark.parametrize(
    ("said", "members", "check"),
    [
        ({}, {"labels.txt": NAMES}, ("scale", (127.5,))),
        ({"inputs": [normalization((1, 2, 3), (4, 5, 6))]}, {"labels.txt": NAMES}, ("mean", (1.0, 2.0, 3.0))),
        ({"content": image()}, {"labels.txt": NAMES}, ("color", "rgb")),
        ({"content": image(0, (32, 32))}, {"labels.txt": NAMES}, ("size_wh", (32, 32))),
        ({}, {"labels.txt": "\ufeff" + NAMES.replace("\n", "\r\n")}, ("scale", (127.5,))),
        ({"files": [file("de", locale="de"), file("l")]}, {"de": "a\nb\nc", "l": NAMES}, ("color", "rgb")),
        (
            {"inputs": [normalization(127.5, 127.5), unit(THRESHOLDING)]},
            {"labels.txt": NAMES},
            ("color", "rgb"),
        ),
        ({"files": [file("labels.txt"), file("about.txt", 1)]}, {"labels.txt": NAMES}, ("color", "rgb")),
    ],
)
def test_tflite_metadata_is_obeyed(
    tmp_path: Path, backend: str, said: Any, members: Any, check: tuple[str, Any]
) -> None:
    with opened(tmp_path, metadata(**{**STANDARD, **said}), members, backend=backend) as model:
        assert [top(model), top(model, BLUE)] == ["red", "blue"]
        assert getattr(model.preprocessing, check[0]) == check[1]


@pytest.mark.parametrize(
    ("said", "override", "message"),
    [
        ({"inputs": [normalization((1, 2), 1)]}, "values", r"mean \(1\.0, 2\.0\).*--input-range"),
        ({"inputs": [normalization(0, 0)]}, "values", r"standard deviation \(0\.0,\)"),
        ({"inputs": [normalization(np.nan, 1)]}, "values", r"mean \(nan,\)"),
        ({"inputs": [normalization(0, 1), normalization(0, 255)]}, "values", "several that differ"),
        ({"inputs": [unit(4)]}, "values", "BertTokenizerOptions of the input.*--input-range"),
        ({"inputs": [unit(5)]}, "values", "SentencePieceTokenizerOptions"),
        ({"inputs": [unit(6)]}, "values", "RegexTokenizerOptions"),
        ({"inputs": [unit(77)]}, "values", "process unit 77"),
        ({"inputs": [unit(THRESHOLDING, {0: 0.5})]}, "values", "ScoreThresholdingOptions of the input"),
        ({"outputs": [normalization(0, 1)]}, "scores", "NormalizationOptions of output 0.*--scores"),
        ({"outputs": [unit(THRESHOLDING, {0: 1.5})]}, "scores", r"score thresholds 1\.5"),
        ({"outputs": [unit(THRESHOLDING, {0: v}) for v in (0.1, 0.2)]}, "scores", r"thresholds 0\.1, 0\.2"),
        ({"outputs": [unit(CALIBRATION)]}, "scores", "ScoreCalibrationOptions.*expected one file"),
        ({"outputs": [unit(CALIBRATION, {0: np.int8(9)})]}, "scores", "transformation 9"),
        ({"outputs": [unit(CALIBRATION, {1: 7.0})]}, "scores", "default score 7"),
        ({"files": [file("c.txt", SCORE_CALIBRATION)]}, "scores", "a score calibration file"),
        ({"files": [file("v.txt", VOCABULARY)]}, "scores", r"file 'v\.txt' \(VOCABULARY\)"),
        ({"field5": [unit(4)]}, "scores", "BertTokenizerOptions of the inputs"),
        ({"field6": [unit(6)]}, "scores", "RegexTokenizerOptions of the outputs"),
        ({"content": image(7)}, "color", "color space 7.*--color"),
        ({"content": image(1, (64, 64))}, "size", "metadata says 64x64"),
        ({"content": image(1, (90000, 90000))}, "size", "more than 8192.*--input-size"),
    ],
)
def test_what_is_not_understood_is_refused_and_overridden_by_its_option(
    tmp_path: Path, said: Any, override: str, message: str
) -> None:
    everything = {"inputs": [normalization(0, 255)], **said}
    with pytest.raises(OptionError, match=message):
        opened(tmp_path, metadata(**everything))
    ranged = InputOptions(value_range=(0.0, 1.0))
    bare = {
        "values": BareModel(ranged),
        "scores": BareModel(score_kind="softmax"),
        "color": BareModel(InputOptions(color="rgb")),
        "size": BareModel(InputOptions(size_wh=(32, 32))),
    }[override]
    with opened(tmp_path, metadata(**everything), bare=bare) as model:
        assert top(model) == "class 0"


def test_another_content_is_another_task(tmp_path: Path) -> None:
    sound = Table({0: np.uint8(4), 1: Table()})
    with pytest.raises(OptionError, match="task 'audio'"):
        opened(tmp_path, metadata(content=sound))
    segmenter = [Table({0: "SEGMENTER_METADATA", 1: b"x"})]
    with pytest.raises(OptionError, match="task 'segment'"):
        opened(tmp_path, metadata(field9=segmenter))


@pytest.mark.parametrize("backend", RUNTIMES)
@pytest.mark.parametrize(
    ("dtype", "quantization", "units"),
    [
        ("uint8", (1 / 127.5, 127), [normalization(127.5, 127.5)]),
        ("uint8", (1 / 127.5, 127), [normalization(0, 1)]),  # "as they are"
        ("uint8", (1 / 127.5, 127), [normalization(0, 255)]),  # its readers feed integers the pixels
        ("uint8", (1 / 255, 0), [normalization(0, 1)]),
        ("uint8", (1 / 255, 0), []),  # an image, and integers
        ("int8", (1 / 255, -128), [normalization(0, 255)]),
        ("int8", (1 / 255, -128), [normalization(0, 1)]),
    ],
)
def test_integer_inputs_take_the_pixels_as_the_readers_of_tflite_metadata_feed_them(
    tmp_path: Path, backend: str, dtype: str, quantization: Any, units: Any
) -> None:
    net = tflite_classifier(dtype, quantization)
    meta = metadata(inputs=units, files=[file("l")], content=image())
    with opened(tmp_path, meta, {"l": NAMES}, net, backend) as model:
        assert [top(model), top(model, BLUE)] == ["red", "blue"]
        spec = model.session.inputs[0]
        row = np.zeros(spec.shape[1:], dtype)
        picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
        model.preprocess(picture, row)
    assert np.array_equal(row.astype(int), picture.astype(int) - (128 if dtype == "int8" else 0))


def test_a_normalization_that_loses_the_image_is_refused(tmp_path: Path) -> None:
    net = tflite_classifier("int8", (1 / 255, -128))
    with pytest.raises(OptionError, match=r"of the 256 pixel values become .*metadata.*--input-range"):
        opened(tmp_path, metadata(inputs=[normalization(0, 2)]), net=net)
    net = tflite_classifier("uint8", (1 / 255, 0))
    with pytest.raises(OptionError, match="256 pixel values become"):
        opened(tmp_path, net=net, bare=BareModel(InputOptions(value_range=(0.0, 255.0), mean=(1.0,))))


@pytest.mark.parametrize("backend", RUNTIMES)
def test_a_recommended_threshold_leaves_out_classes_below_it(tmp_path: Path, backend: str) -> None:
    meta = metadata(inputs=[normalization(0, 255)], outputs=[unit(THRESHOLDING, {0: 0.6})])
    with opened(tmp_path, meta, backend=backend) as model:
        assert [each.class_id for each in model(RED)] == [0]
        gray = model(GRAY)
    assert gray.top() == []
    np.testing.assert_allclose(gray.scores, [1 / 3] * 3, atol=1e-5)


def test_predict_says_that_no_class_reaches_the_threshold(tmp_path: Path) -> None:
    meta = metadata(inputs=[normalization(0, 255)], outputs=[unit(THRESHOLDING, {0: 0.6})])
    (tmp_path / "m.tflite").write_bytes(tflite_bytes(tflite_classifier(), meta))
    cv2.imwrite(str(tmp_path / "gray.png"), GRAY)
    done = CliRunner().invoke(cli, ["predict", str(tmp_path / "m.tflite"), str(tmp_path / "gray.png")])
    assert done.exit_code == 0, done.output
    assert "no class of 60.0% or more, the threshold in the model's metadata" in done.output


@pytest.mark.parametrize("backend", RUNTIMES)
@pytest.mark.parametrize("kind", [0, 1, 2])
def test_scores_are_calibrated_by_the_sigmoid_of_their_class(tmp_path: Path, backend: str, kind: int) -> None:
    rows = "0.9,2.0,-0.5\n\n0.8, 1.5, 0.25, 0.4\n"
    meta = metadata(
        inputs=[normalization(0, 255)],
        outputs=[unit(CALIBRATION, {0: np.int8(kind), 1: 0.05})],
        files=[file("c", SCORE_CALIBRATION), file("l")],
    )
    with opened(tmp_path, meta, {"c": rows, "l": NAMES}, backend=backend) as model:
        results = {name: model(picture) for name, picture in (("red", RED), ("blue", BLUE), ("gray", GRAY))}
    for name, result in results.items():
        scores = np.exp(8.0 * np.array({"red": [1, 0, 0], "blue": [0, 0, 1], "gray": [0.502] * 3}[name]))
        scores /= scores.sum()
        g = (scores, np.log(scores), np.log(scores) - np.log(1 - scores))[kind]
        red = 0.9 / (1 + np.exp(-(2.0 * g[0] - 0.5)))
        blue = 0.8 / (1 + np.exp(-(1.5 * g[2] + 0.25))) if scores[2] >= 0.4 else 0.05
        np.testing.assert_allclose(result.scores, [red, 0.05, blue], atol=2e-4)
        assert result.multi_label


def test_a_calibration_of_logits_reads_the_networks_own_numbers(tmp_path: Path) -> None:
    net = tflite_classifier()
    graph = net.subgraphs[0]
    graph.operators, graph.outputs = graph.operators[:1], [graph.operators[0].outputs[0]]  # the means alone
    meta = metadata(
        inputs=[normalization(0, 255)],
        outputs=[unit(CALIBRATION)],
        files=[file("c", SCORE_CALIBRATION), file("l")],
    )
    members = {"c": "1,4,-2\n1,4,-2\n1,2,-3\n", "l": NAMES}
    with opened(tmp_path, meta, members, net, bare=BareModel(score_kind="logits")) as model:
        scores = model(RED).scores
    np.testing.assert_allclose(scores, 1 / (1 + np.exp([-2.0, 2.0, 3.0])), rtol=1e-5)


@pytest.mark.parametrize("rows", ["1,2\n", "1,2,3,4,5\n", "a,b,c\n", "-1,2,3\n", "2,1,0\n", "1,inf,0\n"])
def test_a_calibration_file_with_other_lines_is_refused(tmp_path: Path, rows: str) -> None:
    meta = metadata(
        inputs=[normalization(0, 255)],
        outputs=[unit(CALIBRATION)],
        files=[file("c", SCORE_CALIBRATION)],
    )
    with pytest.raises(OptionError, match=r"c, line 1.*--scores"):
        opened(tmp_path, meta, {"c": rows})


@pytest.mark.parametrize("backend", RUNTIMES)
@pytest.mark.parametrize("member", ["metadata.json", "temp_meta.txt"])
@pytest.mark.parametrize("channels_first", [False, True])
def test_an_ultralytics_detector_runs_without_an_option(
    tmp_path: Path, backend: str, member: str, channels_first: bool
) -> None:
    stated = ultralytics(names={0: "person", 1: "road sign", 2: "車"})
    text = as_json(stated) if member.endswith("json") else str(stated)
    net = tflite_detector(grid_rows(3, BOX, 1), channels_first=channels_first)
    with opened(tmp_path, None, {member: text}, net, backend) as model:
        assert [(one.label, one.box) for one in model(RED)] == [("road sign", LETTERBOXED)]
        assert model.labels == ("person", "road sign", "車")
        assert (model.preprocessing.pad_value, model.preprocessing.value_range) == (114, (0.0, 1.0))


@pytest.mark.parametrize(("channels_first", "factor"), [(False, 1.0), (True, 32.0)])
def test_a_head_without_nms_is_in_shares_or_pixels_as_its_exporter_wrote_it(
    tmp_path: Path, channels_first: bool, factor: float
) -> None:
    corners = np.array([[[0.375, 0.4375, 0.625, 0.5625, 0.9, 1]] + [[0.0] * 6] * 2], np.float32)
    corners[:, :, :4] *= factor
    net = tflite_detector(corners, channels_first=channels_first)
    with opened(tmp_path, None, {"metadata.json": as_json(ultralytics(end2end=True))}, net) as model:
        assert [(one.label, one.box) for one in model(RED)] == [("road sign", LETTERBOXED)]


@pytest.mark.parametrize("backend", RUNTIMES)
@pytest.mark.parametrize(
    ("dtype", "quantization", "sizes"),
    [
        ("float32", None, (1, 32, 32, 3)),
        ("float32", None, (1, -1, -1, 3)),
        ("float32", None, (-1, 32, 32, 3)),
        ("int8", (1 / 255, -128), (1, 32, 32, 3)),
        ("uint8", (1 / 255, 0), (1, 32, 32, 3)),
    ],
)
def test_an_ultralytics_classifier_runs_without_an_option(
    tmp_path: Path, backend: str, dtype: str, quantization: Any, sizes: Any
) -> None:
    net = tflite_classifier(dtype, quantization, sizes)
    members = {"metadata.json": as_json(ultralytics(task="classify"))}
    with opened(tmp_path, None, members, net, backend) as model:
        assert [top(model), top(model, BLUE)] == ["person", "car"]
        assert model.preprocessing.size_wh == (32, 32)


@pytest.mark.parametrize("task", ["pose", "segment", "obb"])
def test_an_ultralytics_model_of_another_task_is_refused(tmp_path: Path, task: str) -> None:
    net = tflite_detector(grid_rows(3, BOX, 1, extra=51))
    with pytest.raises(OptionError, match=f"task '{task}'"):
        opened(tmp_path, None, {"metadata.json": as_json(ultralytics(task=task))}, net)


def test_the_older_exporters_label_file_is_no_list_of_labels(tmp_path: Path) -> None:
    meta = metadata(files=[file("temp_meta.txt")], content=image())
    members = {"temp_meta.txt": str(ultralytics(task="classify"))}
    with opened(tmp_path, meta, members) as model:
        assert model.labels == ("person", "road sign", "car")


def test_two_sources_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    members = {"metadata.json": as_json(ultralytics(task="classify")), "l": "person\nroad_sign\ncar\n"}
    same = metadata(inputs=[normalization(0, 255)], files=[file("l")])
    with opened(tmp_path, same, members) as model:
        assert model.labels == ("person", "road sign", "car")
    other = metadata(inputs=[normalization(127.5, 127.5)])
    with pytest.raises(
        OptionError, match=r"metadata\.json: value_range.*TFLite Metadata says.*--input-range"
    ):
        opened(tmp_path, other, members)
    swapped = {**members, "l": "car\nroad_sign\nperson\n"}
    with pytest.raises(OptionError, match="labels .*--labels"):
        opened(tmp_path, same, swapped)


def test_a_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    with pytest.warns(UserWarning, match="Duplicate name"):
        _append_twice(path, tflite_bytes(tflite_classifier()), [ultralytics(task="classify"), ultralytics()])
    with pytest.raises(ArtifactError, match=r"file 'metadata\.json' cannot be read: contains .* twice"):
        edgevision.load(path)


def _append_twice(path: Path, content: bytes, stated: list[Any]) -> None:
    import zipfile

    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as archive:
        for each in stated:
            archive.writestr("metadata.json", as_json(each))


@pytest.mark.parametrize("text", ["not json", "[" * 3000, "5", "null"])
def test_a_metadata_json_that_is_no_ultralytics_one_is_refused_or_left_alone(
    tmp_path: Path, text: str
) -> None:
    bare = BareModel(InputOptions(value_range=(0.0, 1.0)))
    if text in ("5", "null"):
        with opened(tmp_path, None, {"metadata.json": text}, bare=bare) as model:
            assert top(model) == "class 0"
        return
    with pytest.raises(ArtifactError, match=r"metadata\.json in its archive cannot be read"):
        opened(tmp_path, None, {"metadata.json": text}, bare=bare)


# Detectors of MediaPipe


def detector_metadata(**changes: Any) -> bytes:
    """Decoding options and anchors: a quarter of the image, and the whole image."""
    numbers = {
        "num_coords": 4,
        "x": 1.0,
        "y": 1.0,
        "w": 1.0,
        "h": 1.0,
        "exponential": 0,
        "sigmoid": 0,
        **changes,
    }
    decoding = Table(
        {
            0: 2,
            1: 2,
            2: numbers["num_coords"],
            6: numbers["x"],
            7: numbers["y"],
            8: numbers["w"],
            9: numbers["h"],
            10: np.uint8(numbers["exponential"]),
            11: np.uint8(numbers["sigmoid"]),
        }
    )
    anchors = [Table({0: 0.25, 1: 0.25, 2: 0.5, 3: 0.5}), Table({2: 1.0, 3: 1.0})]
    root = Table({1: Table({0: Table({0: anchors})}), 2: decoding})
    return flatbuffer(root, b"V001")


def two_outputs(detector: bytes, names: tuple[str, str] = ("location", "score"), units: Any = ()) -> bytes:
    image_tensor = Table({0: "image", 3: image(), 4: [normalization(0, 255)]})
    scores = Table({0: names[1], 6: [file("l")], 4: list(units)})
    graph = Table(
        {
            2: [image_tensor],
            3: [Table({0: names[0]}), scores],
            9: [Table({0: "DETECTOR_METADATA", 1: detector})],
        }
    )
    return flatbuffer(Table({0: "net", 3: [graph]}), b"M001")


BOXES = np.array([[[0.5, 0.25, 0.5, 0.25], [0.5, 0.5, 0.25, 0.5]]], np.float32)


@pytest.mark.parametrize("backend", RUNTIMES)
@pytest.mark.parametrize("classes", [2, 4])
def test_a_detector_of_mediapipe_is_decoded_by_its_anchors(
    tmp_path: Path, backend: str, classes: int
) -> None:
    scores = np.zeros((1, 2, classes), np.float32)
    scores[0, 0, 1], scores[0, 1, 0] = 0.6, 0.9
    labels = "\n".join("abcd"[:classes])
    net = tflite_ssd(BOXES, scores)
    with opened(tmp_path, two_outputs(detector_metadata()), {"l": labels}, net, backend) as model:
        found = [(one.label, one.box) for one in model(np.zeros((32, 32, 3), np.uint8))]
    # y, x, h, w: of the whole image, and of a quarter of it about (0.25, 0.25)
    assert found == [("a", (8.0, 12.0, 24.0, 20.0)), ("b", (10.0, 12.0, 14.0, 20.0))]


def test_a_threshold_and_a_calibration_of_a_detectors_scores_are_applied(tmp_path: Path) -> None:
    scores = np.array([[[0.0, 0.6], [0.9, 0.0]]], np.float32)
    net = tflite_ssd(BOXES, scores)
    meta = two_outputs(detector_metadata(), units=[unit(THRESHOLDING, {0: 0.7})])
    with opened(tmp_path, meta, {"l": "a\nb"}, net) as model:
        assert [one.label for one in model(RED)] == ["a"]
    calibrated = unit(CALIBRATION, {1: 0.01})
    table = Table({0: "c", 2: np.int8(SCORE_CALIBRATION)})
    image_tensor = Table({0: "image", 3: image(), 4: [normalization(0, 255)]})
    graph = Table(
        {
            2: [image_tensor],
            3: [Table({0: "location"}), Table({0: "score", 4: [calibrated], 6: [file("l"), table]})],
            9: [Table({0: "DETECTOR_METADATA", 1: detector_metadata()})],
        }
    )
    meta = flatbuffer(Table({3: [graph]}), b"M001")
    rows = "1,-2,0\n1,10,-4\n"  # the first class is doubted, the second trusted
    with opened(tmp_path, meta, {"l": "a\nb", "c": rows}, net) as model:
        best = next(iter(model(RED)))
    assert best.label == "b"
    assert best.score == pytest.approx(1 / (1 + np.exp(-(10 * 0.6 - 4))), rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_coords": 18}, "num_coords 18"),
        ({"x": 10.0}, "x and y, and w and h, differ"),
        ({"w": 0.0, "h": 0.0}, "scales"),
    ],
)
def test_a_detector_of_mediapipe_of_another_kind_is_refused(
    tmp_path: Path, changes: Any, message: str
) -> None:
    net = tflite_ssd(BOXES, np.zeros((1, 2, 2), np.float32))
    with pytest.raises(OptionError, match=f"DETECTOR_METADATA.*{message}.*--decoder"):
        opened(tmp_path, two_outputs(detector_metadata(**changes)), {"l": "a\nb"}, net)
