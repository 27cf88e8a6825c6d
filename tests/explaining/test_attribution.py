"""Maps of networks whose answer is known: they name the pixels that the answer is made of, and no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from edgevision.backend import SessionSettings
from edgevision.errors import InferenceError, OptionError
from edgevision.explaining.attribution import Attribution, MaskedRuns, attribution
from edgevision.explaining.faithfulness import rank_correlation
from edgevision.explaining.perturbation import Perturbation
from edgevision.explaining.saliency import Moments, split_half_reliability
from edgevision.explaining.settings import ExplainSettings
from edgevision.session import open_session
from edgevision.tensors import TensorSpec
from edgevision.testing import FakeBackend

SIZE = 40
#: The pixels that the network looks at: rows, then columns.
PATCH = slice(5, 15), slice(22, 34)
Network = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def patch_mean(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """A score that is the brightness of the patch."""
    return {"score": np.asarray(inputs["image"], np.float64)[:, PATCH[0], PATCH[1]].mean(axis=(1, 2))}


def image(dtype: str = "float32") -> Any:
    """Dark, and bright in the patch and in a place that the network does not look at."""
    pixels = np.full((SIZE, SIZE, 1), 20, np.float64)
    pixels[PATCH] = 220
    pixels[25:38, 3:15] = 220
    return pixels.astype(dtype)


def runs_of(
    network: Network = patch_mean,
    batch: int | None = None,
    threads: int | None = None,
    dtype: str = "float32",
) -> MaskedRuns:
    backend = FakeBackend(answers=network)
    spec = TensorSpec("image", (batch, SIZE, SIZE, 1), dtype)
    artifact = backend.artifact([spec], [TensorSpec("score", (batch, 1), "float32")])
    session = open_session(backend, artifact, SessionSettings(threads=threads))
    perturbation = Perturbation(image(dtype), False, (0, 0, SIZE, SIZE), "mean")
    return MaskedRuns(session, "image", perturbation, lambda outputs: outputs["score"][:, 0] / 255.0)


def explain(runs: MaskedRuns, progress: Any = None, **settings: Any) -> Attribution:
    return attribution(runs, ExplainSettings(**settings), progress)


@pytest.mark.parametrize("method", ["rise", "occlusion"])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_the_map_names_what_the_answer_is_made_of(method: str, dtype: str) -> None:
    found = explain(runs_of(dtype=dtype), method=method, reliability=0.99)
    row, column = np.unravel_index(found.map.argmax(), found.map.shape)
    assert PATCH[0].start <= row < PATCH[0].stop
    assert PATCH[1].start <= column < PATCH[1].stop
    assert found.score == pytest.approx(220 / 255, abs=0.01)
    assert found.hidden_score < 0.4
    decoy = found.map[25:38, 3:15].max()
    assert decoy < 0.25 * found.map[PATCH].max(), "bright, but the network does not look at it"
    assert found.map[PATCH].mean() > 4 * abs(np.delete(found.map, np.r_[2:18], axis=0)).mean()


def test_a_score_that_falls_where_pixels_are_shown_makes_the_map_negative() -> None:
    def darkness(inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {"score": 255.0 - patch_mean(inputs)["score"]}

    found = explain(runs_of(darkness))
    assert found.map[PATCH].mean() < -0.1


def test_more_masks_are_more_reliable_and_the_estimate_tells() -> None:
    """The reliability is compared with the correlation to a map of a hundred times the masks."""
    truth = explain(runs_of(), budget=20_000, reliability=1).map
    for budget, allowed in ((64, 0.15), (256, 0.06), (1024, 0.03)):
        drawn = [explain(runs_of(), budget=budget, reliability=1, seed=seed) for seed in range(12)]
        real = np.mean([np.corrcoef(one.map.ravel(), truth.ravel())[0, 1] for one in drawn])
        told = np.mean([one.reliability for one in drawn])
        assert real - allowed < told < real + 0.03, budget


def test_it_stops_when_the_map_is_reliable_enough() -> None:
    found = explain(runs_of(), budget=100_000, reliability=0.9)
    assert found.converged
    assert found.samples < 5_000
    assert not explain(runs_of(), budget=16).converged


def test_a_score_that_nothing_changes_gives_no_map_and_no_reliability() -> None:
    found = explain(runs_of(lambda inputs: {"score": np.full((len(inputs["image"]), 1), 99.0)}), budget=300)
    assert not found.map.any()
    assert found.reliability == 0
    assert not found.converged


@pytest.mark.parametrize("method", ["rise", "occlusion"])
def test_batches_and_threads_give_the_same_map(method: str) -> None:
    runs = [runs_of(batch=batch, threads=threads) for batch in (None, 1) for threads in (None, 1)]
    maps = [explain(each, method=method, budget=256, reliability=1).map for each in runs]
    for one in maps[1:]:
        np.testing.assert_array_equal(one, maps[0])


def test_the_seed_decides() -> None:
    maps = [explain(runs_of(), budget=128, seed=seed).map for seed in (1, 1, 2)]
    np.testing.assert_array_equal(maps[0], maps[1])
    assert rank_correlation(maps[0], maps[2]) < 0.999


@pytest.mark.parametrize("method", ["rise", "occlusion"])
def test_progress_is_reported_and_can_stop(method: str) -> None:
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> bool:
        seen.append((done, total))
        return done < 60

    found = explain(runs_of(), progress, method=method, budget=500, reliability=1)
    assert found.samples == seen[-1][0] < 100
    assert len({total for _, total in seen}) == 1
    assert 200 < seen[0][1] <= 500
    assert not found.converged


def test_an_error_of_the_network_is_the_callers() -> None:
    calls = iter(range(1000))

    def fails(inputs: Mapping[str, Any]) -> dict[str, Any]:
        if next(calls) > 5:
            raise InferenceError("out of memory")
        return patch_mean(inputs)

    with pytest.raises(InferenceError, match="out of memory"):
        explain(runs_of(fails, batch=1))


def test_a_letterbox_stays_and_planes_are_understood() -> None:
    row = np.arange(3 * 12 * 10, dtype=np.float32).reshape(3, 12, 10)
    hidden, shown = np.empty_like(row), np.empty_like(row)
    perturbation = Perturbation(row, True, (2, 3, 9, 10), "mean")
    perturbation.write(np.zeros(perturbation.size_hw, np.float32), hidden)
    perturbation.write(np.ones(perturbation.size_hw, np.float32), shown)
    np.testing.assert_allclose(shown, row, rtol=1e-6)
    inside = np.zeros(row.shape, bool)
    inside[:, 3:10, 2:9] = True
    np.testing.assert_array_equal(hidden[~inside], row[~inside])
    for plane, own in zip(hidden, row, strict=True):
        np.testing.assert_allclose(plane[3:10, 2:9], own[3:10, 2:9].mean(), rtol=1e-5)


def test_whole_numbers_are_rounded_and_not_cut_off() -> None:
    row = np.full((4, 4, 1), 101, np.uint8)
    row[:2] = 100
    out = np.empty_like(row)
    perturbation = Perturbation(row, False, (0, 0, 4, 4), "mean")  # the mean is 100.5
    perturbation.write(np.full((4, 4), 0.1, np.float32), out)
    assert out[0, 0, 0] == 100
    assert out[3, 0, 0] == 101


def test_a_blur_leaves_no_detail_of_a_cell() -> None:
    random = np.random.default_rng(0)
    row = random.integers(0, 256, (64, 64, 3)).astype(np.float32)
    out = np.empty_like(row)
    Perturbation(row, False, (0, 0, 64, 64), "blur").write(np.zeros((64, 64), np.float32), out)
    assert out.std() < 0.1 * row.std()
    np.testing.assert_allclose(out.mean(axis=(0, 1)), row.mean(axis=(0, 1)), atol=5)


def test_a_map_is_the_difference_between_shown_and_hidden() -> None:
    """Of a score that is linear in one pixel: exactly its factor."""
    random = np.random.default_rng(0)
    moments = Moments((2, 3))
    for _ in range(4000):
        mask = random.integers(0, 2, (2, 3)).astype(np.float32)
        moments.add(mask, 0.25 + 0.5 * float(mask[1, 2]))
    found = moments.map()
    assert found[1, 2] == pytest.approx(0.5)
    assert abs(np.delete(found.ravel(), 5)).max() < 0.05


def test_reliability_of_maps_that_agree_and_that_do_not() -> None:
    random = np.random.default_rng(0)
    map_ = random.normal(size=(9, 9))
    assert split_half_reliability(map_, map_) == pytest.approx(1.0)
    assert split_half_reliability(map_, -map_) == 0.0
    assert split_half_reliability(map_, np.zeros((9, 9))) == 0.0
    noisy = [map_ + random.normal(size=(9, 9)) for _ in range(2)]
    assert 0.4 < split_half_reliability(*noisy) < 0.95


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"method": "lime"}, "method"),
        ({"budget": 15}, "budget"),
        ({"budget": 1.5}, "budget"),
        ({"seed": -1}, "seed"),
        ({"cells": 1}, "cells"),
        ({"cells": 65}, "cells"),
        ({"fill": "black"}, "fill"),
        ({"reliability": 0}, "reliability"),
        ({"reliability": 1.01}, "reliability"),
        ({"reliability": float("nan")}, "reliability"),
    ],
)
def test_a_setting_outside_its_range_is_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(OptionError, match=named):
        ExplainSettings(**settings)
