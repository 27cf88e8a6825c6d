"""The contract for backends: a sound backend passes, and each way of breaking it is named."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgevision.artifact import TFLITE, Artifact
from edgevision.backend import ArtifactDescription, Companion, Session, SessionSettings
from edgevision.errors import ArtifactError, DeviceError, InferenceError, OptionError
from edgevision.session import open_session
from edgevision.slots import PooledSession
from edgevision.tensors import Array, Quantization, TensorSpec
from edgevision.testing import FakeBackend, check_backend

IMAGE = TensorSpec("image", (None, 8, 8, 3), "float32")
SCORES = TensorSpec("scores", (None, 5), "float32")
ARTIFACT = FakeBackend.artifact([IMAGE], [SCORES])


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ([IMAGE], [SCORES]),
        ([IMAGE], [SCORES, TensorSpec("features", (None, 2, 2), "float32")]),
        ([IMAGE, TensorSpec("mask", (None, 8), "uint8")], [SCORES]),
        ([replace(IMAGE, shape=(1, 8, 8, 3))], [replace(SCORES, shape=(1, 5))]),
        ([replace(IMAGE, dtype="int8", quantization=Quantization(0.5, 3))], [replace(SCORES, dtype="uint8")]),
        ([replace(IMAGE, dtype="bool")], [SCORES]),
    ],
    ids=["one", "two outputs", "two inputs", "fixed batch", "integers", "bool"],
)
def test_the_fake_backend_keeps_the_contract(inputs: list[TensorSpec], outputs: list[TensorSpec]) -> None:
    check_backend(FakeBackend(), FakeBackend.artifact(inputs, outputs))


def test_the_callers_own_inputs_are_used() -> None:
    seen = []

    def answers(inputs: Mapping[str, Array]) -> dict[str, Any]:
        seen.append(inputs["image"].copy())
        return {}

    ramp = np.linspace(100, 200, 192, dtype=np.float32).reshape(1, 8, 8, 3) ** 2
    check_backend(FakeBackend(answers), ARTIFACT, inputs={"image": ramp})
    assert all(image.min() > 1000 for image in seen)


class Broken(FakeBackend):
    """A fake whose sessions go through a function."""

    def __init__(self, spoil: Callable[[PooledSession], Any]) -> None:
        super().__init__()
        self._spoil = spoil

    def open(self, artifact: Artifact, settings: SessionSettings) -> Session:
        session = super().open(artifact, settings)
        assert isinstance(session, PooledSession)
        return self._spoil(session)


class Wrapped:
    """A session whose run is another function; it lends no memory."""

    def __init__(
        self, session: PooledSession, run: Callable[[Mapping[str, Array]], dict[str, Array]]
    ) -> None:
        self.inputs, self.outputs = session.inputs, session.outputs
        self.device, self.precision = session.device, session.precision
        self.run, self.close = run, session.close


def one_buffer_for_all(session: PooledSession) -> Wrapped:
    kept: dict[int, Array] = {}

    def run(inputs: Mapping[str, Array]) -> dict[str, Array]:
        scores = session.run(inputs)["scores"]
        buffer = kept.setdefault(len(scores), scores)
        buffer[...] = scores
        return {"scores": buffer}

    return Wrapped(session, run)


def one_interpreter_for_all_threads(session: PooledSession) -> Wrapped:
    shared = np.zeros((1, 8, 8, 3), np.float32)

    def run(inputs: Mapping[str, Array]) -> dict[str, Array]:
        if len(inputs["image"]) == 1:
            shared[...] = inputs["image"]
            time.sleep(0.005)  # another thread writes over it
            return session.run({"image": shared})
        return session.run(inputs)

    return Wrapped(session, run)


def yesterdays_answer(session: PooledSession) -> Wrapped:
    first: list[dict[str, Array]] = []

    def run(inputs: Mapping[str, Array]) -> dict[str, Array]:
        first.append(session.run(inputs))
        return {name: array.copy() for name, array in first[0].items()}

    return Wrapped(session, run)


def scribbling(session: PooledSession) -> Wrapped:
    def run(inputs: Mapping[str, Array]) -> dict[str, Array]:
        answer = session.run(inputs)
        inputs["image"][...] = 0
        return answer

    return Wrapped(session, run)


def read_only(session: PooledSession) -> Wrapped:
    def run(inputs: Mapping[str, Array]) -> dict[str, Array]:
        answer = session.run(inputs)
        answer["scores"].flags.writeable = False
        return answer

    return Wrapped(session, run)


def batch_mixed_up(session: PooledSession) -> Wrapped:
    return Wrapped(session, lambda inputs: {"scores": session.run(inputs)["scores"][::-1].copy()})


class SharedLease:
    """A session that lends one slot to everybody."""

    def __init__(self, session: PooledSession) -> None:
        self.__dict__.update(Wrapped(session, session.run).__dict__)
        with session.lease() as slot:
            self._slot = slot

    @contextmanager
    def lease(self, batch: int = 1) -> Any:
        yield self._slot


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (one_buffer_for_all, "a second run changed the outputs of the first"),
        (one_interpreter_for_all_threads, "threads that share a session got a wrong answer"),
        (yesterdays_answer, "two inputs got the same answer"),
        (scribbling, "run changed the arrays of the caller's inputs"),
        (read_only, "an output cannot be written to"),
        (batch_mixed_up, "a batch of 3 differs from 3 calls"),
        (SharedLease, "two leases at the same time share memory"),
        (lambda session: replace(session, device=""), "on no stated device, not on cpu as requested"),
        (lambda session: replace(session, precision=""), "does not say in which precision"),
        (lambda session: replace(session, inputs=[IMAGE]), r"inputs is \[.*, expected a tuple"),
        (
            lambda session: replace(session, outputs=(replace(SCORES, shape=(None, 4)),)),
            r"run returned \(1, 5\) float32",
        ),
        (lambda session: replace(session, outputs=(replace(SCORES, dtype="int8"),)), "the spec says .* int8"),
    ],
)
def test_a_session_that_breaks_the_contract_is_named(
    spoil: Callable[[PooledSession], Any], message: str
) -> None:
    with pytest.raises(AssertionError, match=f"backend 'fake': .*{message}"):
        check_backend(Broken(spoil), ARTIFACT)


class TakesAnyArtifact(FakeBackend):
    def open(self, artifact: Artifact, settings: SessionSettings) -> Session:
        try:
            return super().open(artifact, settings)
        except ArtifactError:
            return super().open(ARTIFACT, settings)


class LetsForeignErrorsThrough(FakeBackend):
    def open(self, artifact: Artifact, settings: SessionSettings) -> Session:
        try:
            return super().open(artifact, settings)
        except ArtifactError as error:
            raise RuntimeError("core dumped") from error


class DescribesNothing(FakeBackend):
    def describe(self, artifact: Artifact) -> Any:
        return None


class CannotDescribeDamage(FakeBackend):
    def describe(self, artifact: Artifact) -> ArtifactDescription:
        return ArtifactDescription(labels=(chr(artifact.content[0]),))


class NamesFilesElsewhere(FakeBackend):
    def companions(self, artifact: Artifact) -> list[Companion]:
        return [Companion("../weights.bin")]


class TakesAnyDevice(FakeBackend):
    def open(self, artifact: Artifact, settings: SessionSettings) -> Session:
        return super().open(artifact, replace(settings, device=None))


class TakesAnyOption(FakeBackend):
    def open(self, artifact: Artifact, settings: SessionSettings) -> Session:
        return super().open(artifact, replace(settings, options={}))


class LoadsByName(FakeBackend):
    def open(self, artifact: Artifact, settings: SessionSettings) -> Session:
        if artifact.name != "model.fake":
            raise ArtifactError(f"{artifact.name}: no such file")
        return super().open(artifact, settings)


class HasNoDevice(FakeBackend):
    def devices(self) -> list[Any]:
        return []


class HasFormatsInAList(FakeBackend):
    formats = ["fake"]  # type: ignore[assignment]  # noqa: RUF012


class DeclaresAnothersFormat(FakeBackend):
    file_formats = (TFLITE,)


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        (DeclaresAnothersFormat, r"file_formats holds FileFormat\(name='tflite'"),
        (
            TakesAnyArtifact,
            "an artifact whose model.fake is cut in half: expected ArtifactError, and nothing was",
        ),
        (
            LetsForeignErrorsThrough,
            ".* is cut in half: expected ArtifactError, got RuntimeError: core dumped",
        ),
        (DescribesNothing, "describe returned None"),
        (CannotDescribeDamage, "raised IndexError, which is none of EdgeVision's errors"),
        (NamesFilesElsewhere, r"companions returned '\.\./weights\.bin'"),
        (TakesAnyDevice, "device 'no-such-device': expected DeviceError, and nothing was raised"),
        (TakesAnyOption, "option 'no-such-option': expected OptionError, and nothing was raised"),
        (HasNoDevice, r"devices\(\) returned none"),
        (HasFormatsInAList, r"formats is \['fake'\], expected a tuple"),
    ],
)
def test_a_backend_that_breaks_the_contract_is_named(backend: type[FakeBackend], message: str) -> None:
    with pytest.raises(AssertionError, match=f"backend 'fake': {message}"):
        check_backend(backend(), ARTIFACT)


def test_a_backend_that_loads_from_a_path_does_not_pass() -> None:
    with pytest.raises(AssertionError, match=r"raised ArtifactError: absent-model.*loaded from its bytes"):
        check_backend(LoadsByName(), ARTIFACT)


def test_an_artifact_of_another_format_does_not_pass() -> None:
    with pytest.raises(AssertionError, match="does not load format 'onnx'"):
        check_backend(FakeBackend(), Artifact("onnx", "float32", {"a.onnx": b""}))


def test_the_fake_returns_its_answers_which_can_be_replaced_later() -> None:
    backend = FakeBackend(answers={"scores": [0, 0, 1, 0, 0]})
    with open_session(backend, ARTIFACT) as session:
        image = {"image": np.zeros((2, 8, 8, 3), np.float32)}
        assert session.run(image)["scores"].tolist() == [[0, 0, 1, 0, 0]] * 2
        backend.answers = lambda inputs: {"scores": inputs["image"].sum() + 7}
        assert session.run(image)["scores"].tolist() == [[7] * 5] * 2


def test_the_fake_raises_the_error_of_its_answers_and_recovers() -> None:
    def fail(inputs: Mapping[str, Array]) -> dict[str, Any]:
        raise InferenceError("made up")

    backend = FakeBackend(answers=fail)
    with open_session(backend, ARTIFACT) as session:
        image = {"image": np.zeros((1, 8, 8, 3), np.float32)}
        with pytest.raises(InferenceError, match="made up"):
            session.run(image)
        backend.answers = {}
        assert session.run(image)["scores"].tolist() == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"inputs": [{}], "outputs": []}', b"\xff\xfe"]
)
def test_the_fake_refuses_artifacts_that_are_not_its_own(content: bytes) -> None:
    with pytest.raises(ArtifactError, match=r"m.fake: not an artifact of the fake backend"):
        FakeBackend().open(Artifact("fake", "float32", {"m.fake": content}), SessionSettings())


def test_the_fake_has_one_device_and_no_options() -> None:
    with pytest.raises(DeviceError, match="it has: cpu"):
        FakeBackend().open(ARTIFACT, SessionSettings(device="gpu"))
    with pytest.raises(OptionError, match="it has: none"):
        FakeBackend().open(ARTIFACT, SessionSettings(options={"a": 1}))


def test_the_examples_in_the_docstrings_run() -> None:
    import doctest

    from edgevision.testing import fake

    names = {**vars(fake), "np": np, "TensorSpec": TensorSpec, "SessionSettings": SessionSettings}
    assert doctest.testmod(fake, extraglobs=names).failed == 0
