"""The contract of a backend, as one function for its author's tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass

import numpy as np

from edgevision.artifact import Artifact, FileFormat
from edgevision.backend import (
    ArtifactDescription,
    Backend,
    CompanionBackend,
    DescribingBackend,
    DeviceInfo,
    SessionSettings,
)
from edgevision.errors import (
    ArtifactError,
    DeviceError,
    EdgeVisionError,
    InferenceError,
    InputError,
    OptionError,
    SessionClosedError,
)
from edgevision.session import CheckedSession, open_session
from edgevision.tensors import Array, TensorSpec, check_inputs
from edgevision.testing.contract import check_rules, expect, expect_raises

_THREADS = 8
_CALLS_PER_THREAD = 5


def check_backend(
    backend: Backend,
    artifact: Artifact,
    inputs: Mapping[str, Array] | None = None,
    devices: Sequence[str] | None = None,
) -> None:
    """Check that `backend` keeps the contract of `edgevision.backend`, by running `artifact`.

    Args:
        backend: the backend under test.
        artifact: a small valid artifact of one of its formats. One with an open batch checks more
            than one without.
        inputs: name -> array, one valid call whose answer depends on the values; ``None`` draws
            random ones, floats from 0 to 1 and integers over their whole range.
        devices: names of the devices to run on; ``None`` is the backend's default alone.

    Raises:
        AssertionError: states the broken rule, and how it broke.
        MissingRuntimeError: the runtime is not installed.
    """
    offered = _check_members(backend, artifact)
    before = artifact.sha256
    for device in devices or [offered[0].name]:
        case = _Case(backend, artifact, device, inputs)
        check_rules(_RULES, case, case.subject)
    expect(artifact.sha256 == before, _subject(backend), "changed the bytes of the artifact")


@dataclass(frozen=True)
class _Case:
    """A backend under test, with an artifact, on a device."""

    backend: Backend
    artifact: Artifact
    device: str
    example: Mapping[str, Array] | None

    @property
    def subject(self) -> str:
        return _subject(self.backend)

    def open(self, artifact: Artifact | None = None) -> CheckedSession:
        return open_session(self.backend, artifact or self.artifact, SessionSettings(device=self.device))

    def inputs(self, session: CheckedSession, seed: int = 0, batch: int = 1) -> dict[str, Array]:
        """A valid call; a different one for each seed."""
        return {spec.name: self._array(spec, seed, batch) for spec in session.inputs}

    def expect(self, holds: bool, message: str) -> None:
        expect(holds, self.subject, f"{message} (artifact {self.artifact.name}, device {self.device})")

    def expect_raises(self, kind: type[EdgeVisionError], action: str) -> AbstractContextManager[None]:
        return expect_raises(kind, self.subject, action)

    def _array(self, spec: TensorSpec, seed: int, batch: int) -> Array:
        shape = spec.with_batch(batch)
        if self.example is not None:
            # Shifted and darkened: an average over the image would not notice the shift alone.
            rolled = np.roll(self.example[spec.name].reshape(-1), 7 * seed) * (1 - seed / 16)
            return np.resize(rolled, shape).astype(spec.dtype)
        random = np.random.default_rng([seed, batch])
        if np.dtype(spec.dtype).kind == "f":
            return random.random(shape).astype(spec.dtype)
        if spec.dtype == "bool":
            return random.random(shape) < 0.5
        limits = np.iinfo(spec.dtype)
        return random.integers(limits.min, limits.max, shape, dtype=spec.dtype, endpoint=True)


def _check_members(backend: Backend, artifact: Artifact) -> Sequence[DeviceInfo]:
    subject = _subject(backend)
    for member, kind in (("name", str), ("formats", tuple), ("options", tuple)):
        value = getattr(backend, member, None)
        expect(isinstance(value, kind), subject, f"{member} is {value!r}, expected a {kind.__name__}")
    for form in getattr(backend, "file_formats", ()):
        declared = isinstance(form, FileFormat) and form.name in backend.formats
        expect(declared, subject, f"file_formats holds {form!r}, expected a FileFormat of one of its formats")
    expect(artifact.format in backend.formats, subject, f"does not load format '{artifact.format}'")
    version = backend.version()
    expect(isinstance(version, str) and bool(version), subject, f"version() returned {version!r}")
    devices = backend.devices()
    names = [device.name for device in devices]
    expect(bool(names), subject, "devices() returned none; expected one, or DeviceError with the reason")
    expect(len(set(names)) == len(names), subject, f"devices() returned a name twice: {names}")
    return devices


def _check_description(case: _Case) -> None:
    """A session describes its tensors, its device and its precision."""
    with case.open() as session:
        for kind, specs in (("inputs", session.inputs), ("outputs", session.outputs)):
            case.expect(isinstance(specs, tuple) and len(specs) > 0, f"{kind} is {specs!r}, expected a tuple")
            names = [spec.name for spec in specs]
            case.expect(len(set(names)) == len(names), f"a name occurs twice among the {kind}: {names}")
        for spec in session.inputs:
            case.expect(None not in spec.shape[1:], f"input '{spec.name}': more than its batch size is open")
        case.expect(bool(session.device), "the session does not say which device it runs on")
        case.expect(bool(session.precision), "the session does not say in which precision it computes")


def _check_bytes(case: _Case) -> None:
    """An artifact is loaded from its bytes: no file of its name need exist."""
    files = {f"absent-{name}": content for name, content in case.artifact.files.items()}
    with case.open(Artifact(case.artifact.format, case.artifact.precision, files)) as session:
        session.run(case.inputs(session))


def _check_outputs(case: _Case) -> None:
    """Every output has the shape and dtype of its spec."""
    with case.open() as session:
        outputs = session.run(case.inputs(session))
        for spec in session.outputs:
            array = outputs[spec.name]
            fits = len(array.shape) == len(spec.shape) and all(
                wanted in (None, got) for wanted, got in zip(spec.shape, array.shape, strict=True)
            )
            got = f"{array.shape} {array.dtype.name}"
            message = f"output '{spec.name}': the spec says {spec.describe()}, run returned {got}"
            case.expect(fits and array.dtype.name == spec.dtype, message)


def _check_ownership(case: _Case) -> None:
    """The caller owns the outputs: a later call does not change them, nor do they change a later call."""
    with case.open() as session:
        inputs = case.inputs(session, seed=1)
        kept = {name: array.copy() for name, array in inputs.items()}
        first = session.run(inputs)
        case.expect(_same(inputs, kept), "run changed the arrays of the caller's inputs")
        answer = {name: array.copy() for name, array in first.items()}
        second = session.run(case.inputs(session, seed=2))
        case.expect(_same(first, answer), "a second run changed the outputs of the first")
        case.expect(
            not _close(first, second),
            "two inputs got the same answer; pass check_backend `inputs` on which the answer depends",
        )
        for array in first.values():
            case.expect(array.flags.writeable, "an output cannot be written to; the caller owns it")
            array[...] = 0
        case.expect(_close(session.run(inputs), answer), "writing to an output changed a later answer")


def _check_threads(case: _Case) -> None:
    """Each of the threads that share a session gets the answers to its own inputs."""
    with case.open() as session:
        inputs = [case.inputs(session, seed) for seed in range(_THREADS)]
        alone = [session.run(one) for one in inputs]

        def work(position: int) -> bool:
            answers = [session.run(inputs[position]) for _ in range(_CALLS_PER_THREAD)]
            return all(_close(answer, alone[position]) for answer in answers)

        with ThreadPoolExecutor(_THREADS) as pool:
            wrong = list(pool.map(work, range(_THREADS))).count(False)
        case.expect(wrong == 0, f"{wrong} of {_THREADS} threads that share a session got a wrong answer")


def _check_refused_inputs(case: _Case) -> None:
    """An invalid input raises the core's error, and the next call is not affected."""
    with case.open() as session:
        good = case.inputs(session)
        answer = session.run(good)
        for defect, bad in _wrong_inputs(session.inputs, good).items():
            try:
                check_inputs(session.inputs, bad)
                expected = ""
            except InputError as error:
                expected = str(error)
            action = f"an input with {defect}"
            with case.expect_raises(InputError, action):
                try:
                    session.run(bad)
                except InputError as error:
                    case.expect(str(error) == expected, f"{action}: said '{error}', expected '{expected}'")
                    raise
        case.expect(_close(session.run(good), answer), "a refused call changed the next answer")


def _check_closed(case: _Case) -> None:
    """A closed session raises `SessionClosedError`."""
    session = case.open()
    inputs = case.inputs(session)
    session.run(inputs)
    session.close()
    session.close()
    with case.expect_raises(SessionClosedError, "run on a closed session"):
        session.run(inputs)
    with case.expect_raises(SessionClosedError, "lease on a closed session"), session.lease():
        pass


def _check_damaged(case: _Case) -> None:
    """A damaged artifact is refused, whichever of its files is damaged."""
    for name in case.artifact.files:
        for state, damage in _DAMAGES.items():
            files = {**case.artifact.files, name: damage(case.artifact.files[name])}
            damaged = Artifact(case.artifact.format, case.artifact.precision, files)
            # Not by `open_session`, which turns whatever a backend raises into such an error.
            with case.expect_raises(ArtifactError, f"an artifact whose {name} is {state}"):
                case.backend.open(damaged, SessionSettings(device=case.device)).close()


def _check_metadata(case: _Case) -> None:
    """`describe` and `companions` raise `ArtifactError` at most, and only for a damaged one."""
    backend, artifact = case.backend, case.artifact
    first, *others = artifact.files
    for state, damage in {"whole": lambda content: content, **_DAMAGES}.items():
        files = {first: damage(artifact.files[first]), **{name: artifact.files[name] for name in others}}
        damaged = Artifact(artifact.format, artifact.precision, files)
        allowed = () if state == "whole" else (ArtifactError,)
        if isinstance(backend, DescribingBackend) and artifact.format in backend.formats[:1]:
            with suppress(*allowed):
                found = backend.describe(damaged)
                case.expect(isinstance(found, ArtifactDescription), f"describe returned {found!r:.80}")
        if isinstance(backend, CompanionBackend):
            with suppress(*allowed):
                for one in backend.companions(damaged):
                    parts = one.name.split("/")
                    inside = one.name != "" and "" not in parts and ".." not in parts
                    case.expect(inside, f"companions returned '{one.name}', expected a name below the folder")


_DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut in half": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
}


def _check_settings(case: _Case) -> None:
    """An unknown device or option, or an unavailable precision, is refused by `open`."""
    open_ = case.backend.open
    with case.expect_raises(DeviceError, "device 'no-such-device'"):
        open_(case.artifact, SessionSettings(device="no-such-device"))
    with case.expect_raises(OptionError, "option 'no-such-option'"):
        open_(case.artifact, SessionSettings(device=case.device, options={"no-such-option": 1}))
    for precision in ("float32", "float16", "bfloat16"):
        try:
            settings = SessionSettings(device=case.device, precision=precision)
            with open_session(case.backend, case.artifact, settings) as session:
                case.expect(
                    session.precision == precision, f"{precision} was requested, {session.precision} runs"
                )
        except DeviceError:
            continue


def _check_batch(case: _Case) -> None:
    """A batch gets the same rows as single calls."""
    with case.open() as session:
        if not session.dynamic_batch:
            return
        rows = [case.inputs(session, seed) for seed in range(3)]
        together = session.run({name: np.concatenate([row[name] for row in rows]) for name in rows[0]})
        alone = [session.run(row) for row in rows]
        for spec in session.outputs:
            if spec.dynamic_batch:
                joined = np.concatenate([answer[spec.name] for answer in alone])
                same = _close({"": together[spec.name]}, {"": joined})
                case.expect(same, f"output '{spec.name}': a batch of 3 differs from 3 calls")
        case.expect(_close(session.run(rows[0]), alone[0]), "another batch size changed a later answer")


def _check_lease(case: _Case) -> None:
    """A leased slot gives the same answer as `run`, also after a failure in the slot."""
    with case.open() as session:
        for seed in range(2):
            inputs = case.inputs(session, seed)
            case.expect(_close(_run_leased(session, inputs), session.run(inputs)), "a lease differs from run")
        answer = _run_leased(session, inputs)
        for failure in (InferenceError("raised by check_backend"), ValueError("raised by check_backend")):
            try:
                with session.lease():
                    raise failure
            except (InferenceError, ValueError) as error:
                case.expect(error is failure, f"a lease turned a {type(failure).__name__} into {error!r}")
            case.expect(
                _close(_run_leased(session, inputs), answer), "after a failure the next answer is wrong"
            )
        with session.lease() as one, session.lease() as other:
            shared = any(np.shares_memory(one.inputs[name], other.inputs[name]) for name in one.inputs)
            case.expect(not shared, "two leases at the same time share memory")


_RULES: tuple[Callable[[_Case], None], ...] = (
    _check_description,
    _check_bytes,
    _check_outputs,
    _check_ownership,
    _check_threads,
    _check_refused_inputs,
    _check_closed,
    _check_damaged,
    _check_metadata,
    _check_settings,
    _check_batch,
    _check_lease,
)


def _run_leased(session: CheckedSession, inputs: Mapping[str, Array]) -> dict[str, Array]:
    with session.lease() as slot:
        for name, array in inputs.items():
            slot.inputs[name][...] = array
        return slot.run()


def _wrong_inputs(specs: Sequence[TensorSpec], good: Mapping[str, Array]) -> dict[str, dict[str, Array]]:
    spec = specs[0]
    array = good[spec.name]
    wrong = {
        "another name": {**{n: a for n, a in good.items() if n != spec.name}, "no-such-input": array},
        "no name at all": {},
        "one dimension too many": {**good, spec.name: array[np.newaxis]},
        "another dtype": {**good, spec.name: array.astype("float64" if spec.dtype != "float64" else "int8")},
    }
    if array.ndim > 1:
        wrong["another size"] = {**good, spec.name: np.concatenate([array, array], axis=-1)}
        wrong["an empty batch"] = {**good, spec.name: array[:0]}
    if array.dtype.kind == "f":
        for defect, value in (("NaN", np.nan), ("infinity", np.inf)):
            spoiled = array.copy()
            spoiled.flat[0] = value
            wrong[defect] = {**good, spec.name: spoiled}
    return wrong


def _same(ones: Mapping[str, Array], others: Mapping[str, Array]) -> bool:
    return all(np.array_equal(ones[name], others[name]) for name in others)


def _close(ones: Mapping[str, Array], others: Mapping[str, Array]) -> bool:
    """Equal up to the order of float additions, which may differ between batch sizes."""
    return all(
        ones[name].shape == others[name].shape and np.allclose(ones[name], others[name], rtol=1e-3, atol=1e-5)
        for name in others
    )


def _subject(backend: Backend) -> str:
    return f"backend '{getattr(backend, 'name', type(backend).__name__)}'"
