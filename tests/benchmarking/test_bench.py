"""Benchmarks of each task: stages, ratios and arguments; no test asserts a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgevision
from edgevision.benchmarking.bench import bench
from edgevision.benchmarking.plot import draw_bench
from edgevision.benchmarking.subjects import STAGES, camera_frame, smooth_frame
from edgevision.benchmarking.sustained import sustain
from edgevision.errors import OptionError
from edgevision.imaging.levels import levelled, shares_of_white
from edgevision.imaging.preprocess import Preprocessing
from edgevision.plugins import registry
from edgevision.session import CheckedSession, open_session
from edgevision.tasks.description import DetectTask, GenerateTask
from edgevision.tasks.detect import Detector
from edgevision.tasks.generation.diffusion import DiffusionGenerator
from edgevision.tasks.generation.image_to_image import ImageToImage
from edgevision.tensors import TensorSpec
from edgevision.testing import FakeBackend

DATA = Path(__file__).parents[1] / "data"
BARE = edgevision.BareModel(
    image=edgevision.InputOptions(value_range=(0.0, 1.0)), score_kind="softmax", output="scores"
)


@pytest.fixture
def classifier() -> Any:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    with edgevision.load(DATA / "tiny_int8.tflite", "tflite", bare=BARE) as model:
        yield model


def _session(inputs: list[TensorSpec], outputs: list[TensorSpec], answers: Any) -> CheckedSession:
    backend = FakeBackend(answers=answers)
    return open_session(backend, backend.artifact(inputs, outputs))


def _detector() -> Detector:
    image = TensorSpec("image", (1, 16, 16, 3), "uint8")
    outputs = [TensorSpec("boxes", (1, 2, 4), "float32"), TensorSpec("scores", (1, 2), "float32")]
    settings = {"boxes": "boxes", "scores": "scores", "box_format": "xyxy", "box_unit": "pixels"}
    session = _session([image], outputs, {"boxes": [[[1, 2, 8, 9], [0, 0, 4, 4]]], "scores": [[0.9, 0.1]]})
    task = DetectTask("boxes-scores", settings)
    decoder = registry().decoder("boxes-scores")
    return Detector(session, Preprocessing((16, 16), (0.0, 255.0)), ["thing"], task, decoder)


@pytest.mark.parametrize(
    "mapping",
    [
        *({"bit_depth": 12}, {"pixel_range": (-2.0, 9.0)}, {"window": (40.0, 400.0)}),
        *({"window": "file"}, {"window_percentiles": (1.0, 99.0)}),
    ],
)
def test_a_network_for_more_than_eight_bits_is_timed_on_frames_of_its_mapping(mapping: Any) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    image = edgevision.InputOptions(value_range=(0.0, 1.0), **mapping)
    bare = edgevision.BareModel(image, score_kind="softmax", output="scores")
    with edgevision.load(DATA / "tiny_int8.tflite", "tflite", bare=bare) as model:
        result = bench(model, frame_wh=(40, 30), seconds=0.1)
        frame = camera_frame((40, 30), model.preprocessing.mapping)
        shares = shares_of_white(levelled(frame, model.preprocessing.mapping))
    assert (shares.min(), shares.max()) == (pytest.approx(0, abs=0.1), pytest.approx(1, abs=0.1))
    assert {"resize", "normalise", "invoke"} <= set(result.stages)


def test_a_classifier_is_timed_in_every_stage_beside_its_bare_runtime(classifier: Any) -> None:
    result = bench(classifier, frame_wh=(40, 30), seconds=0.2)
    document = result.to_dict()
    assert list(result.stages) == list(STAGES)
    assert (document["task"], document["backend"], document["calls"], document["frame_wh"]) == (
        "classify",
        "tflite",
        1,
        (40, 30),
    )
    assert (
        len({times.to_dict()["runs"] for times in (*result.stages.values(), result.bare, result.whole)}) == 1
    )
    assert document["cpu_ratio"] > 0
    assert document["throughput"]["percent_of_ceiling"] > 0
    assert document["peak_memory_mb"] > 10
    parts = sum(times.cpu_us for name, times in result.stages.items() if name != "decode")
    assert result.rest_us == pytest.approx(result.whole.cpu_us - parts)


def test_a_batch_is_one_call_of_the_network(classifier: Any) -> None:
    result = bench(classifier, frame_wh=(8, 8), batch=3, seconds=0.1)
    assert (result.batch, result.calls) == (3, 1)


def test_a_stage_that_cannot_be_timed_alone_has_a_reason() -> None:
    result = bench(_detector(), frame_wh=(20, 20), seconds=0.1)
    assert result.task == "detect"
    assert result.fused["normalise"] == "the network takes the pixels unchanged"
    assert result.fused["copy"] == "the backend does not separate it from invoke"
    assert {"normalise", "copy"}.isdisjoint(result.stages)


def test_a_generator_is_compared_with_as_many_calls_as_it_makes() -> None:
    tile = TensorSpec("image", (1, 16, 16, 3), "float32")
    task = GenerateTask("image-to-image", "made", (0, 255), "rgb", {"fit": "tiles", "overlap": 4})
    session = _session(
        [tile], [TensorSpec("made", (1, 16, 16, 3), "float32")], lambda i: {"made": i["image"]}
    )
    editor = ImageToImage(session, task, Preprocessing((16, 16), (0.0, 255.0)))
    result = bench(editor, frame_wh=(28, 16), seconds=0.1)
    assert (result.task, result.calls, result.frame_wh) == ("generate", 2, (28, 16))
    assert set(result.fused) >= {"resize", "postprocess"}


def test_a_diffusion_loop_counts_its_steps_and_has_no_frame() -> None:
    specs = [TensorSpec("noisy", (None, 8, 8, 1), "float32"), TensorSpec("time", (None,), "float32")]
    settings = {
        "image_input": "noisy",
        "timestep_input": "time",
        "timestep": "index",
        "prediction": "x0",
        "schedule": {"kind": "linear", "steps": 100, "beta_start": 0.001, "beta_end": 0.05},
        "steps": 7,
    }
    session = _session(specs, [TensorSpec("made", (None, 8, 8, 1), "float32")], {"made": 0.5})
    result = bench(
        DiffusionGenerator(session, GenerateTask("diffusion", "made", (-1, 1), "gray", settings)), seconds=0.1
    )
    assert (result.calls, result.frame_wh) == (7, None)


@pytest.mark.parametrize(
    "arguments",
    [
        {"seconds": 0.0},
        {"seconds": float("nan")},
        {"seconds": "1"},
        {"batch": 0},
        {"batch": 2},
        {"batch": True},
        {"batch": 1.0},
        {"frame_wh": (8, 0)},
        {"frame_wh": (8.5, 8)},
        {"frame_wh": 8},
        {"frame_wh": (8, 8, 3)},
    ],
    ids=str,
)
def test_arguments_out_of_range_and_of_other_types_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(arguments))):
        bench(_detector(), **arguments)


@pytest.mark.parametrize("frame_wh", [[20, 16], (np.int64(20), np.int32(16)), np.array([20, 16])], ids=repr)
def test_arguments_may_be_lists_arrays_and_numbers_of_numpy(frame_wh: Any) -> None:
    result = bench(_detector(), frame_wh=frame_wh, batch=np.int64(1), seconds=np.float32(0.1))
    assert (result.frame_wh, result.batch) == ((20, 16), 1)
    json.dumps(result.to_dict())


def test_the_chart_has_one_bar_per_stage_and_a_line_of_the_minutes() -> None:
    result = bench(_detector(), frame_wh=(20, 20), seconds=0.1)
    bars = draw_bench(result)
    with_minutes = draw_bench(result, sustain(result.call, 3, minute_s=0.01))
    assert bars.dtype == np.uint8
    assert bars.shape[1:] == with_minutes.shape[1:] == (960, 3)
    assert len(with_minutes) > len(bars)
    assert (bars != 255).any()


def test_the_frame_is_the_same_every_time() -> None:
    assert smooth_frame((50, 20)).shape == (20, 50, 3)
    np.testing.assert_array_equal(smooth_frame((50, 20)), smooth_frame((50, 20)))
