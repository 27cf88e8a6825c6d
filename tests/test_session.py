"""The core's checks of every backend's session."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from edgevision.artifact import Artifact
from edgevision.backend import SessionSettings, Slot
from edgevision.errors import (
    CopyError,
    DeviceError,
    InferenceError,
    InputError,
    OptionError,
    SessionClosedError,
)
from edgevision.session import CheckedSession, open_session
from edgevision.tensors import Array, TensorSpec
from edgevision.testing import FakeBackend

IMAGE = TensorSpec("image", (None, 2, 2, 3), "float32")
MASK = TensorSpec("mask", (None, 4), "uint8")
SCORES = TensorSpec("scores", (None, 2), "float32")


@dataclass
class Plain:
    """A session without slots of its own."""

    inputs: tuple[TensorSpec, ...] = (IMAGE,)
    outputs: tuple[TensorSpec, ...] = (SCORES,)
    device: str = "cpu"
    precision: str = "float32"
    returned: tuple[str, ...] = ("scores",)
    closed: int = 0
    seen: list[Mapping[str, Array]] = field(default_factory=list)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.seen.append(inputs)
        sums = inputs["image"].sum(axis=(1, 2, 3))
        return {name: np.stack([sums, sums], axis=1) for name in self.returned}

    def close(self) -> None:
        self.closed += 1


def image(batch: int = 1) -> Array:
    return np.ones((batch, 2, 2, 3), np.float32)


def two_inputs() -> CheckedSession:
    backend = FakeBackend()
    return open_session(backend, backend.artifact([IMAGE, MASK], [SCORES]))


def mask(batch: int = 1) -> Array:
    return np.ones((batch, 4), np.uint8)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, r"inputs are named \(none\); expected 'image', 'mask'"),
        ({"image": image()}, "inputs are named 'image'; expected 'image', 'mask'"),
        (
            {"image": image(), "mask": mask(), "more": mask()},
            "named 'image', 'mask', 'more'; expected 'image', 'mask'",
        ),
        (
            {"image": image()[0], "mask": mask()},
            r"input 'image': expected \(batch, 2, 2, 3\) float32, got \(2, 2, 3\) float32",
        ),
        ({"image": image().astype("float64"), "mask": mask()}, "float32, got .* float64"),
        (
            {"image": image(), "mask": mask().astype("int8")},
            r"input 'mask': expected \(batch, 4\) uint8, got",
        ),
        ({"image": image(0), "mask": mask(0)}, r"got \(0, 2, 2, 3\) float32"),
        ({"image": image().tolist(), "mask": mask()}, "input 'image': expected a numpy array, got list"),
        ({"image": image() * np.nan, "mask": mask()}, "input 'image': contains NaN or infinity"),
        ({"image": image() * -np.inf, "mask": mask()}, "input 'image': contains NaN or infinity"),
        ({"image": image(2), "mask": mask(3)}, "inputs differ in their batch: {'image': 2, 'mask': 3}"),
    ],
)
def test_a_wrong_input_is_refused_by_name(inputs: dict[str, Array], words: str) -> None:
    with two_inputs() as session, pytest.raises(InputError, match=words):
        session.run(inputs)


def test_a_float_image_whose_sum_of_squares_overflows_is_finite_and_accepted() -> None:
    with two_inputs() as session:
        huge = np.full((1, 2, 2, 3), np.finfo(np.float32).max, np.float32)
        assert session.run({"image": huge, "mask": mask()})["scores"].shape == (1, 2)


def test_a_strided_array_reaches_the_backend_contiguous() -> None:
    plain = Plain()
    every_second = np.arange(48, dtype=np.float32).reshape(1, 2, 2, 12)[..., ::4]
    CheckedSession(plain, "plain").run({"image": every_second})
    assert plain.seen[0]["image"].flags.c_contiguous
    np.testing.assert_array_equal(plain.seen[0]["image"], every_second)


@pytest.mark.parametrize("returned", [(), ("scores", "more"), ("other",)])
def test_a_backend_that_returns_other_outputs_than_it_declares_is_an_error(returned: tuple[str, ...]) -> None:
    with pytest.raises(InferenceError, match=r"backend 'plain' returned outputs .*; expected \['scores'\]"):
        CheckedSession(Plain(returned=returned), "plain").run({"image": image()})


def test_a_session_without_slots_of_its_own_can_be_leased() -> None:
    session = CheckedSession(Plain(), "plain")
    with session.lease(batch=2) as slot:
        slot.inputs["image"][...] = image(2)
        assert slot.run()["scores"].tolist() == [[12, 12], [12, 12]]


def test_a_lease_with_another_batch_than_the_fixed_one_is_refused() -> None:
    fixed = TensorSpec("image", (4, 2, 2, 3), "float32")
    session = CheckedSession(Plain(inputs=(fixed,)), "plain")
    with pytest.raises(InputError, match="input 'image': expected a batch of 4, got 1"):
        session.lease(1)
    with session.lease(4) as slot:
        assert slot.inputs["image"].shape == (4, 2, 2, 3)


def test_leased_slots_are_wrapped_by_a_watcher_until_its_block_ends() -> None:
    session, seen = CheckedSession(Plain(), "plain"), []

    def watch(slot: Slot) -> Slot:
        seen.append(slot)
        return slot

    with session.watched(watch), session.lease() as slot:
        assert seen == [slot]
        slot.run()
    with session.lease():
        assert len(seen) == 1


def test_a_closed_session_neither_runs_nor_leases_and_can_be_closed_again() -> None:
    session = CheckedSession(Plain(), "plain")
    session.close()
    session.close()
    for call in (lambda: session.run({"image": image()}), session.lease):
        with pytest.raises(SessionClosedError, match="the session is closed"):
            call()


def test_an_artifact_of_another_format_is_refused_with_the_supported_formats() -> None:
    with pytest.raises(
        OptionError,
        match=r"backend 'fake' does not support onnx artifacts \(m.onnx\); supported formats: fake",
    ):
        open_session(FakeBackend(), Artifact("onnx", "float32", {"m.onnx": b""}))


def test_an_unknown_precision_is_refused_with_the_known_ones() -> None:
    backend = FakeBackend()
    settings = SessionSettings(precision="int4")
    with pytest.raises(OptionError, match="expected one of float32, float16, bfloat16, got 'int4'"):
        open_session(backend, backend.artifact([IMAGE], [SCORES]), settings)


def test_a_precision_that_would_not_run_is_refused_and_the_session_closed() -> None:
    class Lowering(FakeBackend):
        def open(self, artifact: Artifact, settings: SessionSettings) -> Plain:
            return plain

    plain = Plain(precision="bfloat16")
    backend = Lowering()
    with pytest.raises(
        DeviceError, match=r"would run model.fake in bfloat16 on cpu, not in float32 as requested"
    ):
        open_session(backend, backend.artifact([IMAGE], [SCORES]), SessionSettings(precision="float32"))
    assert plain.closed == 1


def test_nodes_that_fell_back_to_the_cpu_are_reported() -> None:
    plain = Plain()
    assert CheckedSession(plain, "plain").fallback_nodes == ()
    plain.fallback_nodes = ("resize",)  # type: ignore[attr-defined]
    assert CheckedSession(plain, "plain").fallback_nodes == ("resize",)


@pytest.mark.parametrize(("shape", "dynamic"), [((None, 2, 2, 3), True), ((1, 2, 2, 3), False)])
def test_an_open_batch_is_reported(shape: tuple[int | None, ...], dynamic: bool) -> None:
    assert (
        CheckedSession(Plain(inputs=(TensorSpec("image", shape, "float32"),)), "plain").dynamic_batch
        is dynamic
    )


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_session_is_not_copied_and_says_what_to_do_instead(copied: Callable[[object], object]) -> None:
    with (
        two_inputs() as session,
        pytest.raises(CopyError, match="pass the model's path and call"),
    ):
        copied(session)


def test_closing_releases_the_slots_without_the_garbage_collector() -> None:
    backend = FakeBackend()
    session = open_session(backend, backend.artifact([IMAGE], [SCORES]))
    with session.lease() as slot:
        slot.run()
    kept = weakref.ref(slot)
    del slot
    gc.disable()
    try:
        session.close()
        assert kept() is None
    finally:
        gc.enable()
