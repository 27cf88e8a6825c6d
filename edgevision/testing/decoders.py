"""The contract of a decoder, as one function for its author's tests."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from edgevision.decoder import Candidates, Decoder, Floats, Head
from edgevision.errors import EdgeVisionError, InferenceError, OptionError
from edgevision.tensors import TensorSpec
from edgevision.testing.children import check_rules
from edgevision.testing.contract import expect, expect_raises

_THREADS = 8
#: Sigmoid and softmax may move a score by so much when they are computed in another order.
_TOLERANCE = 1e-4
_NO_SUCH = "no-such-setting"
#: No setting takes it: a list of one name that nothing has.
_WRONG_VALUE = ["no-such-value"]


def check_decoder(
    decoder: Decoder,
    outputs: Mapping[str, ArrayLike],
    input_size_wh: tuple[int, int],
    settings: Mapping[str, Any] | None = None,
    expected: Candidates | None = None,
    score_threshold: float = 0.5,
) -> None:
    """Check that `decoder` keeps the contract of `edgevision.decoder`.

    Args:
        decoder: the decoder under test.
        outputs: name -> output of a network for one image, without the batch, that contains an object or
            more; best with scores on both sides of the threshold.
        input_size_wh: width and height of that network's input.
        settings: settings that `recognise` does not find out from names and shapes.
        expected: candidates at the threshold, in any order; `None` compares with none, and then boxes in a
            wrong place go unnoticed.
        score_threshold: 0…1; at least one object scores more.

    Raises:
        AssertionError: states the broken rule, and how it broke.

    Example::

        def test_my_decoder_keeps_the_contract() -> None:
            boxes, scores = [[10, 20, 30, 40], [0, 0, 9, 9]], [0.9, 0.1]
            check_decoder(MyDecoder(), {"boxes": boxes, "scores": scores}, input_size_wh=(64, 48))
    """
    arrays = {name: np.asarray(values, np.float32) for name, values in outputs.items()}
    case = _Case(decoder, arrays, input_size_wh, dict(settings or {}), expected, score_threshold)
    check_rules(_RULES, case, case.subject)


@dataclass(frozen=True)
class _Case:
    """A decoder under test, and the outputs of one network."""

    decoder: Decoder
    arrays: Mapping[str, Floats]
    size_wh: tuple[int, int]
    own_settings: Mapping[str, Any]
    expected: Candidates | None
    threshold: float

    @property
    def subject(self) -> str:
        return f"decoder '{getattr(self.decoder, 'name', type(self.decoder).__name__)}'"

    @property
    def specs(self) -> list[TensorSpec]:
        return [TensorSpec(name, array.shape, "float32") for name, array in self.arrays.items()]

    @cached_property
    def settings(self) -> dict[str, Any]:
        return {**(self.decoder.recognise(self.specs, self.size_wh) or {}), **self.own_settings}

    @cached_property
    def head(self) -> Head:
        return self.prepare()

    def prepare(
        self, specs: Sequence[TensorSpec] | None = None, settings: Mapping[str, Any] | None = None
    ) -> Head:
        return self.decoder.prepare(
            self.specs if specs is None else specs,
            self.size_wh,
            self.settings if settings is None else settings,
        )

    def decode(
        self, threshold: float | None = None, replaced: Mapping[str, Floats] | None = None
    ) -> Candidates:
        # Copies: a decoder that writes into them must not hide that from the rule which looks for it.
        arrays = {name: array.copy() for name, array in {**self.arrays, **(replaced or {})}.items()}
        return self.head(arrays, self.threshold if threshold is None else threshold)

    def expect(self, holds: bool, message: str) -> None:
        expect(holds, self.subject, message)

    def expect_raises(self, kind: type[EdgeVisionError], action: str) -> AbstractContextManager[None]:
        return expect_raises(kind, self.subject, action)


def _check_members(case: _Case) -> None:
    """The name is text, and ``nms_applied``, if present, is true or false."""
    name = getattr(case.decoder, "name", None)
    case.expect(isinstance(name, str) and name != "", f"name is {name!r}, expected text")
    applied = getattr(case.decoder, "nms_applied", False)
    case.expect(isinstance(applied, bool), f"nms_applied is {applied!r}, expected true or false")


def _check_recognise(case: _Case) -> None:
    """Outputs are recognised by their names and shapes, in any order, or not at all."""
    recognise = case.decoder.recognise
    settings = recognise(case.specs, case.size_wh)
    case.expect(
        settings is None
        or (isinstance(settings, Mapping) and all(isinstance(name, str) for name in settings)),
        f"recognise returned {settings!r}, expected a mapping of settings, or None",
    )
    try:
        json.dumps(None if settings is None else dict(settings))
    except (TypeError, ValueError):
        case.expect(False, f"recognise returned {settings!r}, which JSON cannot hold")
    again = recognise(case.specs[::-1], case.size_wh)
    case.expect(
        again == settings, f"recognise depends on the order of the outputs: {settings!r}, then {again!r}"
    )
    for foreign in _FOREIGN_OUTPUTS:
        settings = recognise(foreign, case.size_wh)
        case.expect(settings is None, f"recognises {[s.describe() for s in foreign]}, expected None")


_FOREIGN_OUTPUTS: tuple[list[TensorSpec], ...] = (
    [],
    [TensorSpec("no-such-output", (7,), "float32")],
    [TensorSpec("no-such-output", (), "float32"), TensorSpec("another", (None, None, 3), "float32")],
)


def _check_settings(case: _Case) -> None:
    """An unknown, missing or invalid setting is refused by name."""
    before = copy.deepcopy(case.settings)
    case.prepare()
    case.expect(case.settings == before, "prepare changed the mapping of settings")
    _expect_refused(case, f"the unknown setting '{_NO_SUCH}'", _NO_SUCH, {**case.settings, _NO_SUCH: 1})
    for name, value in case.settings.items():
        wrong = {**case.settings, name: _WRONG_VALUE}
        _expect_refused(case, f"setting '{name}' = {_WRONG_VALUE} instead of {value!r}", name, wrong)
        rest = {other: kept for other, kept in case.settings.items() if other != name}
        try:
            case.prepare(settings=rest)  # it may have a default
        except OptionError as error:
            case.expect(name in str(error), f"setting '{name}' is missing: said '{error}', without its name")


def _expect_refused(case: _Case, action: str, name: str, settings: Mapping[str, Any]) -> None:
    with case.expect_raises(OptionError, action):
        try:
            case.prepare(settings=settings)
        except OptionError as error:
            case.expect(name in str(error), f"{action}: said '{error}', without the setting's name")
            raise


def _check_candidates(case: _Case) -> None:
    """Candidates are boxes in pixels of the input, scores and classes that belong together."""
    classes = case.head.classes
    case.expect(classes is None or classes > 0, f"classes is {classes!r}, expected 1 or more, or None")
    candidates = case.decode()
    _check_arrays(case, candidates)
    case.expect(
        len(candidates.scores) > 0,
        f"no candidate scores {case.threshold} or more; pass check_decoder `outputs` with an object",
    )
    boxes, scores, class_ids = candidates.boxes_xyxy, candidates.scores, candidates.class_ids
    case.expect(bool(np.isfinite(boxes).all()), f"boxes are not finite: {boxes.tolist()}")
    case.expect(bool((boxes[:, 2:] >= boxes[:, :2]).all()), f"a box ends before it begins: {boxes.tolist()}")
    sizes = boxes[:, 2:] - boxes[:, :2]
    case.expect(bool((sizes > 1).any()), f"no box is larger than a pixel; are they shares? {boxes.tolist()}")
    inside = (boxes[:, :2] < case.size_wh).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1)
    case.expect(bool(inside.all()), f"a box is outside the input of {case.size_wh}: {boxes.tolist()}")
    low, high = float(scores.min()), float(scores.max())
    case.expect(low >= 0 and high <= 1 + _TOLERANCE, f"scores are {low:.4g} to {high:.4g}, expected 0…1")
    lowest, highest = int(class_ids.min()), int(class_ids.max())
    case.expect(
        lowest >= 0 and (classes is None or highest < classes),
        f"class ids are {lowest} to {highest}, expected 0 or more and below {classes}",
    )
    if case.expected is not None:
        _check_expected(case, candidates, case.expected)


def _check_expected(case: _Case, candidates: Candidates, expected: Candidates) -> None:
    got, wanted = _rows(candidates), _rows(expected)
    case.expect(
        got.shape == wanted.shape and np.allclose(got, wanted, rtol=1e-3, atol=1e-2),
        f"candidates (class, score, box) are {got.tolist()}, expected {wanted.tolist()}",
    )


def _check_threshold(case: _Case) -> None:
    """A higher threshold leaves the candidates that score as much, and never raises."""
    scores = np.sort(case.decode().scores)
    case.expect(
        bool((scores >= case.threshold - _TOLERANCE).all()),
        f"threshold {case.threshold}: returned scores {scores.tolist()}",
    )
    between = (scores[1:] + scores[:-1]) / 2
    for threshold in (*between[np.diff(scores) > 2 * _TOLERANCE].tolist(), 1.0):
        candidates = case.decode(threshold)
        _check_arrays(case, candidates)
        least = threshold - _TOLERANCE
        got, wanted = np.sort(candidates.scores), scores[scores >= least]
        same = len(got) <= len(wanted) if threshold == 1.0 else np.allclose(got, wanted, atol=_TOLERANCE)
        message = f"threshold {threshold:.4g}: scores are {got.tolist()}, expected {wanted.tolist()}"
        case.expect(bool(same) and bool((got >= least).all()), message)


def _check_not_finite(case: _Case) -> None:
    """NaN and infinity in an output that is read raise `InferenceError`, and never pass for an answer."""
    case.expect(len(_outputs_read(case)) > 0, "reads none of the outputs: NaN in any leaves the answer alone")


def _check_wrong_outputs(case: _Case) -> None:
    """Outputs of other shapes, or none at all, are refused before the first call."""
    with case.expect_raises(OptionError, "a network without outputs"):
        case.prepare([])
    for name in _outputs_read(case):
        specs = [
            TensorSpec(spec.name, (*spec.shape, 2, 2) if spec.name == name else spec.shape, "float32")
            for spec in case.specs
        ]
        with case.expect_raises(OptionError, f"output '{name}' with two dimensions too many"):
            case.prepare(specs)


def _outputs_read(case: _Case) -> list[str]:
    """Names of the outputs that the answer depends on: those in which NaN and infinity are refused."""
    answer = case.decode()
    names = []
    for name, array in case.arrays.items():
        for value in (np.nan, np.inf):
            try:
                candidates = case.decode(replaced={name: np.full_like(array, value)})
            except InferenceError:
                if name not in names:
                    names.append(name)
            else:
                message = f"output '{name}' is all {value}: expected InferenceError, got an answer"
                case.expect(name not in names and _same(candidates, answer), message)
    return names


def _check_repeatable(case: _Case) -> None:
    """The same outputs get the same candidates, whatever was decoded in between or beside."""
    arrays = {name: array.copy() for name, array in case.arrays.items()}
    first = case.head(arrays, case.threshold)
    changed = [name for name, array in arrays.items() if not np.array_equal(array, case.arrays[name])]
    case.expect(not changed, f"decoding changed the outputs {changed}; they are only read")
    answer = copy.deepcopy(first)
    with suppress(InferenceError):
        case.head({name: array * 0.9 for name, array in arrays.items()}, case.threshold / 2)
    case.expect(_same(first, answer), "a second call changed the candidates of the first")
    with suppress(OptionError):
        width, height = case.size_wh
        case.decoder.prepare(case.specs, (2 * width, 2 * height), case.settings)
    case.expect(_same(case.decode(), answer), "preparing for another network changed the candidates")
    with ThreadPoolExecutor(_THREADS) as pool:
        answers = list(pool.map(lambda _: case.decode(), range(_THREADS)))
    wrong = [not _same(candidates, answer) for candidates in answers].count(True)
    case.expect(wrong == 0, f"{wrong} of {_THREADS} threads got other candidates for the same outputs")


_RULES: tuple[Callable[[_Case], None], ...] = (
    _check_members,
    _check_recognise,
    _check_settings,
    _check_candidates,
    _check_threshold,
    _check_not_finite,
    _check_wrong_outputs,
    _check_repeatable,
)


def _check_arrays(case: _Case, candidates: Candidates) -> None:
    count = len(candidates.scores)
    for name, shape, kind in (
        ("boxes_xyxy", (count, 4), "float32"),
        ("scores", (count,), "float32"),
        ("class_ids", (count,), "int64"),
    ):
        array = getattr(candidates, name)
        case.expect(
            array.shape == shape and array.dtype.name == kind,
            f"{name} is {array.shape} {array.dtype.name}, expected {shape} {kind}",
        )


def _rows(candidates: Candidates) -> Floats:
    """Class, score and box of each candidate, sorted."""
    columns = candidates.class_ids[:, np.newaxis], candidates.scores[:, np.newaxis], candidates.boxes_xyxy
    rows = np.concatenate(columns, axis=1).astype(np.float32)
    return rows[np.lexsort(rows.T[::-1].round(2))]


def _same(one: Candidates, other: Candidates) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("boxes_xyxy", "scores", "class_ids")
    )
