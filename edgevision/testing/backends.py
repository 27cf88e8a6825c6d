"""The contract of a backend, as one function for its author's tests."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

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
    InferenceError,
    InputError,
    OptionError,
    SessionClosedError,
)
from edgevision.plugins.door import inside
from edgevision.session import CheckedSession, open_session
from edgevision.tensors import Array, TensorSpec, check_inputs
from edgevision.testing.backend_answers import ANSWER_RULES, OTHER_ANSWER, check_finite
from edgevision.testing.backend_case import BackendCase, close, run_leased, same, subject_of
from edgevision.testing.backend_resources import RESOURCE_RULES
from edgevision.testing.children import check_rules
from edgevision.testing.contract import expect

_THREADS = 8
#: Calls of each thread, by the seconds between two turns of threads; fewer where they take long.
_CALLS_PER_THREAD = {5e-3: 5, 1e-5: 60}
_SHARED_SECONDS = 2.0
#: Errors of each kind in a lease: more than pools have slots.
_FAILURES = 6


def check_backend(
    backend: Backend,
    artifact: Artifact,
    inputs: Mapping[str, Array] | None = None,
    devices: Sequence[str] | None = None,
    outputs: Mapping[str, Array] | None = None,
) -> None:
    """Check that `backend` keeps the contract of `edgevision.backend`, by running `artifact`.

    Each rule runs in a process of its own, so that a crash or a hang names the rule. The process can have the
    backend if that can be pickled, as an object of a class at the top level of a module can; else the rules
    run in this process.

    Args:
        backend: the backend under test.
        artifact: a small valid artifact of one of its formats. One with an open batch checks more
            than one without.
        inputs: name -> array, one valid call whose answer depends on the values; ``None`` draws
            random ones, floats from 0 to 1 and integers over their whole range.
        devices: names of the devices to run on; ``None`` is each that the backend lists.
        outputs: output name -> array, the right answer to `inputs`, computed elsewhere: without it, an answer
            that is always wrong in the same way is not found.

    Raises:
        AssertionError: states the broken rule, and how it broke.
        MissingRuntimeError: the runtime is not installed.
    """
    backend = inside(backend)
    offered = [device.name for device in _check_members(backend, artifact)]
    before = artifact.sha256
    for device in devices or offered:
        case = BackendCase(backend, artifact, device, inputs, outputs)
        check_rules(_RULES, case, case.subject)
    expect(artifact.sha256 == before, subject_of(backend), "changed the bytes of the artifact")


def _check_members(backend: Backend, artifact: Artifact) -> Sequence[DeviceInfo]:
    subject = subject_of(backend)
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
    expect(
        all(isinstance(one, DeviceInfo) for one in devices), subject, f"devices() returned {devices!r:.80}"
    )
    names = [device.name for device in devices]
    expect(bool(names), subject, "devices() returned none; expected one, or DeviceError with the reason")
    expect(len(set(names)) == len(names), subject, f"devices() returned a name twice: {names}")
    return devices


def _check_description(case: BackendCase) -> None:
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


def _check_bytes(case: BackendCase) -> None:
    """An artifact is loaded from its bytes: no file of its name need exist."""
    files = {f"absent-{name}": content for name, content in case.artifact.files.items()}
    with case.open(Artifact(case.artifact.format, case.artifact.precision, files)) as session:
        session.run(case.inputs(session))


def _check_outputs(case: BackendCase) -> None:
    """Every output has the shape and dtype of its spec."""
    with case.open() as session:
        _check_arrays(case, session, "run", session.run(case.inputs(session)))
        _check_arrays(case, session, "lease", run_leased(session, case.inputs(session)))


def _check_arrays(case: BackendCase, session: CheckedSession, way: str, outputs: Mapping[str, Array]) -> None:
    case.expect(set(outputs) == {spec.name for spec in session.outputs}, f"{way} returned {sorted(outputs)}")
    for spec in session.outputs:
        array = outputs[spec.name]
        case.expect(isinstance(array, np.ndarray), f"output '{spec.name}': {way} returned {type(array)}")
        fits = len(array.shape) == len(spec.shape) and all(
            wanted in (None, got) for wanted, got in zip(spec.shape, array.shape, strict=True)
        )
        got = f"{array.shape} {array.dtype.name}"
        message = f"output '{spec.name}': the spec says {spec.describe()}, {way} returned {got}"
        case.expect(fits and array.dtype.name == spec.dtype, message)


def _check_ownership(case: BackendCase) -> None:
    """The caller owns the outputs: a later call does not change them, nor do they change a later call."""
    with case.open() as session:
        inputs = case.inputs(session, seed=1)
        kept = {name: array.copy() for name, array in inputs.items()}
        first = session.run(inputs)
        case.expect(same(inputs, kept), "run changed the arrays of the caller's inputs")
        answer = {name: array.copy() for name, array in first.items()}
        second = session.run(case.inputs(session, seed=2))
        case.expect(same(first, answer), "a second run changed the outputs of the first")
        case.expect(
            not close(first, second),
            "two inputs got the same answer; pass check_backend `inputs` on which the answer depends",
        )
        # Before anything is written, so that the next message does not blame the writing for it.
        case.expect(close(session.run(inputs), answer), OTHER_ANSWER)
        for array in first.values():
            case.expect(array.flags.writeable, "an output cannot be written to; the caller owns it")
            array[...] = 0
        case.expect(close(session.run(inputs), answer), "writing to an output changed a later answer")


def _check_leased_ownership(case: BackendCase) -> None:
    """The caller owns the outputs of a leased slot: a later run of it does not change them."""
    with case.open() as session:
        first = run_leased(session, case.inputs(session, seed=1))
        answer = {name: array.copy() for name, array in first.items()}
        run_leased(session, case.inputs(session, seed=2))
        case.expect(same(first, answer), "a second run of a slot changed the outputs of the first; copy them")


def _check_threads(case: BackendCase) -> None:
    """Each of the threads that share a session gets the answers to its own inputs, by run and by lease."""
    interval = sys.getswitchinterval()
    for seconds, calls in _CALLS_PER_THREAD.items():
        sys.setswitchinterval(seconds)
        try:
            with case.open() as session:
                _check_shared(case, session, calls)
        finally:
            sys.setswitchinterval(interval)


def _check_shared(case: BackendCase, session: CheckedSession, calls: int) -> None:
    inputs = [case.inputs(session, seed) for seed in range(_THREADS)]
    alone = [session.run(one) for one in inputs]

    end = time.monotonic() + _SHARED_SECONDS

    def work(position: int) -> bool:
        for _ in range(calls):
            for run in (CheckedSession.run, run_leased):
                if not close(run(session, inputs[position]), alone[position]):
                    return False
            if time.monotonic() > end:
                break
        return True

    with ThreadPoolExecutor(_THREADS) as pool:
        wrong = list(pool.map(work, range(_THREADS))).count(False)
    case.expect(wrong == 0, f"{wrong} of {_THREADS} threads that share a session got a wrong answer")


def _check_refused_inputs(case: BackendCase) -> None:
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
        case.expect(close(session.run(good), answer), "a refused call changed the next answer")


def _check_closed(case: BackendCase) -> None:
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


def _check_damaged(case: BackendCase) -> None:
    """A damaged artifact is refused, whichever of its files is damaged."""
    for name in case.artifact.files:
        for state, damage in _DAMAGES.items():
            files = {**case.artifact.files, name: damage(case.artifact.files[name])}
            damaged = Artifact(case.artifact.format, case.artifact.precision, files)
            # Not by `open_session`, which turns whatever a backend raises into such an error.
            with case.expect_raises(ArtifactError, f"an artifact whose {name} is {state}"):
                case.backend.open(damaged, SessionSettings(device=case.device)).close()


def _check_metadata(case: BackendCase) -> None:
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


def _check_settings(case: BackendCase) -> None:
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


def _check_batch(case: BackendCase) -> None:
    """A batch gets the same rows as single calls."""
    with case.open() as session:
        if not session.dynamic_batch:
            return
        rows = [case.inputs(session, seed) for seed in range(3)]
        batch = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
        alone = [session.run(row) for row in rows]
        for way, together in case.both(session, batch).items():
            for spec in session.outputs:
                if spec.dynamic_batch:
                    joined = np.concatenate([answer[spec.name] for answer in alone])
                    equal = close({"": together[spec.name]}, {"": joined})
                    case.expect(equal, f"output '{spec.name}', {way}: a batch of 3 differs from 3 calls")
        case.expect(close(session.run(rows[0]), alone[0]), "another batch size changed a later answer")


def _check_lease(case: BackendCase) -> None:
    """A leased slot gives the same answer as `run`, also after a failure in the slot."""
    with case.open() as session:
        for seed in range(2):
            inputs = case.inputs(session, seed)
            case.expect(close(run_leased(session, inputs), session.run(inputs)), "a lease differs from run")
        answer = run_leased(session, inputs)
        failures = (InferenceError("raised by check_backend"), ValueError("raised by check_backend"))
        for failure in failures * _FAILURES:
            try:
                with session.lease():
                    raise failure
            except (InferenceError, ValueError) as error:
                case.expect(error is failure, f"a lease turned a {type(failure).__name__} into {error!r}")
            case.expect(
                close(run_leased(session, inputs), answer), "after a failure the next answer is wrong"
            )
        with session.lease() as one, session.lease() as other:
            shared = any(np.shares_memory(one.inputs[name], other.inputs[name]) for name in one.inputs)
            case.expect(not shared, "two leases at the same time share memory")


_RULES: tuple[Callable[[BackendCase], None], ...] = (
    _check_description,
    _check_bytes,
    _check_outputs,
    check_finite,
    _check_ownership,
    _check_leased_ownership,
    *ANSWER_RULES,
    # Before that on threads, which notices memory that leases share on some runs only.
    _check_lease,
    _check_threads,
    _check_refused_inputs,
    _check_closed,
    _check_damaged,
    _check_metadata,
    _check_settings,
    _check_batch,
    *RESOURCE_RULES,
)


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
