"""Rules for backends about the numbers of their answers: right, finite, of the latest inputs, and precise."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edgevision.errors import DeviceError, OptionError
from edgevision.session import CheckedSession, compute_precisions
from edgevision.tensors import Array
from edgevision.testing.backend_case import BackendCase, close, run_leased

#: Precision -> largest difference from the right answer, as a share of the range of the output. Of float32,
#: what other orders of additions explain; half precision of a network of some layers differs by more.
_TOLERANCES = {"float32": 2e-4, "float16": 0.02, "bfloat16": 0.1}
#: What is wrong with a session whose answers depend on earlier calls.
OTHER_ANSWER = "the same inputs got another answer after others; it may be that of an earlier call"
#: Inputs that a float32 and a half precision answer are compared on.
_COMPARED = 4


def check_expected(case: BackendCase) -> None:
    """The answer to the caller's inputs is the one that the caller expects, by run and by lease."""
    if case.example is None or case.expected is None:
        return
    with case.open() as session:
        tolerance = _tolerance(case, session.precision)
        inputs = {name: array.copy() for name, array in case.example.items()}
        for way, answer in case.both(session, inputs).items():
            for spec in session.outputs:
                if spec.name not in case.expected:
                    continue
                difference = _difference(case, session, spec.name, answer)
                # An answer further off is another one, such as that of a memory of zeros.
                near = difference <= _TOLERANCES["float16"]
                is_float32 = session.precision == "float32"
                case.expect(
                    not (is_float32 and near and _is_rounded(answer[spec.name], case.expected[spec.name])),
                    f"output '{spec.name}', {way}: every value is one of float16, where the session states "
                    "float32; state the precision that is computed",
                )
                case.expect(
                    difference <= tolerance,
                    f"output '{spec.name}', {way}: differs from the expected one by {difference:.2g} of its "
                    f"range, allowed in {session.precision}: {tolerance:.2g}; compute in the precision that "
                    "the session states, and check layout, order and scaling of inputs and outputs",
                )


def check_finite(case: BackendCase) -> None:
    """Finite inputs get finite outputs, by run and by lease."""
    with case.open() as session:
        for seed in range(3):
            for way, answer in case.both(session, case.inputs(session, seed)).items():
                for name, array in answer.items():
                    finite = array.dtype.kind != "f" or bool(np.isfinite(array).all())
                    case.expect(
                        finite, f"output '{name}', {way}: has NaN or infinity; is all of its memory written?"
                    )


def check_repeated(case: BackendCase) -> None:
    """The same inputs get the same answer, whatever ran between, by run and by lease."""
    with case.open() as session:
        one, other = case.inputs(session, 1), case.inputs(session, 2)
        for name, run in _WAYS.items():
            first = {key: array.copy() for key, array in run(session, one).items()}
            run(session, other)
            run(session, other)
            again = {key: array.copy() for key, array in run(session, one).items()}
            case.expect(
                close(again, first),
                f"{name}: {OTHER_ANSWER}",
            )
            case.expect(not close(run(session, other), again), f"{name}: two inputs got the same answer")


def check_kept_inputs(case: BackendCase) -> None:
    """The inputs are not kept: the caller may change them after the call."""
    with case.open() as session:
        inputs = case.inputs(session, 1)
        first = session.run(inputs)
        answer = {name: array.copy() for name, array in first.items()}
        for array in inputs.values():
            array[...] = 0
        case.expect(close(first, answer), "the outputs changed with the caller's inputs; copy what is kept")
        case.expect(
            close(session.run(case.inputs(session, 1)), answer), "a changed input changed a later answer"
        )


def check_precision(case: BackendCase) -> None:
    """Half precision differs from float32 in its numbers: a session computes in what it states."""
    answers: dict[str, list[dict[str, Array]]] = {}
    with case.open() as session:
        if any(np.dtype(spec.dtype).kind != "f" for spec in (*session.inputs, *session.outputs)):
            return  # a network of integers has no float parts that would show
    for precision in compute_precisions(case.backend):
        try:
            with case.open(precision=precision) as session:
                case.expect(
                    session.precision == precision, f"{precision} was requested, {session.precision} runs"
                )
                answers[precision] = [session.run(case.inputs(session, seed)) for seed in range(_COMPARED)]
        except (DeviceError, OptionError):
            continue
    full = answers.pop("float32", None)
    for precision, rows in answers.items():
        if full is None:
            continue
        pairs = list(zip(rows, full, strict=True))
        equal = all(np.array_equal(row[name], whole[name]) for row, whole in pairs for name in whole)
        case.expect(
            not equal,
            f"{precision} was requested and is stated, and the answers are those of float32 to the last bit; "
            "raise DeviceError where it cannot be computed",
        )


def _is_rounded(got: Array, right: Array) -> bool:
    """True if float32 values are all of half precision, and the right ones are not."""
    if got.dtype != np.float32:
        return False
    with np.errstate(over="ignore"):
        of_half = [np.array_equal(each, each.astype(np.float16).astype(np.float32)) for each in (got, right)]
    return of_half == [True, False]


def _tolerance(case: BackendCase, precision: str) -> float:
    if case.artifact.precision not in ("float32", "unknown"):
        return 0.25 if case.artifact.precision.startswith("int") else _TOLERANCES["float16"]
    return _TOLERANCES.get(precision, 0.25)


def _difference(case: BackendCase, session: CheckedSession, name: str, answer: Mapping[str, Array]) -> float:
    assert case.expected is not None
    spec = next(one for one in session.outputs if one.name == name)
    right = np.asarray(case.expected[name], np.float64)
    got = np.asarray(spec.dequantize(answer[name]), np.float64)
    if got.shape != right.shape:
        return float("inf")
    return float(np.abs(got - right).max() / max(float(np.ptp(right)), 1e-6))


_WAYS: dict[str, Callable[[CheckedSession, Mapping[str, Array]], dict[str, Array]]] = {
    "run": CheckedSession.run,
    "lease": run_leased,
}

ANSWER_RULES: tuple[Callable[[BackendCase], None], ...] = (
    check_expected,
    check_repeated,
    check_kept_inputs,
    check_precision,
)
