"""Images of any size in tiles: the whole image's answer, and the memory of one row of tiles."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from edgevision.backend import Session
from edgevision.errors import InferenceError, OptionError
from edgevision.imaging.preprocess import Preprocessing
from edgevision.imaging.tiles import axis_tiles, blended_bands
from edgevision.session import open_session
from edgevision.tensors import TensorSpec
from edgevision.testing import FakeBackend
from edgevision_segment.description import SegmentTask
from edgevision_segment.kind import SegmentKind
from edgevision_segment.model import TiledSegmenter

LABELS = ("a", "b", "c")
SIDE = 16


def _scores(image: Any) -> np.ndarray:
    """Scores of three classes that depend on the pixel alone, float32 ``(..., h, w, 3)``."""
    red = np.asarray(image, np.float32)[..., 0] / 255
    scores = np.stack([1 - red, red * 0.5, red * 0.5 + 0.2 * red**2], -1) + 0.01
    return (scores / scores.sum(axis=-1, keepdims=True)).astype(np.float32)


def _tiled(compute: Any, overlap: int = 4, cells: int = SIDE, **task: Any) -> TiledSegmenter:
    image = TensorSpec("image", (None, SIDE, SIDE, 3), "float32")
    rank = () if task.get("values") == "classes" else (3,)
    output = TensorSpec("map", (None, cells, cells, *rank), "float32")
    backend = FakeBackend(answers=lambda inputs: {"map": compute(inputs["image"])})
    session = open_session(backend, backend.artifact([image], [output]))
    how = Preprocessing((SIDE, SIDE), (0.0, 255.0))
    stated = SegmentTask(**{"output": "map", "values": "softmax", "overlap": overlap, **task})
    return TiledSegmenter(session, how, LABELS, stated)


def _noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size_hw", [(16, 16), (17, 40), (7, 100), (100, 5), (61, 47), (1, 1)])
@pytest.mark.parametrize("overlap", [0, 4, 7])
def test_tiles_of_a_network_that_sees_each_pixel_alone_give_the_whole_images_answer(
    size_hw: tuple[int, int], overlap: int
) -> None:
    image = _noise(*size_hw)
    found = _tiled(_scores, overlap)(image)
    expected = _scores(image)
    np.testing.assert_array_equal(found.class_map, expected.argmax(axis=-1))
    np.testing.assert_allclose(found.scores, expected.max(axis=-1), atol=1e-5)
    assert int(found.areas.sum()) == size_hw[0] * size_hw[1]


@pytest.mark.parametrize("size_hw", [(61, 47), (16, 33), (5, 90)])
def test_class_numbers_are_taken_from_the_tile_whose_centre_is_nearest(size_hw: tuple[int, int]) -> None:
    image = _noise(*size_hw)

    def classes(tiles: Any) -> np.ndarray:
        answer = _scores(tiles).argmax(axis=-1).astype(np.float32)
        answer[:, 0], answer[:, -1], answer[:, :, 0], answer[:, :, -1] = 2, 2, 2, 2  # wrong at edges
        return answer

    found = _tiled(classes, overlap=4, values="classes")(image)
    assert found.scores is None
    inner = (slice(1, min(size_hw[0], 60) - 1), slice(1, min(size_hw[1], 46) - 1))
    if min(size_hw) > SIDE:
        np.testing.assert_array_equal(found.class_map[inner], _scores(image).argmax(axis=-1)[inner])


def test_a_batch_and_low_resolution_outputs_are_tiled_too() -> None:
    flat = np.zeros((40, 50, 3), np.uint8)
    flat[:, 24:] = 255
    model = _tiled(lambda tiles: _scores(tiles[:, 2::4, 2::4]), cells=4)
    first, second = model([flat, flat[:20]])
    assert first.class_map.shape == (40, 50)
    assert second.class_map.shape == (20, 50)
    wrong = (first.class_map != _scores(flat).argmax(axis=-1)).mean(axis=0)
    assert wrong[:20].max() == wrong[28:].max() == 0, "wrong near the edge alone, by a cell"


def test_what_a_tile_gives_wrongly_is_refused_and_overlaps_too_large_as_well() -> None:
    with pytest.raises(InferenceError, match="NaN or infinity"):
        _tiled(lambda tiles: np.full((1, SIDE, SIDE, 3), np.nan, np.float32))(_noise(40, 40))
    with pytest.raises(OptionError, match="overlap: expected 0 to 7 pixels for an input of 16x16, got 8"):
        _tiled(_scores, overlap=8)
    with pytest.raises(OptionError, match="overlap"):
        SegmentTask("map", "softmax", overlap=-1)


def test_blended_values_are_those_of_the_tiles_where_they_agree_and_fade_where_not() -> None:
    rows, columns = axis_tiles(40, 16, 16, 4), axis_tiles(16, 16, 16, 4)
    steps = {top: float(place) for place, top in enumerate(rows.starts)}
    bands = blended_bands(rows, columns, 4, lambda top: [np.full((1, 16, 16), steps[top], np.float32)])
    whole = np.zeros((40, 16), np.float32)
    for part, values in bands:
        whole[part] = values[0]
    assert (np.diff(whole[:, 0]) >= -1e-6).all()
    assert whole[0, 0] == 0
    assert whole[-1, 0] == len(steps) - 1
    assert len(np.unique(whole[:, 0])) > len(steps)


def test_memory_is_that_of_a_row_of_tiles_not_of_the_image() -> None:
    model = _tiled(_scores)
    image = np.zeros((1600, 160, 3), np.uint8)
    model(image[:32])
    tracemalloc.start()
    model(image, scores=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1600 * 160 * 3 * 4, "less than the float32 scores of the whole image"


def test_the_kind_makes_tiled_models_and_bundles_of_earlier_versions_are_read() -> None:
    from edgevision.tasks.description import task_from_dict, task_to_dict

    old = {"name": "segment", "output": "map", "values": "softmax", "axis": "last", "threshold": 0.5}
    task = task_from_dict(old, "manifest.json: task")
    assert task == SegmentTask("map", "softmax")
    assert task_from_dict(task_to_dict(SegmentTask("map", "softmax", overlap=8)), "m") == SegmentTask(
        "map", "softmax", overlap=8
    )
    assert "overlap" in [option.name for option in SegmentKind().options]


def test_calibration_sees_tiles() -> None:
    from edgevision.datasets.image_sets import ImageSet
    from edgevision_segment.evaluation import SegmentationEvaluator

    images = ImageSet.from_arrays([_noise(50, 70), _noise(9, 9)])
    task = SegmentTask("map", "softmax", overlap=4)
    evaluator = SegmentationEvaluator(task, LABELS, Preprocessing((SIDE, SIDE), (0.0, 255.0)))
    backend = FakeBackend()
    spec = TensorSpec("image", (None, SIDE, SIDE, 3), "float32")
    session: Session = open_session(
        backend, backend.artifact([spec], [TensorSpec("map", (None, 3), "float32")])
    )
    inputs = list(evaluator.network_inputs(session, images))
    assert len(inputs) == len(evaluator.network_inputs(session, images)) == 8
    np.testing.assert_array_equal(inputs[0]["image"][0], next(iter(images))[:SIDE, :SIDE])
    np.testing.assert_array_equal(inputs[3]["image"][0], next(iter(images))[-SIDE:, -SIDE:])
