"""Lanes: threads that share a session never share an interpreter or request."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from edgevision.backend import LeasingSession, SessionSettings
from edgevision.errors import InferenceError, OptionError, OutputError, SessionClosedError
from edgevision.slots import Lanes, LaneSession, batch_of
from edgevision.tensors import Array, TensorSpec

SPEC = TensorSpec("image", (None, 2), "float32")


class Doubling:
    """A lane that doubles its input."""

    def __init__(self, batch: int) -> None:
        self.inputs = {"image": np.zeros((batch, 2), np.float32)}

    def run(self) -> dict[str, Array]:
        return {"twice": self.inputs["image"] * 2}


class Made:
    """Counts the lanes that are made."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, batch: int) -> Doubling:
        self.batches.append(batch)
        return Doubling(batch)


def inputs(value: float, batch: int = 1) -> Mapping[str, Array]:
    return {"image": np.full((batch, 2), value, np.float32)}


def test_one_caller_uses_one_lane_again_and_again() -> None:
    lanes = Lanes(made := Made())
    assert [float(lanes.run(inputs(value), 1)["twice"][0, 0]) for value in (1, 2, 3)] == [2, 4, 6]
    assert made.batches == [1]


def test_lanes_lent_at_one_time_are_not_the_same() -> None:
    lanes = Lanes(Made())
    with lanes.lease() as one, lanes.lease() as other:
        assert one is not other


def test_each_batch_size_has_lanes_of_its_own() -> None:
    lanes = Lanes(made := Made())
    for batch in (1, 4, 1, 4):
        assert lanes.run(inputs(1, batch), batch)["twice"].shape == (batch, 2)
    assert made.batches == [1, 4]


def test_a_lane_in_which_the_runtime_failed_is_not_used_again() -> None:
    lanes = Lanes(made := Made())
    with pytest.raises(InferenceError), lanes.lease():
        raise InferenceError("the runtime failed")
    lanes.run(inputs(1), 1)
    assert made.batches == [1, 1]


def test_a_lane_in_which_the_caller_failed_is_used_again() -> None:
    lanes = Lanes(made := Made())
    with pytest.raises(KeyError), lanes.lease():
        raise KeyError("image")
    lanes.run(inputs(1), 1)
    assert made.batches == [1]


def test_more_free_lanes_than_are_kept_are_dropped_the_oldest_first() -> None:
    lanes = Lanes(made := Made(), keep=2)
    for batch in (1, 2, 3):
        lanes.run(inputs(1, batch), batch)
    lanes.run(inputs(1, 3), 3)
    lanes.run(inputs(1, 2), 2)
    assert made.batches == [1, 2, 3]
    lanes.run(inputs(1), 1)
    assert made.batches == [1, 2, 3, 1]


def test_a_lane_that_was_added_is_lent_before_another_is_made() -> None:
    lanes = Lanes(made := Made())
    lanes.add(1, lane := Doubling(1))
    with lanes.lease() as lent:
        assert lent is lane
    assert made.batches == []


def test_closed_lanes_are_not_lent_and_those_still_lent_do_not_come_back() -> None:
    lanes = Lanes(made := Made())
    with lanes.lease():
        lanes.close()
        lanes.close()
    with pytest.raises(SessionClosedError, match="the session is closed"), lanes.lease():
        pass
    assert made.batches == [1]


def test_threads_at_one_time_never_hold_one_lane() -> None:
    lanes = Lanes(Made())
    held: set[int] = set()
    shared = []
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        for _ in range(200):
            with lanes.lease() as lane:
                if id(lane) in held:
                    shared.append(lane)
                held.add(id(lane))
                lane.run()
                held.discard(id(lane))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shared == []


def test_a_session_of_lanes_runs_leases_and_closes() -> None:
    session = LaneSession(
        (SPEC,), (TensorSpec("twice", (None, 2), "float32"),), "cpu", "float32", Lanes(Made())
    )
    assert isinstance(session, LeasingSession)
    assert session.run(inputs(3, batch=2))["twice"].tolist() == [[6, 6], [6, 6]]
    with session.lease(3) as lane:
        assert lane.inputs["image"].shape == (3, 2)
    session.close()
    with pytest.raises(SessionClosedError):
        session.run(inputs(1))


@pytest.mark.parametrize(("shape", "batch"), [((None, 2), 5), ((5, 2), 1)])
def test_the_batch_is_the_first_size_where_that_is_open_and_else_one(
    shape: tuple[int | None, ...], batch: int
) -> None:
    assert batch_of([TensorSpec("image", shape, "float32")], inputs(0, batch=5)) == batch


def test_the_cache_folder_is_made_and_one_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    assert SessionSettings().cache_folder("part") is None
    folder = SessionSettings(cache_dir=tmp_path / "a").cache_folder("b", "c")
    assert folder == tmp_path / "a" / "b" / "c"
    assert folder.is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cache_dir .*file.*: cannot be made: .*name another folder"):
        SessionSettings(cache_dir=tmp_path / "file" / "below").cache_folder()


def test_settings_refuse_no_threads_and_unknown_options() -> None:
    with pytest.raises(OptionError, match="threads: expected 1 or more, got 0"):
        SessionSettings(threads=0)
    with pytest.raises(OptionError, match="backend 'x' has no option 'turbo'; it has: fast, slow"):
        SessionSettings(options={"turbo": 1}).check_options("x", ("fast", "slow"))
    with pytest.raises(OptionError, match="it has: none"):
        SessionSettings(options={"turbo": 1}).check_options("x", ())
