"""The contract that every backend must pass, as one function for its author's own tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from edgevision.artifact import Artifact
from edgevision.backend import Backend, DeviceInfo, SessionSettings
from edgevision.errors import (
    ArtifactError,
    DeviceError,
    EdgeVisionError,
    InferenceError,
    InputError,
    MissingRuntimeError,
    OptionError,
    SessionClosedError,
)
from edgevision.session import CheckedSession, open_session
from edgevision.tensors import Array, TensorSpec, check_inputs

_THREADS = 8
_CALLS_A_THREAD = 5


def check_backend(
    backend: Backend,
    artifact: Artifact,
    inputs: Mapping[str, Array] | None = None,
    devices: Sequence[str] | None = None,
) -> None:
    """Check that `backend` keeps the contract of `edgevision.backend`, by running `artifact`.

    Args:
        backend: the one to check.
        artifact: a small sound artifact of one of its formats. One with an open batch checks
            more than one without.
        inputs: name -> array, one valid call whose answer depends on the values; ``None``
            makes random ones, floats from 0 to 1 and integers over their whole range.
        devices: names of those to run on; ``None`` is the backend's default alone.

    Raises:
        AssertionError: says which rule is broken, and how.
        MissingRuntimeError: the runtime is not installed.
    """
    offered = _check_members(backend, artifact)
    before = artifact.sha256
    for device in devices or [offered[0].name]:
        case = _Case(backend, artifact, device, inputs)
        for check in _CHECKS:
            _run_check(check, case)
    _expect(artifact.sha256 == before, backend, "changed the bytes of the artifact")


@dataclass(frozen=True)
class _Case:
    """A backend under check, with an artifact, on a device."""

    backend: Backend
    artifact: Artifact
    device: str
    example: Mapping[str, Array] | None

    def open(self, artifact: Artifact | None = None) -> CheckedSession:
        return open_session(self.backend, artifact or self.artifact, SessionSettings(device=self.device))

    def inputs(self, session: CheckedSession, seed: int = 0, batch: int = 1) -> dict[str, Array]:
        """A valid call; another for each seed."""
        return {spec.name: self._array(spec, seed, batch) for spec in session.inputs}

    def expect(self, holds: bool, message: str) -> None:
        _expect(holds, self.backend, f"{message} (artifact {self.artifact.name}, device {self.device})")

    @contextmanager
    def expect_raises(self, kind: type[EdgeVisionError], what: str) -> Iterator[None]:
        """Expect `kind`, and no kind of it that means something else, from the body."""
        try:
            yield
        except kind as error:
            self.expect(len(str(error)) > 0, f"{what}: {kind.__name__} without a text")
        except Exception as error:
            told = f"{what}: expected {kind.__name__}, got {type(error).__name__}: {error}"
            raise AssertionError(f"backend '{self.backend.name}': {told}") from error
        else:
            self.expect(False, f"{what}: expected {kind.__name__}, and nothing was raised")

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


def _run_check(check: Callable[[_Case], None], case: _Case) -> None:
    try:
        check(case)
    except (AssertionError, MissingRuntimeError):
        raise
    except Exception as error:
        rule = (check.__doc__ or "").strip().rstrip(".")
        raise AssertionError(
            f"backend '{case.backend.name}': {rule}; but there came {type(error).__name__}: {error}"
        ) from error


def _check_members(backend: Backend, artifact: Artifact) -> Sequence[DeviceInfo]:
    for member, kind in (("name", str), ("formats", tuple), ("options", tuple)):
        value = getattr(backend, member, None)
        _expect(isinstance(value, kind), backend, f"{member} is {value!r}, expected a {kind.__name__}")
    _expect(artifact.format in backend.formats, backend, f"does not load format '{artifact.format}'")
    version = backend.version()
    _expect(isinstance(version, str) and bool(version), backend, f"version() gave {version!r}")
    devices = backend.devices()
    names = [device.name for device in devices]
    _expect(bool(names), backend, "devices() gave none; expected one, or DeviceError with the reason")
    _expect(len(set(names)) == len(names), backend, f"devices() gave a name twice: {names}")
    return devices


def _check_description(case: _Case) -> None:
    """What a session says of itself."""
    with case.open() as session:
        for kind, specs in (("inputs", session.inputs), ("outputs", session.outputs)):
            case.expect(isinstance(specs, tuple) and len(specs) > 0, f"{kind} is {specs!r}, expected a tuple")
            names = [spec.name for spec in specs]
            case.expect(len(set(names)) == len(names), f"{kind} have a name twice: {names}")
        for spec in session.inputs:
            case.expect(None not in spec.shape[1:], f"input '{spec.name}': more than its batch size is open")
        case.expect(bool(session.device), "the session does not say on which device it runs")
        case.expect(bool(session.precision), "the session does not say in which precision it computes")


def _check_bytes(case: _Case) -> None:
    """An artifact is loaded from its bytes: no file of its name need exist."""
    files = {f"absent-{name}": content for name, content in case.artifact.files.items()}
    with case.open(Artifact(case.artifact.format, case.artifact.precision, files)) as session:
        session.run(case.inputs(session))


def _check_outputs(case: _Case) -> None:
    """Every output is there, with the shape and dtype that its spec says."""
    with case.open() as session:
        outputs = session.run(case.inputs(session))
        for spec in session.outputs:
            array = outputs[spec.name]
            fits = len(array.shape) == len(spec.shape) and all(
                wanted in (None, got) for wanted, got in zip(spec.shape, array.shape, strict=True)
            )
            got = f"{array.shape} {array.dtype.name}"
            told = f"output '{spec.name}': the spec says {spec.describe()}, run gave {got}"
            case.expect(fits and array.dtype.name == spec.dtype, told)


def _check_ownership(case: _Case) -> None:
    """Outputs are the caller's: a later call does not change them, nor they a later call."""
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
            "two inputs gave the same answer; give check_backend `inputs` on which the answer depends",
        )
        for array in first.values():
            case.expect(array.flags.writeable, "an output cannot be written to; the caller owns it")
            array[...] = 0
        case.expect(_close(session.run(inputs), answer), "writing to an output changed a later answer")


def _check_threads(case: _Case) -> None:
    """Threads that share a session each get the answers to their own inputs."""
    with case.open() as session:
        inputs = [case.inputs(session, seed) for seed in range(_THREADS)]
        alone = [session.run(given) for given in inputs]

        def work(position: int) -> bool:
            answers = [session.run(inputs[position]) for _ in range(_CALLS_A_THREAD)]
            return all(_close(answer, alone[position]) for answer in answers)

        with ThreadPoolExecutor(_THREADS) as pool:
            right = list(pool.map(work, range(_THREADS)))
        wrong = right.count(False)
        case.expect(wrong == 0, f"{wrong} of {_THREADS} threads that share a session got a wrong answer")


def _check_refused_inputs(case: _Case) -> None:
    """A wrong input gets the core's words, and the next call is good."""
    with case.open() as session:
        good = case.inputs(session)
        answer = session.run(good)
        for what, bad in _wrong_inputs(session.inputs, good).items():
            try:
                check_inputs(session.inputs, bad)
                words = ""
            except InputError as error:
                words = str(error)
            with case.expect_raises(InputError, f"an input of {what}"):
                try:
                    session.run(bad)
                except InputError as error:
                    case.expect(
                        str(error) == words, f"an input of {what}: said '{error}', expected '{words}'"
                    )
                    raise
        case.expect(_close(session.run(good), answer), "a refused call changed the next answer")


def _check_closed(case: _Case) -> None:
    """A closed session says so."""
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
    """A damaged artifact is refused, whichever of its files is damaged, and however."""
    for name in case.artifact.files:
        for what, damage in _DAMAGES.items():
            files = {**case.artifact.files, name: damage(case.artifact.files[name])}
            with case.expect_raises(ArtifactError, f"an artifact whose {name} is {what}"):
                case.open(Artifact(case.artifact.format, case.artifact.precision, files)).close()


_DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut in half": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
}


def _check_settings(case: _Case) -> None:
    """What cannot be had is refused when a session is opened."""
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
                    session.precision == precision, f"{precision} was asked for, {session.precision} runs"
                )
        except DeviceError:
            continue


def _check_batch(case: _Case) -> None:
    """An open batch gives the same rows as one call each."""
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
    """Writing into a leased slot gives what `run` gives, also after a failure in the slot."""
    with case.open() as session:
        for seed in range(2):
            inputs = case.inputs(session, seed)
            case.expect(_close(_run_leased(session, inputs), session.run(inputs)), "a lease differs from run")
        answer = _run_leased(session, inputs)
        for failure in (InferenceError("made up by check_backend"), ValueError("made up by check_backend")):
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
            case.expect(not shared, "two leases at one time share memory")


_CHECKS: tuple[Callable[[_Case], None], ...] = (
    _check_description,
    _check_bytes,
    _check_outputs,
    _check_ownership,
    _check_threads,
    _check_refused_inputs,
    _check_closed,
    _check_damaged,
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
        wrong["a batch of none"] = {**good, spec.name: array[:0]}
    if array.dtype.kind == "f":
        for what, value in (("NaN", np.nan), ("infinity", np.inf)):
            holed = array.copy()
            holed.flat[0] = value
            wrong[what] = {**good, spec.name: holed}
    return wrong


def _same(ones: Mapping[str, Array], others: Mapping[str, Array]) -> bool:
    return all(np.array_equal(ones[name], others[name]) for name in others)


def _close(ones: Mapping[str, Array], others: Mapping[str, Array]) -> bool:
    """Equal but for the order of float additions, which may differ between batch sizes."""
    return all(
        ones[name].shape == others[name].shape and np.allclose(ones[name], others[name], rtol=1e-3, atol=1e-5)
        for name in others
    )


def _expect(holds: bool, backend: Backend, message: str) -> None:
    if not holds:
        raise AssertionError(f"backend '{getattr(backend, 'name', type(backend).__name__)}': {message}")
