"""Slots, the pool that leases them, and what else backends are built from."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from edgevision.artifact import Artifact
from edgevision.backend import LeasingSession, SessionSettings
from edgevision.errors import (
    ArtifactError,
    DeviceError,
    InferenceError,
    OptionError,
    SessionClosedError,
)
from edgevision.slots import (
    FunctionBackend,
    FunctionSession,
    ModelCache,
    PooledSession,
    SlotPool,
    batch_of,
)
from edgevision.tensors import Array, TensorSpec
from edgevision.testing import check_backend

SPEC = TensorSpec("image", (None, 2), "float32")


class Doubling:
    """A slot that doubles its input."""

    def __init__(self, batch: int) -> None:
        self.inputs = {"image": np.zeros((batch, 2), np.float32)}

    def run(self) -> dict[str, Array]:
        return {"twice": self.inputs["image"] * 2}


class Factory:
    """Creates slots and counts them."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, batch: int) -> Doubling:
        self.batches.append(batch)
        return Doubling(batch)


def inputs(value: float, batch: int = 1) -> Mapping[str, Array]:
    return {"image": np.full((batch, 2), value, np.float32)}


def test_one_caller_uses_one_slot_again_and_again() -> None:
    slots = SlotPool(factory := Factory())
    assert [float(slots.run(inputs(value), 1)["twice"][0, 0]) for value in (1, 2, 3)] == [2, 4, 6]
    assert factory.batches == [1]


def test_slots_leased_at_the_same_time_differ() -> None:
    slots = SlotPool(Factory())
    with slots.lease() as one, slots.lease() as other:
        assert one is not other


def test_each_batch_size_has_slots_of_its_own() -> None:
    slots = SlotPool(factory := Factory())
    for batch in (1, 4, 1, 4):
        assert slots.run(inputs(1, batch), batch)["twice"].shape == (batch, 2)
    assert factory.batches == [1, 4]


def test_a_slot_in_which_the_runtime_failed_is_not_used_again() -> None:
    slots = SlotPool(factory := Factory())
    with pytest.raises(InferenceError), slots.lease():
        raise InferenceError("the runtime failed")
    slots.run(inputs(1), 1)
    assert factory.batches == [1, 1]


def test_a_slot_in_which_the_caller_failed_is_used_again() -> None:
    slots = SlotPool(factory := Factory())
    with pytest.raises(KeyError), slots.lease():
        raise KeyError("image")
    slots.run(inputs(1), 1)
    assert factory.batches == [1]


def test_surplus_free_slots_are_dropped_the_least_recently_used_first() -> None:
    slots = SlotPool(factory := Factory(), keep=2)
    for batch in (1, 2, 3):
        slots.run(inputs(1, batch), batch)
    slots.run(inputs(1, 3), 3)
    slots.run(inputs(1, 2), 2)
    assert factory.batches == [1, 2, 3]
    slots.run(inputs(1), 1)
    assert factory.batches == [1, 2, 3, 1]


def test_an_added_slot_is_leased_before_another_is_created() -> None:
    slots = SlotPool(factory := Factory())
    slots.add(1, slot := Doubling(1))
    with slots.lease() as leased:
        assert leased is slot
    assert factory.batches == []


def test_after_close_no_slot_is_leased_and_none_is_taken_back() -> None:
    slots = SlotPool(factory := Factory())
    with slots.lease():
        slots.close()
        slots.close()
    with pytest.raises(SessionClosedError, match="the session is closed"), slots.lease():
        pass
    assert factory.batches == [1]


def test_threads_never_hold_the_same_slot_at_the_same_time() -> None:
    slots = SlotPool(Factory())
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


def test_a_pooled_session_runs_leases_and_closes() -> None:
    session = PooledSession(
        (SPEC,), (TensorSpec("twice", (None, 2), "float32"),), "cpu", "float32", SlotPool(Factory())
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


def test_a_model_is_compiled_once_per_batch_size_and_the_least_recently_used_is_dropped() -> None:
    compiled: list[int] = []

    def compile_model(batch: int) -> str:
        compiled.append(batch)
        return f"for {batch}"

    models: ModelCache[int, str] = ModelCache(keep=2)
    assert [models.get(batch, compile_model) for batch in (1, 2, 1)] == ["for 1", "for 2", "for 1"]
    models.get(3, compile_model)  # drops the model for 2
    models.get(1, compile_model)
    assert compiled == [1, 2, 3]
    models.get(2, compile_model)
    assert compiled == [1, 2, 3, 2]


def test_threads_that_ask_for_the_same_model_at_once_get_the_same_object() -> None:
    def compile_model(batch: int) -> object:
        time.sleep(0.02)
        return object()

    models: ModelCache[int, object] = ModelCache()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda batch: models.get(batch, compile_model), [1] * 8))
    assert all(answer is answers[0] for answer in answers)


def test_a_model_that_cannot_be_compiled_is_tried_again_at_the_next_call() -> None:
    attempts = iter([InferenceError("out of memory"), None])

    def compile_model(batch: int) -> str:
        error = next(attempts)
        if error is not None:
            raise error
        return "compiled"

    models: ModelCache[int, str] = ModelCache()
    with pytest.raises(InferenceError, match="out of memory"):
        models.get(1, compile_model)
    assert models.get(1, compile_model) == "compiled"


# --- a backend that is a function ---------------------------------------------------------------

TWICE = Artifact("twice", "float32", {"a.twice": b"2"})


def twice(artifact: Artifact) -> FunctionSession:
    spec = TensorSpec("image", (None, int(artifact.content)), "float32")
    return FunctionSession([spec], lambda inputs: {"twice": inputs["image"] * 2})


def test_a_function_is_a_backend_that_keeps_the_contract() -> None:
    backend = FunctionBackend("twice", twice)
    assert (backend.name, backend.formats, backend.options) == ("twice", ("twice",), ())
    check_backend(backend, TWICE)


def test_the_outputs_of_a_function_are_inferred() -> None:
    def function(arrays: Mapping[str, Array]) -> dict[str, Array]:
        image = arrays["image"]
        return {"twice": image * 2, "shape": np.array(image.shape[1:]), "first": image[:, 0] > 0}

    session = FunctionSession([SPEC], function)
    assert session.outputs == (
        TensorSpec("twice", (None, 2), "float32"),
        TensorSpec("shape", (1,), "int64"),
        TensorSpec("first", (None,), "bool"),
    )
    fixed = FunctionSession([TensorSpec("image", (3, 2), "float32")], function)
    assert [spec.shape for spec in fixed.outputs] == [(3, 2), (1,), (3,)]


def test_outputs_that_are_given_are_not_inferred() -> None:
    def fail(arrays: Mapping[str, Array]) -> dict[str, Array]:
        raise AssertionError("called")

    output = TensorSpec("twice", (None, 2), "float32")
    assert FunctionSession([SPEC], fail, [output]).outputs == (output,)


def test_outputs_of_a_function_do_not_share_memory_with_its_inputs() -> None:
    session = FunctionSession([SPEC], lambda arrays: {"same": arrays["image"]})
    image = np.zeros((1, 2), np.float32)
    session.run({"image": image})["same"][...] = 7
    assert image.max() == 0


def test_a_function_that_fails_is_an_inference_error_and_errors_of_ours_pass() -> None:
    def function(arrays: Mapping[str, Array]) -> dict[str, Array]:
        if arrays["image"].max() > 1:
            raise DeviceError("too hot")
        return {"root": np.array([1 / (1 - float(arrays["image"].max()))])}

    session = FunctionSession([SPEC], function)
    with pytest.raises(InferenceError, match="the function failed: ZeroDivisionError: "):
        session.run(inputs(1))
    with pytest.raises(DeviceError, match="too hot"):
        session.run(inputs(2))


def test_an_artifact_that_a_function_cannot_load_is_refused_with_the_reason() -> None:
    backend = FunctionBackend("twice", twice, formats=["text"])
    artifact = Artifact("text", "float32", {"a.txt": b"two"})
    with pytest.raises(ArtifactError, match=r"a.txt: backend 'twice' cannot load it: ValueError: invalid"):
        backend.open(artifact, SessionSettings())
    with pytest.raises(DeviceError, match="it has: cpu"):
        backend.open(artifact, SessionSettings(device="gpu"))
    with pytest.raises(OptionError, match="it has: none"):
        backend.open(artifact, SessionSettings(options={"turbo": 1}))
