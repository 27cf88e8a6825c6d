"""A segmentation of an image: classes, scores, areas, outlines and drawings."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InferenceError, InputError, OptionError
from edgevision.explaining.settings import ExplainSettings
from edgevision.imaging.frame import Frame
from edgevision.imaging.preprocess import Preprocessing
from edgevision.session import open_session
from edgevision.tasks.api import Claim, ModelParts, NetworkFacts, TaskKind, TaskOptions
from edgevision.tasks.kind import DescribingKind, ResultReplayer
from edgevision.tensors import Quantization, TensorSpec
from edgevision.testing import FakeBackend
from edgevision_segment.description import SegmentTask
from edgevision_segment.kind import SegmentKind
from edgevision_segment.model import Segmenter
from edgevision_segment.scores import ScoreMap
from edgevision_segment.segmentation import VOID, Segmentation
from edgevision_segment.truth import class_numbers, read_masks

LABELS = ("background", "cell", "nucleus")


def _segmenter(
    answer: Any,
    values: str = "softmax",
    labels: tuple[str, ...] = LABELS,
    resize: str = "stretch",
    size_wh: tuple[int, int] = (8, 8),
    **task: Any,
) -> Segmenter:
    """A network that always gives `answer`, for one image."""
    cells = np.asarray(answer, np.float32)[None]
    backend = FakeBackend(answers={"map": cells})
    image = TensorSpec("image", (None, size_wh[1], size_wh[0], 3), "float32")
    output = TensorSpec("map", (None, *cells.shape[1:]), "float32")
    session = open_session(backend, backend.artifact([image], [output]))
    how = Preprocessing(size_wh, (0.0, 255.0), resize=resize)
    return Segmenter(session, how, labels, SegmentTask("map", values, **task))


def _one_hot(classes: Any, count: int = 3) -> np.ndarray:
    return np.eye(count, dtype=np.float32)[np.asarray(classes)]


QUARTERS = np.kron(np.array([[0, 1], [2, 0]]), np.ones((4, 4), int))


def test_each_pixel_gets_the_class_with_the_highest_score() -> None:
    found = _segmenter(_one_hot(QUARTERS) * 0.8 + 0.1)(np.zeros((8, 8, 3), np.uint8))
    np.testing.assert_array_equal(found.class_map, QUARTERS)
    np.testing.assert_allclose(found.scores, 0.9)
    assert found.areas.tolist() == [32, 16, 16]
    assert found.area("cell") == 16
    assert found.mask("nucleus").sum() == 16
    assert found.shares.tolist() == [0.5, 0.25, 0.25]


def test_the_scores_of_logits_are_their_softmax() -> None:
    logits = np.log(np.array([0.2, 0.7, 0.1], np.float32)) + 5
    found = _segmenter(np.broadcast_to(logits, (8, 8, 3)), "logits")(np.zeros((8, 8, 3), np.uint8))
    assert (found.class_map == 1).all()
    np.testing.assert_allclose(found.scores, 0.7, rtol=1e-5)


@pytest.mark.parametrize(("values", "shift"), [("sigmoid", False), ("sigmoid-logits", True)])
def test_a_pixel_is_of_the_best_mask_above_the_threshold_or_background(values: str, shift: bool) -> None:
    scores = np.zeros((8, 8, 2), np.float32) + 0.1
    scores[:4, :, 0], scores[2:6, :, 1] = 0.7, 0.9
    given = np.log(scores / (1 - scores)) if shift else scores
    found = _segmenter(given, values, ("cell", "nucleus"))(np.zeros((8, 8, 3), np.uint8))
    assert found.labels == LABELS
    assert found.class_map[:, 0].tolist() == [1, 1, 2, 2, 2, 2, 0, 0]
    np.testing.assert_allclose(found.scores[:, 0], [0.7, 0.7, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9], rtol=1e-5)
    strict = _segmenter(given, values, ("cell", "nucleus"), threshold=0.8)(np.zeros((8, 8, 3), np.uint8))
    assert strict.class_map[:, 0].tolist() == [0, 0, 2, 2, 2, 2, 0, 0]


def test_a_mask_of_one_channel_has_two_classes() -> None:
    mask = np.zeros((8, 8, 1), np.float32)
    mask[2:5, 3:6] = 0.75
    found = _segmenter(mask, "sigmoid", ("cell",))(np.zeros((8, 8, 3), np.uint8))
    assert found.labels == ("background", "cell")
    assert found.area("cell") == 9
    assert found.lines() == ["cell 14.1%  background 85.9%"]


def test_class_numbers_come_from_the_graph_itself() -> None:
    for answer in (QUARTERS, QUARTERS[..., None]):
        found = _segmenter(answer, "classes")(np.zeros((8, 8, 3), np.uint8))
        np.testing.assert_array_equal(found.class_map, QUARTERS)
        assert found.scores is None
    with pytest.raises(InferenceError, match="class numbers, 0 to 2"):
        _segmenter(QUARTERS + 1, "classes")(np.zeros((8, 8, 3), np.uint8))


@pytest.mark.parametrize(("scale", "is_near"), [(2 / 255, True), (0.9, True), (1.1, False)])
def test_class_numbers_of_a_quantized_output_are_the_nearest_ones(scale: float, is_near: bool) -> None:
    spec = TensorSpec("map", (None, 1, 3), "int8", Quantization(scale, -128))
    score_map = ScoreMap([spec], SegmentTask("map", "classes"), LABELS)
    stored = np.rint(np.array([[0, 1, 2]]) / scale) * scale
    assert not (stored == [[0, 1, 2]]).all()
    outputs = {"map": stored.astype(np.float32)}
    if is_near:
        np.testing.assert_array_equal(score_map.cells(outputs), [[[0, 1, 2]]])
    else:  # two classes may have one number
        with pytest.raises(InferenceError, match="expected class numbers, 0 to 2"):
            score_map.cells(outputs)


def test_255_classes_have_their_numbers_and_256_are_refused() -> None:
    labels = tuple(f"class {number}" for number in range(255))
    answer = _one_hot(np.arange(64).reshape(8, 8) + 191, 255)
    found = _segmenter(answer, labels=labels)(np.zeros((8, 8, 3), np.uint8))
    np.testing.assert_array_equal(found.class_map, np.arange(64).reshape(8, 8) + 191)
    with pytest.raises(OptionError, match="256 classes; expected 255 at most"):
        _segmenter(_one_hot(QUARTERS, 256), labels=())


@pytest.mark.parametrize("size_wh", [(64, 32), (20, 61), (16, 16), (200, 200)])
def test_a_letterbox_is_undone_exactly(size_wh: tuple[int, int]) -> None:
    """A network that segments its own input: what is bright in the image must come back where it was."""
    width, height = size_wh
    truth = np.zeros((height, width), np.uint8)
    truth[height // 4 : height // 2, width // 2 :] = 1
    side = 2 * max(size_wh)  # each pixel of the image is a whole number of pixels of the input, or more
    how = Preprocessing(
        (side, side), (0.0, 255.0), resize="letterbox", interpolation="nearest", pad_value=255
    )
    frame = np.repeat(truth[..., None] * np.uint8(255), 3, axis=2)
    seen = how.resized_pixels(frame)[..., 0] / 255
    found = _segmenter(
        np.stack([1 - seen, seen], -1), labels=("a", "b"), resize="letterbox", size_wh=(side, side)
    )
    np.testing.assert_array_equal(found(frame).class_map, truth)


def test_borders_of_a_letterbox_do_not_reach_into_the_image() -> None:
    cells = np.ones((8, 8), int)
    cells[2:6] = 0  # the image is 64x32: it fills the rows 2 to 5 of the grid; around it, all is of class 1
    found = _segmenter(_one_hot(cells, 2), labels=("a", "b"), resize="letterbox", size_wh=(64, 64))
    assert (found(np.zeros((32, 64, 3), np.uint8)).class_map == 0).all()


def test_what_a_centre_crop_leaves_out_is_not_called_background() -> None:
    found = _segmenter(_one_hot(QUARTERS), resize="center-crop")(np.zeros((8, 16, 3), np.uint8))
    assert (found.class_map[:, :4] == VOID).all()
    assert (found.class_map[:, 12:] == VOID).all()
    np.testing.assert_array_equal(found.class_map[:, 4:12], QUARTERS)
    assert found.to_dict()["unseen"] == 64
    assert found.shares.sum() == 1


def test_an_image_that_training_resized_is_segmented_in_its_own_pixels() -> None:
    """What the training's own resize made of a photo is compared with our resize of that photo."""
    model = _segmenter(_one_hot(QUARTERS), resize="center-crop")
    resized = Frame(np.zeros((8, 8, 3), np.float32), levels=(0.0, 255.0))
    found = model.resized_result(resized, (16, 8))
    np.testing.assert_array_equal(found.class_map, model(np.zeros((8, 16, 3), np.uint8)).class_map)


def test_scores_between_cells_are_bilinear() -> None:
    ramp = np.repeat(np.linspace(0, 1, 4, dtype=np.float32)[None], 4, axis=0)
    found = _segmenter(np.stack([1 - ramp, ramp], -1), labels=("a", "b"), size_wh=(4, 4))
    image = np.zeros((8, 8, 3), np.uint8)
    expected = cv2.resize(ramp, (8, 8), interpolation=cv2.INTER_LINEAR)
    scores = np.where(expected > 0.5, expected, 1 - expected)
    np.testing.assert_allclose(found(image).scores, scores, atol=1e-6)


def test_classes_may_be_the_first_axis() -> None:
    found = _segmenter(np.moveaxis(_one_hot(QUARTERS), -1, 0), axis="first")(np.zeros((8, 8, 3), np.uint8))
    np.testing.assert_array_equal(found.class_map, QUARTERS)


def test_an_explanation_finds_what_a_class_rests_on() -> None:
    """A network whose class is that of the pixel's brightness: the bright square explains it."""
    image = TensorSpec("image", (None, 16, 16, 3), "float32")
    output = TensorSpec("map", (None, 16, 16, 2), "float32")

    def compute(inputs: Any) -> Any:
        bright = np.clip(inputs["image"][..., :1] / 255, 0, 1)
        return {"map": np.concatenate([1 - bright, bright], -1).astype(np.float32)}

    backend = FakeBackend(answers=compute)
    session = open_session(backend, backend.artifact([image], [output]))
    how = Preprocessing((16, 16), (0.0, 255.0), resize="letterbox")
    model = Segmenter(session, how, ("background", "light"), SegmentTask("map", "softmax"))
    frame = np.zeros((32, 64, 3), np.uint8)
    frame[8:20, 40:56] = 255
    explanation = model.explain(frame, budget=400, settings=ExplainSettings(seed=1))
    assert explanation.label == "light"
    assert explanation.score > 0.9
    assert explanation.map.shape == (32, 64)
    column, row = explanation.peak_xy
    assert 36 <= column < 60
    assert 4 <= row < 24
    assert model.explain(frame, "background", budget=16).label == "background"
    with pytest.raises(OptionError, match="no pixel of class 'light' was found"):
        model.explain(np.zeros_like(frame), "light", budget=16)
    with pytest.raises(OptionError, match="no class 'dark'"):
        model.explain(frame, "dark", budget=16)
    assert "explain" in Segmenter.answering_methods


def test_a_segmentation_becomes_detections_of_supervision() -> None:
    pytest.importorskip("supervision", reason="needs supervision")
    classes = np.zeros((40, 60), np.uint8)
    classes[10:20, 30:45], classes[:4, :6] = 1, 2
    found = Segmentation(classes, LABELS).to_supervision()
    assert found.xyxy.tolist() == [[30, 10, 44, 19], [0, 0, 5, 3]]
    assert found.class_id.tolist() == [1, 2]
    assert found.data["class_name"].tolist() == ["cell", "nucleus"]
    np.testing.assert_array_equal(found.mask[0], classes == 1)
    assert len(Segmentation(np.zeros((4, 5), np.uint8), LABELS).to_supervision()) == 0


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 7.0, -1.0])
def test_values_that_are_no_scores_are_refused(wrong: float) -> None:
    answer = _one_hot(QUARTERS)
    answer[0, 0, 0] = wrong
    with pytest.raises(InferenceError, match="expected (finite|scores)"):
        _segmenter(answer)(np.zeros((8, 8, 3), np.uint8))


def test_labels_may_leave_out_background_and_no_other_class() -> None:
    answer = _one_hot(QUARTERS)
    assert _segmenter(answer, labels=("cell", "nucleus")).labels == LABELS
    assert _segmenter(answer, labels=()).labels == ("class 0", "class 1", "class 2")
    with pytest.raises(OptionError, match="has 3 classes, and there are 1 labels"):
        _segmenter(answer, labels=("cell",))
    with pytest.raises(OptionError, match="pass --labels FILE"):
        _segmenter(QUARTERS, "classes", labels=())


@pytest.mark.parametrize(
    ("field", "value"), [("output", 1), ("values", "argmax"), ("axis", "middle"), ("threshold", 1.5)]
)
def test_a_wrong_field_of_the_description_is_named(field: str, value: Any) -> None:
    with pytest.raises(OptionError, match=field):
        SegmentTask(**{"output": "map", "values": "softmax", field: value})


def test_a_result_becomes_json_outlines_a_drawing_and_a_mask_that_is_ground_truth_again(
    tmp_path: Path,
) -> None:
    classes = np.zeros((40, 60), np.uint8)
    cv2.circle(classes, (30, 20), 9, 1, -1)
    classes[:5, :5] = 2
    found = Segmentation(classes, LABELS, np.full(classes.shape, 0.5, np.float32))
    document = json.loads(json.dumps(found.to_dict(polygons=True)))
    assert [row["label"] for row in document["classes"]] == list(LABELS)
    assert document["classes"][1]["area"] == found.area("cell") == int((classes == 1).sum())
    (outline,) = found.polygons("cell")
    assert outline.min(axis=0).tolist() == [21, 11]
    assert outline.max(axis=0).tolist() == [39, 29]
    redrawn = np.zeros_like(classes)
    cv2.fillPoly(redrawn, [outline.astype(np.int32)], 1)
    np.testing.assert_array_equal(redrawn, classes == 1)
    assert len(found.polygons("cell", tolerance=2)[0]) < len(outline)
    image = np.full((40, 60, 3), 100, np.uint8)
    drawn = found.draw(image)
    factor = drawn.shape[1] // 60
    assert (drawn[20 * factor, 30 * factor] != 100).any()
    assert (drawn[35 * factor, 55 * factor] == 100).all(), "background keeps the image"
    assert found.draw(image.repeat(2, 0).repeat(2, 1), scale=2).shape[1] % 60 == 0
    with pytest.raises(OptionError, match="class map is 60x40"):
        found.draw(image[:20])
    with pytest.raises(OptionError, match="'blood' is not in the label list"):
        found.mask("blood")
    found.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(class_numbers((tmp_path / "mask.png").read_bytes(), "mask"), classes)


def test_masks_with_a_palette_hold_indices_and_one_of_0_and_255_the_second_class(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="needs pillow")
    pixels = np.array([[0, 1], [2, 255]], np.uint8)
    indexed = image.fromarray(pixels, "P")
    indexed.putpalette([value for number in range(256) for value in (number, 255 - number, number // 2)])
    (tmp_path / "masks").mkdir()
    (tmp_path / "images").mkdir()
    indexed.save(tmp_path / "masks" / "one.png")
    cv2.imwrite(str(tmp_path / "images" / "one.jpg"), np.zeros((2, 2, 3), np.uint8))
    images = ImageSet.open(tmp_path / "images")
    np.testing.assert_array_equal(read_masks(tmp_path / "masks", images, LABELS)[0], pixels)
    cv2.imwrite(str(tmp_path / "masks" / "one.png"), np.array([[0, 255], [255, 0]], np.uint8))
    np.testing.assert_array_equal(read_masks(tmp_path / "masks", images, ("b", "c"))[0], [[0, 1], [1, 0]])
    np.testing.assert_array_equal(read_masks(tmp_path / "masks", images, LABELS)[0], [[0, 255], [255, 0]])
    image.fromarray(np.array([[True, False]] * 2)).save(tmp_path / "masks" / "one.png")
    np.testing.assert_array_equal(read_masks(tmp_path / "masks", images, ("b", "c"))[0], [[1, 0], [1, 0]])


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: cv2.imwrite(str(path), np.full((2, 2), 3, np.uint8)), "has the class 3, .* 0 to 2"),
        (lambda path: cv2.imwrite(str(path), np.full((2, 2, 3), (1, 2, 3), np.uint8)), "it has colours"),
        (lambda path: cv2.imwrite(str(path), np.full((2, 2), 300, np.uint16)), "it has 16 bits"),
        (lambda path: cv2.imwrite(str(path.with_suffix(".bmp")), np.zeros((2, 2), np.uint8)), "mask as PNG"),
        (
            lambda path: cv2.imwrite(str(path.with_name("other.png")), np.zeros((2, 2), np.uint8)),
            "no mask for",
        ),
    ],
)
def test_a_mask_that_cannot_be_used_is_named(tmp_path: Path, write: Any, message: str) -> None:
    for folder in ("masks", "images"):
        (tmp_path / folder).mkdir()
    cv2.imwrite(str(tmp_path / "images" / "one.png"), np.zeros((2, 2, 3), np.uint8))
    write(tmp_path / "masks" / "one.png")
    with pytest.raises(InputError, match=message):
        read_masks(tmp_path / "masks", ImageSet.open(tmp_path / "images"), LABELS)


def _network(
    shape: tuple[int, ...], dtype: str = "float32", kind: str | None = None, **options: Any
) -> NetworkFacts:
    kinds = {} if kind is None else {"map": kind}
    stated: Any = TaskOptions(**options)
    plugins: Any = None
    return NetworkFacts(
        (TensorSpec("map", (None, *shape), dtype),), (8, 8), stated, plugins, "m.keras", kinds
    )


@pytest.mark.parametrize(
    ("network", "claim", "values"),
    [
        (_network((8, 8, 21), kind="softmax"), Claim.LIKELY, "softmax"),
        (_network((8, 8, 21), kind="linear"), Claim.LIKELY, "logits"),
        (_network((8, 8, 2), kind="sigmoid"), Claim.LIKELY, "sigmoid"),
        (_network((8, 8, 3), kind="softmax"), Claim.LIKELY, "softmax"),
        (_network((8, 8, 3), kind="linear"), Claim.STATED, "logits"),
        (_network((8, 8, 1), kind="sigmoid"), Claim.STATED, "sigmoid"),
        (_network((8, 8, 1), kind="linear"), Claim.STATED, "sigmoid-logits"),
        (_network((8, 8, 1), score_kind="sigmoid"), Claim.STATED, "sigmoid"),
        (_network((8, 8), "int64"), Claim.LIKELY, "classes"),
        (_network((8, 8), "float32"), Claim.STATED, "classes"),
        (_network((8, 8, 5), task="segment", task_options={"values": "logits"}), Claim.LIKELY, "logits"),
    ],
)
def test_a_map_is_recognised_and_described(network: NetworkFacts, claim: Claim, values: str) -> None:
    kind = SegmentKind()
    assert kind.recognise(network) == claim
    assert kind.describe(network) == SegmentTask("map", values)


@pytest.mark.parametrize(
    ("shape", "input_wh", "axis"),
    [
        ((64, 96, 5), (96, 64), "last"),
        ((5, 64, 96), (96, 64), "first"),
        ((5, 16, 24), (96, 64), "first"),
        ((17, 25, 5), (97, 65), "last"),
        ((64, 64, 64), (64, 64), "last"),
        ((21, None, None), (96, 64), "last"),
        ((2, 33, 65), (65, 33), "first"),
    ],
)
def test_the_axis_of_the_classes_follows_from_the_shape_of_the_input(
    shape: tuple[int, ...], input_wh: tuple[int, int], axis: str
) -> None:
    network = dataclasses.replace(_network(shape, kind="softmax"), input_size_wh=input_wh)
    assert SegmentKind().recognise(network) == Claim.LIKELY
    assert SegmentKind().describe(network).axis == axis


@pytest.mark.parametrize(
    ("shape", "axis", "grid_wh"),
    [
        ((64, 3), "last", (8, 8)),
        ((3, 64), "first", (8, 8)),
        ((16, 3), "last", (4, 4)),
        ((64, 21), "last", (8, 8)),
    ],
)
def test_a_flattened_map_is_described_if_it_is_stated(
    shape: tuple[int, ...], axis: str, grid_wh: tuple[int, int]
) -> None:
    network = _network(shape, kind="softmax")
    assert SegmentKind().recognise(network) == Claim.STATED  # as many boxes have such scores, too
    assert SegmentKind().describe(network) == SegmentTask("map", "softmax", axis, grid_wh=grid_wh)


@pytest.mark.parametrize("shape", [(60, 3), (5,), (256, 3)])
def test_rows_of_scores_for_other_places_are_no_flattened_map(shape: tuple[int, ...]) -> None:
    assert SegmentKind().recognise(_network(shape, kind="softmax")) is None


@pytest.mark.parametrize("axis", ["last", "first"])
def test_a_flattened_map_is_segmented_as_the_map_itself(axis: str) -> None:
    image = np.zeros((16, 24, 3), np.uint8)
    scores = np.random.default_rng(0).dirichlet(np.ones(3), (4, 8)).astype(np.float32)
    plain = _segmenter(scores, size_wh=(16, 8))(image)
    flat = scores.reshape(32, 3) if axis == "last" else scores.reshape(32, 3).T
    found = _segmenter(flat, size_wh=(16, 8), axis=axis, grid_wh=(8, 4))(image)
    np.testing.assert_array_equal(found.class_map, plain.class_map)
    with pytest.raises(OptionError, match="expected 8x8 cells with classes, got"):
        _segmenter(flat, size_wh=(16, 8), axis=axis, grid_wh=(8, 8))


def test_of_several_outputs_one_must_be_named() -> None:
    outputs = tuple(
        TensorSpec(name, (None, *shape), "float32")
        for name, shape in (("map", (8, 8, 5)), ("coarse", (4, 4, 5)), ("class", (5,)))
    )
    network = dataclasses.replace(_network((8, 8, 5), kind="softmax"), outputs=outputs)
    assert SegmentKind().recognise(network) == Claim.STATED
    with pytest.raises(OptionError, match="'map' .*'coarse' .*pass --output-name"):
        SegmentKind().describe(network)
    named = dataclasses.replace(network, options=TaskOptions(output="map"))
    assert SegmentKind().recognise(named) == Claim.LIKELY
    assert SegmentKind().describe(named).output == "map"
    vector = dataclasses.replace(network, options=TaskOptions(output="class"))
    with pytest.raises(OptionError, match="expected a class for each pixel"):
        SegmentKind().describe(vector)


def test_what_is_no_map_is_not_claimed_and_what_is_unknown_is_asked() -> None:
    kind = SegmentKind()
    for shape in ((10,), (1, 1, 10), (100, 6), (64, 3), (4, 8, 8, 3)):
        assert kind.recognise(_network(shape)) in (None, Claim.STATED)
    assert kind.recognise(_network((8, 8, 5), decoder="yolo")) is None
    with pytest.raises(OptionError, match="expected a class for each pixel, .*, or the same flattened"):
        kind.describe(_network((60, 3), kind="softmax", task="segment"))
    with pytest.raises(OptionError, match="pass --scores softmax, sigmoid, or logits"):
        kind.describe(_network((8, 8, 5)))
    with pytest.raises(OptionError, match="softmax of a single channel"):
        kind.describe(_network((8, 8, 1), score_kind="softmax"))


def test_the_kind_has_all_that_a_kind_must_have() -> None:
    kind: TaskKind = SegmentKind()
    assert isinstance(kind, DescribingKind)
    assert isinstance(kind, ResultReplayer)
    with pytest.raises(OptionError, match="expected a preprocessing"):
        kind.model(None, SegmentTask("map", "softmax"), ModelParts(None))  # type: ignore[arg-type]
