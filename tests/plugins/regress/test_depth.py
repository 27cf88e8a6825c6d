"""Maps of one value per pixel: a resize that is undone, ground truth of every form, metrics, and drawings."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InferenceError, InputError, MissingOptionError, OptionError
from edgevision.imaging.preprocess import Preprocessing
from edgevision.plugins import registry
from edgevision.session import open_session
from edgevision.tasks.api import Claim, NetworkFacts, TaskOptions
from edgevision.tensors import TensorSpec
from edgevision.testing import FakeBackend, check_task
from edgevision_regress.depth import DepthMap, DepthTask
from edgevision_regress.depth_evaluation import DepthEvaluator
from edgevision_regress.depth_kind import DepthKind
from edgevision_regress.depth_model import DepthEstimator, TiledDepthEstimator
from edgevision_regress.depth_truth import read_maps

TASK = DepthTask("out", (0.0, 10.0), "m")
#: A ramp from left to right, in the cells of a network's output.
RAMP = np.broadcast_to(np.arange(8, dtype=np.float32), (8, 8))


def _session(cells: Any, shape: tuple[int, ...]) -> Any:
    backend = FakeBackend(answers={"out": np.asarray(cells, np.float32).reshape(1, *shape)})
    image = TensorSpec("image", (None, 8, 8, 3), "float32")
    return open_session(backend, backend.artifact([image], [TensorSpec("out", (None, *shape), "float32")]))


def _estimator(cells: Any, shape: tuple[int, ...] = (8, 8, 1), resize: str = "stretch", **task: Any) -> Any:
    how = Preprocessing((8, 8), (0.0, 255.0), resize=resize)
    return DepthEstimator(_session(cells, shape), how, DepthTask("out", (0.0, 10.0), "m", **task))


def _map(values: Any, task: DepthTask = TASK) -> DepthMap:
    return DepthMap(np.asarray(values, np.float32), task)


@pytest.mark.parametrize("shape", [(8, 8, 1), (1, 8, 8), (8, 8)])
def test_values_stand_at_the_pixels_of_the_image_wherever_the_channel_is(shape: tuple[int, ...]) -> None:
    found = _estimator(RAMP, shape)(np.zeros((16, 16, 3), np.uint8))
    # Of 16 pixels over 8 cells, each centre lies a quarter of a cell beside that of a cell.
    expected = np.clip((np.arange(16) + 0.5) / 2 - 0.5, 0, 7)
    np.testing.assert_allclose(found.values, np.broadcast_to(expected, (16, 16)), atol=1e-5)
    assert found.at(15, 3) == pytest.approx(7)
    document = json.loads(json.dumps(found.to_dict()))
    assert document == {
        "value": "depth",
        "unit": "m",
        "least": 0.0,
        "median": 3.5,
        "mean": 3.5,
        "greatest": 7.0,
        "unseen": 0,
    }
    assert found.lines() == ["depth 0 … 7, median 3.5 m"]
    with pytest.raises(OptionError, match=r"\(16, 0\) is not in the image, which is 16x16"):
        found.at(16, 0)


def test_what_a_letterbox_adds_has_no_part_and_what_a_crop_leaves_out_has_no_value() -> None:
    # A wide image fills rows 2 to 5 of the input; what is beside it must not bleed into it.
    rows = np.where((np.arange(8) >= 2) & (np.arange(8) < 6), 3.0, 1000.0)
    found = _estimator(np.broadcast_to(rows[:, None], (8, 8)), resize="letterbox")(
        np.zeros((8, 16, 3), np.uint8)
    )
    assert found.values.shape == (8, 16)
    np.testing.assert_allclose(found.values, 3.0)
    cropped = _estimator(RAMP, resize="center-crop")(np.zeros((8, 16, 3), np.uint8))
    assert cropped.unseen == 8 * 8
    assert np.isnan(cropped.values[:, :4]).all()
    np.testing.assert_allclose(cropped.values[0, 4:12], np.arange(8), atol=1e-5)


def test_an_output_smaller_than_the_input_is_enlarged_and_a_factor_gives_the_unit() -> None:
    found = _estimator(np.full((4, 4), 0.5), (4, 4, 1), factor=4.0)(np.zeros((20, 12, 3), np.uint8))
    np.testing.assert_allclose(found.values, np.full((20, 12), 2.0))


def test_tiles_of_a_large_image_are_blended_without_a_seam() -> None:
    class Height(FakeBackend):
        """Each pixel's value is that of the image at it: any seam of tiles would show."""

    backend = Height(answers=lambda inputs: {"out": inputs["image"][..., :1]})
    image = TensorSpec("image", (None, 8, 8, 3), "float32")
    session = open_session(
        backend, backend.artifact([image], [TensorSpec("out", (None, 8, 8, 1), "float32")])
    )
    task = DepthTask("out", (0.0, 255.0), overlap=2)
    model = TiledDepthEstimator(session, Preprocessing((8, 8), (0.0, 255.0)), task)
    pixels = np.random.default_rng(0).integers(0, 256, (21, 30, 3), np.uint8)
    np.testing.assert_allclose(model(pixels).values, pixels[..., 0], atol=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(value: float) -> None:
    cells = RAMP.copy()
    cells[3, 3] = value
    with pytest.raises(InferenceError, match="output 'out' contains NaN or infinity"):
        _estimator(cells)(np.zeros((8, 8, 3), np.uint8))


@pytest.mark.parametrize("shape", [(8, 8, 3), (64,), (1, 1, 64)])
def test_an_output_that_is_no_map_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match=r"expected one value per pixel, \(batch, height, width, 1\)"):
        _estimator(np.zeros(shape), shape)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"range": (3, 3)}, "range: expected a low number, then a higher"),
        ({"range": (0, 1, 2)}, "range: expected a low number, then a higher"),
        ({"range": "01"}, "range: expected a low number, then a higher"),
        ({"range": (0, float("nan"))}, "range"),
        ({"unit": 5}, "unit: expected text"),
        ({"factor": 0}, "factor: expected a number other than 0"),
        ({"png_step": -1}, "png_step: expected a number above 0"),
        ({"overlap": -1}, "overlap"),
    ],
)
def test_a_description_that_is_wrong_names_the_field(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        DepthTask(**{"output": "out", "range": (0, 10), **fields})


def test_the_drawing_has_the_colours_of_the_range_and_a_scale_bar_with_its_ends() -> None:
    image = np.full((300, 400, 3), 77, np.uint8)
    values = np.broadcast_to(np.linspace(-5, 15, 400, dtype=np.float32), (300, 400)).copy()
    values[:, :10] = np.nan
    drawn = _map(values).draw(image)
    assert drawn.shape[0] > 300
    assert drawn.shape[1] == 400
    assert (drawn[:300, :10] == 77).all()
    low, high = drawn[0, 20].astype(int), drawn[0, 399].astype(int)
    assert low[2] > low[0]  # dark blue
    assert high[0] > 200 > high[2]  # yellow
    # Brighter to the right in grey as well: who sees no colours reads it, too.
    grey = cv2.cvtColor(drawn[:1, 10:], cv2.COLOR_RGB2GRAY)[0].astype(int)
    assert (np.diff(grey) >= -2).all()
    assert grey[-1] - grey[0] > 150
    bar = drawn[300:].reshape(-1, 3)
    assert {tuple(low.tolist()), tuple(high.tolist())} <= {tuple(one) for one in bar.tolist()}
    assert (bar == 255).all(axis=1).any()  # the ends' numbers
    np.testing.assert_array_equal(_map(RAMP).draw(np.zeros((16, 16, 3), np.uint8), 2).shape[2], 3)
    with pytest.raises(OptionError, match="the map is 400x300, and the image 10x10"):
        _map(values).draw(image[:10, :10])


def test_errors_are_those_of_the_pixels_with_ground_truth() -> None:
    truth = np.array([[1.0, 2.0, 4.0, np.nan]], np.float32)
    found = [_map([[1.0, 2.2, 5.0, 9.0]]), _map([[1.0, 2.0, 4.0, 9.0]])]
    evaluator = DepthEvaluator(TASK, (), Preprocessing((8, 8), (0.0, 255.0)), [truth, truth], ["a", "b"])
    measures = evaluator.measure(found)
    assert measures is not None
    values = {one.name: (one.value, one.unit) for one in measures.metrics}
    assert values["MAE"] == (pytest.approx((0.2 + 1.0) / 3 / 2), "m")
    assert values["RMSE"] == (pytest.approx(np.sqrt((0.04 + 1.0) / 3 / 2)), "m")
    assert values["AbsRel"] == (pytest.approx((0.1 + 0.25) / 3 / 2), "share")
    # 5 is exactly 1.25 times 4, and so not near; of the second image all three are.
    assert values["delta<1.25"] == (pytest.approx((2 / 3 + 1) / 2), "share")
    assert all(one.interval is not None for one in measures.metrics)
    assert measures.notes == ("25.0 % of the pixels of the ground truth have no value",)
    compared = evaluator.compare(found, [found[0], _map([[2.0, 3.0, 5.0, 10.0]])])
    assert compared.agreement == pytest.approx(1 - 0.1 / 2)
    assert compared.metrics[0].drop == pytest.approx((1.0 - 0.0) / 2)
    negative = DepthEvaluator(TASK, (), evaluator.preprocessing, [-truth], ["a"]).measure([found[0]])
    assert negative is not None
    assert [one.name for one in negative.metrics] == ["MAE", "RMSE"]
    assert "AbsRel and delta are not defined" in negative.notes[0]
    unseen = DepthEvaluator(TASK, (), evaluator.preprocessing, [truth], ["a"])
    with pytest.raises(InputError, match="the ground truth of 'a' has no value at a pixel that the network"):
        unseen.measure([_map([[np.nan, np.nan, np.nan, 1.0]])])
    with pytest.raises(InputError, match="the ground truth of 'a' is 4x1, and the image 2x2"):
        unseen.measure([_map([[1.0, 1.0], [1.0, 1.0]])])


def test_ground_truth_of_half_the_size_is_enlarged_without_values_between() -> None:
    truth = np.array([[1.0, 5.0], [1.0, 5.0]], np.float32)
    evaluator = DepthEvaluator(TASK, (), Preprocessing((8, 8), (0.0, 255.0)), [truth], ["a"])
    measures = evaluator.measure([_map(np.tile([1.0, 1.0, 5.0, 5.0], (4, 1)))])
    assert measures is not None
    assert measures.metrics[0].value == 0


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    (tmp_path / "images" / "hall").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "images" / "hall" / "one.png"), np.zeros((4, 6, 3), np.uint8))
    (tmp_path / "truth" / "hall").mkdir(parents=True)
    return ImageSet.open(tmp_path / "images")


MILLIMETRES = np.arange(24, dtype=np.uint16).reshape(4, 6) * 100


@pytest.mark.parametrize("suffix", ["png", "npy", "npz", "tif", "tiff"])
def test_ground_truth_comes_in_files_of_each_form_and_0_is_no_value(
    images: ImageSet, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / "truth" / "hall" / f"one.{suffix}"
    metres = (MILLIMETRES / 1000).astype(np.float32)
    if suffix == "png":
        cv2.imwrite(str(file), MILLIMETRES)
    elif suffix == "npy":
        np.save(file, metres)
    elif suffix == "npz":
        np.savez(file, metres)
    else:
        cv2.imwrite(str(file), metres)
    (found,) = read_maps(tmp_path / "truth", images, DepthTask("out", (0, 3), "m", png_step=0.001))
    assert np.isnan(found[0, 0])
    np.testing.assert_allclose(found.reshape(-1)[1:], metres.reshape(-1)[1:], rtol=1e-6)


def _write(folder: Path, **files: Any) -> None:
    for name, content in files.items():
        stem, suffix = name.rsplit("_", 1)
        file = folder / f"{stem}.{suffix}"
        if isinstance(content, bytes):
            file.write_bytes(content)
        elif suffix == "npy":
            np.save(file, content)
        elif suffix == "npz":
            np.savez(file, **content)
        else:
            cv2.imwrite(str(file), content)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "truth: has no map for image 'hall/one.png'; expected one of .npy, .npz, .png, .tif, .tiff"),
        ({"one_npy": MILLIMETRES, "one_png": MILLIMETRES}, "has one.npy and one.png for image"),
        ({"one_png": MILLIMETRES}, "is not stated; convert with --task-option png_step=0.001"),
        (
            {"one_png": MILLIMETRES.astype(np.uint8)},
            r"^[^:]*one\.png: expected grey values of 16 bits, got 8",
        ),
        ({"one_png": b"no image"}, "one.png"),
        ({"one_npy": b"no array"}, "one.npy: cannot be read"),
        ({"one_npy": np.zeros((4, 6, 3))}, r"expected numbers \(height, width\), got float64 \(4, 6, 3\)"),
        ({"one_npy": np.zeros((4, 6))}, "has no value but 0, NaN and infinity"),
        ({"one_npz": {"a": MILLIMETRES, "b": MILLIMETRES}}, "expected one array, and it has 2"),
        ({"one_tif": MILLIMETRES}, "expected floats, got uint16; save integers as 16-bit PNG"),
    ],
)
def test_ground_truth_that_cannot_be_read_is_named(
    images: ImageSet, tmp_path: Path, files: dict[str, Any], said: str
) -> None:
    _write(tmp_path / "truth" / "hall", **files)
    with pytest.raises(InputError, match=said):
        read_maps(tmp_path / "truth", images, TASK)


def test_the_kind_keeps_the_contract_and_asks_for_what_it_cannot_know() -> None:
    kind = DepthKind()
    outputs = {"out": RAMP[..., None].astype(np.float32)}
    expected = {"value": "depth", "unit": "m", "least": 0.0, "greatest": 7.0, "unseen": 0}
    check_task(kind, TASK, outputs, expected=expected)
    one = TensorSpec("out", (None, 8, 8, 1), "float32")
    facts = NetworkFacts((one,), (8, 8), TaskOptions(), registry(), "net.keras")
    assert kind.recognise(facts) is Claim.STATED
    with pytest.raises(MissingOptionError, match=r"pass --task-option range='\[0, 10\]'"):
        kind.describe(facts)
    stated = TaskOptions(task_options={"range": [0, 10], "unit": "m", "png_step": 0.001})
    described = kind.describe(NetworkFacts((one,), (8, 8), stated, registry(), "net.keras"))
    assert described == DepthTask("out", (0.0, 10.0), "m", png_step=0.001)
    two = NetworkFacts(
        (one, TensorSpec("other", (None, 8, 8, 1), "float32")), (8, 8), stated, registry(), "net.keras"
    )
    assert kind.recognise(two) is None
    with pytest.raises(MissingOptionError, match="pass --output-name with that of the values"):
        kind.describe(two)
    scores = TensorSpec("scores", (None, 5), "float32")
    assert kind.recognise(NetworkFacts((scores,), (8, 8), TaskOptions(), registry(), "net.keras")) is None


def _run(name: str, *arguments: object) -> str:
    command = import_module(f"edgevision.cli.{name}").command
    result = CliRunner().invoke(command, [str(each) for each in arguments], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return str(result.stdout)


@pytest.mark.convert
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_a_network_is_converted_to_int8_with_evidence_in_metres(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras", reason="needs the extra `convert`")
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = keras.Input((32, 32, 3), name="photo")
    # The mean of the colours, from 0 to 10, smoothed over an edge: what such a network learns first.
    scaled = layers.Rescaling(1 / 255)(image)
    mean = layers.Conv2D(1, 3, padding="same", name="depth", use_bias=False)
    model = keras.Model(image, mean(scaled))
    mean.set_weights([np.full((3, 3, 3, 1), 10 / 27, np.float32)])
    model.save(tmp_path / "depth.keras")
    random = np.random.default_rng(0)
    for name in ("images", "calibration", "truth"):
        (tmp_path / name).mkdir()
    for number in range(30):
        folder = "images" if number < 24 else "calibration"
        grey = cv2.resize(random.integers(20, 236, (4, 5), np.uint8), (40, 32), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / folder / f"{number:02d}.png"), cv2.merge([grey] * 3))
        cv2.imwrite(
            str(tmp_path / "truth" / f"{number:02d}.png"), np.round(grey * (10 / 0.255)).astype(np.uint16)
        )
    truth = ("--truth", tmp_path / "truth")
    stated = ["range=[0, 10]", "unit=m", "png_step=0.001"]
    options = [word for one in stated for word in ("--task-option", one)]
    out = _run(
        *("convert", tmp_path / "depth.keras", "--target", "onnx-cpu", "--precision", "int8"),
        *("--task", "depth", "--accept-not-shown", "-o", tmp_path / "depth.evb"),
        *(*options, "--calibration", tmp_path / "calibration", "--evaluation", tmp_path / "images", *truth),
    )
    assert all(name in out for name in ("MAE", "RMSE", "AbsRel", "delta<1.25"))
    bundle, photo = tmp_path / "depth.evb", tmp_path / "images" / "00.png"
    answer = json.loads(_run("predict", bundle, photo, "--json", "--save", tmp_path / "drawn"))
    assert (answer["unit"], answer["unseen"]) == ("m", 0)
    assert 0 < answer["least"] < answer["median"] < answer["greatest"] < 10
    measured = json.loads(_run("evaluate", bundle, tmp_path / "images", *truth, "--json"))
    values = {metric["name"]: metric["value"] for metric in measured["metrics"]}
    assert values["MAE"] < 0.5
    assert values["delta<1.25"] > 0.8
    assert "passed" in _run("selftest", bundle)
    _run("report", bundle, "-o", tmp_path / "report.html")
    assert "delta&lt;1.25" in (tmp_path / "report.html").read_text(encoding="utf-8")
