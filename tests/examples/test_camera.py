"""The camera example: its synthetic camera, and the program as it is typed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edgevision.testing import SimulatedClock, fake_detector

CAMERA = Path(__file__).parents[2] / "examples" / "camera"


@pytest.fixture(scope="module")
def synthetic() -> Iterator[ModuleType]:
    sys.path.insert(0, str(CAMERA))
    try:
        yield import_module("synthetic")
    finally:
        sys.path.remove(str(CAMERA))
        for name in ("synthetic", "watch"):
            sys.modules.pop(name, None)


def test_the_truth_is_tight_around_the_ink(synthetic: ModuleType) -> None:
    for seed in range(3):
        scene = synthetic.Scene(seed)
        assert len(set(scene.digits)) == 2
        for index in range(0, 900, 30):
            (left_a, top_a), (left_b, top_b) = scene._places(index)
            if abs(left_a - left_b) < synthetic.DIGIT and abs(top_a - top_b) < synthetic.DIGIT:
                continue  # thin ink of both adds up to ink
            ink = scene.frame(index)[..., 0] > synthetic.GROUND + 0.3 * (synthetic.INK - synthetic.GROUND)
            boxes = [truth.box_xyxy for truth in scene.truth(index)]
            covered = np.zeros_like(ink)
            for left, top, right, bottom in boxes:
                assert 0 <= left < right <= 96
                assert 0 <= top < bottom <= 96
                covered[top:bottom, left:right] = True
            assert not (ink & ~covered).any()
            rows, columns = ink.any(axis=1).nonzero()[0], ink.any(axis=0).nonzero()[0]
            lefts, tops, rights, bottoms = zip(*boxes, strict=True)
            around = min(lefts), min(tops), max(rights), max(bottoms)
            # Rounding to whole grey values moves an edge by a pixel at most.
            assert (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) == pytest.approx(around, abs=1)


def test_digits_move_and_a_seed_determines_them(synthetic: ModuleType) -> None:
    first, again = synthetic.Scene(4), synthetic.Scene(4)
    assert (first.frame(77) == again.frame(77)).all()
    assert len({first.frame(index).tobytes() for index in range(30)}) > 20


def test_a_slow_consumer_of_the_synthetic_camera_sees_what_is_there_now(synthetic: ModuleType) -> None:
    clock = SimulatedClock()

    def now() -> float:
        return clock.monotonic_ns() / 1e9

    scene = synthetic.Scene()
    model = fake_detector(["digit"], [("digit", 0.9, (1.0, 1.0, 8.0, 8.0))])
    camera = synthetic.moving_digits(30 * 60, now=now, sleep=clock.sleep)
    stream = model.stream(camera, "latest", clock=clock)
    for frame, result in stream:
        assert result.age_ms < 100
        assert (frame.pixels == scene.frame(frame.index)).all()
        clock.sleep(0.2)
    counters = stream.counters
    assert counters.captured == 1800
    assert counters.answered + sum(counters.dropped.values()) == 1800


def test_the_program_is_under_thirty_lines_and_runs(
    synthetic: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import edgevision

    assert len((CAMERA / "watch.py").read_text().splitlines()) < 30
    model = fake_detector(["7"], [("7", 0.9, (1.0, 1.0, 8.0, 8.0))])
    monkeypatch.setattr(edgevision, "load_detector", lambda path: model)
    watch: Any = import_module("watch")
    watch.main("detector.evb", synthetic.moving_digits(frames=10))
    out = capsys.readouterr().out
    assert "ms  7 90%" in out
    assert "StreamCounters(captured=10" in out
