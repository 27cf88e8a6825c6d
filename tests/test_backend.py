"""SlotPool: threads that share a session never share an interpreter or request."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from edgevision.backend import LeasingSession, SessionSettings
from edgevision.errors import InferenceError, OptionError, OutputError, SessionClosedError
from edgevision.slots import PooledSession, SlotPool, batch_of
from edgevision.tensors import Array, TensorSpec

SPEC = TensorSpec("image", (None, 2), "float32")


class Doubling:
    """A slot that doubles its input."""

    def __init__(self, batch: int) -> None:
        self.inputs = {"image": np.zeros((batch, 2), np.float32)}

    def run(self) -> dict[str, Array]:
        return {"twice": self.inputs["image"] * 2}


class Made:
    """Counts the slots that are made."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, batch: int) -> Doubling:
        self.batches.append(batch)
        return Doubling(batch)


def inputs(value: float, batch: int = 1) -> Mapping[str, Array]:
    return {"image": np.full((batch, 2), value, np.float32)}


def test_one_caller_uses_one_slot_again_and_again() -> None:
    slots = SlotPool(made := Made())
    assert [float(slots.run(inputs(value), 1)["twice"][0, 0]) for value in (1, 2, 3)] == [2, 4, 6]
    assert made.batches == [1]


def test_slots_lent_at_one_time_are_not_the_same() -> None:
    slots = SlotPool(Made())
    with slots.lease() as one, slots.lease() as other:
        assert one is not other


def test_each_batch_size_has_slots_of_its_own() -> None:
    slots = SlotPool(made := Made())
    for batch in (1, 4, 1, 4):
        assert slots.run(inputs(1, batch), batch)["twice"].shape == (batch, 2)
    assert made.batches == [1, 4]


def test_a_slot_in_which_the_runtime_failed_is_not_used_again() -> None:
    slots = SlotPool(made := Made())
    with pytest.raises(InferenceError), slots.lease():
        raise InferenceError("the runtime failed")
    slots.run(inputs(1), 1)
    assert made.batches == [1, 1]


def test_a_slot_in_which_the_caller_failed_is_used_again() -> None:
    slots = SlotPool(made := Made())
    with pytest.raises(KeyError), slots.lease():
        raise KeyError("image")
    slots.run(inputs(1), 1)
    assert made.batches == [1]


def test_more_free_slots_than_are_kept_are_dropped_the_oldest_first() -> None:
    slots = SlotPool(made := Made(), keep=2)
    for batch in (1, 2, 3):
        slots.run(inputs(1, batch), batch)
    slots.run(inputs(1, 3), 3)
    slots.run(inputs(1, 2), 2)
    assert made.batches == [1, 2, 3]
    slots.run(inputs(1), 1)
    assert made.batches == [1, 2, 3, 1]


def test_a_slot_that_was_added_is_lent_before_another_is_made() -> None:
    slots = SlotPool(made := Made())
    slots.add(1, slot := Doubling(1))
    with slots.lease() as lent:
        assert lent is slot
    assert made.batches == []


def test_closed_slots_are_not_lent_and_those_still_lent_do_not_come_back() -> None:
    slots = SlotPool(made := Made())
    with slots.lease():
        slots.close()
        slots.close()
    with pytest.raises(SessionClosedError, match="the session is closed"), slots.lease():
        pass
    assert made.batches == [1]


def test_threads_at_one_time_never_hold_one_slot() -> None:
    slots = SlotPool(Made())
    held: set[int] = set()
    shared = []
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        for _ in range(200):
            with slots.lease() as slot:
                if id(slot) in held:
                    shared.append(slot)
                held.add(id(slot))
                slot.run()
                held.discard(id(slot))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shared == []


def test_a_session_of_slots_runs_leases_and_closes() -> None:
    session = PooledSession(
        (SPEC,), (TensorSpec("twice", (None, 2), "float32"),), "cpu", "float32", SlotPool(Made())
    )
    assert isinstance(session, LeasingSession)
    assert session.run(inputs(3, batch=2))["twice"].tolist() == [[6, 6], [6, 6]]
    with session.lease(3) as slot:
        assert slot.inputs["image"].shape == (3, 2)
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
