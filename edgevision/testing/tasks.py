"""The contract of a task kind, as one function for its author's tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from edgevision.errors import InferenceError, OptionError
from edgevision.imaging.preprocess import Preprocessing
from edgevision.plugins import registry
from edgevision.plugins.shapes import RESULTS, wrong_item
from edgevision.session import open_session
from edgevision.system.strict_json import read_json
from edgevision.tasks.description import task_to_dict
from edgevision.tasks.kind import Claim, ModelParts, NetworkFacts, ResultReplayer, TaskKind
from edgevision.tasks.options import TaskOptions
from edgevision.tensors import Array, TensorSpec
from edgevision.testing.children import check_rules
from edgevision.testing.contract import expect, expect_raises
from edgevision.testing.fake import FakeBackend

_HOOK = "edgevision_tasks"
_TOP = 3
#: Outputs that no task reads.
_FOREIGN = (TensorSpec("no such output", (None, 3, 5, 7, 11), "float32"),)


def check_task(
    kind: TaskKind,
    task: Any,
    outputs: Mapping[str, ArrayLike],
    labels: Sequence[str] = (),
    input_size_wh: tuple[int, int] = (64, 48),
    expected: Mapping[str, Any] | None = None,
) -> None:
    """Check that a task kind keeps the contract of `edgevision.tasks.kind`.

    A network without a runtime answers with `outputs`, and the kind's model, its results, its lines and its
    drawing are checked on an image.

    Args:
        kind: the kind under test; of one whose models answer about no image, its description and what it
            recognises are checked, and no result.
        task: a valid description.
        outputs: name -> output of a network for one image, without the batch, as `task` describes it.
        labels: names of the classes, for kinds with classes.
        input_size_wh: width and height of the network's input, and of the image.
        expected: values of the result's ``to_dict()``, all or some; `None` compares with none, and then a
            wrong result goes unnoticed.

    Raises:
        AssertionError: states the broken rule, what was seen, and what to do.

    Example::

        def test_my_kind_keeps_the_contract() -> None:
            task = CountTask("density")
            check_task(CountKind(), task, {"density": [[0.5, 1.5]]}, expected={"count": 2.0})
    """
    arrays = {name: np.asarray(values, np.float32) for name, values in outputs.items()}
    case = _Case(kind, task, arrays, tuple(labels), input_size_wh, expected)
    answers = getattr(kind, "takes_images", True)
    check_rules(_RULES if answers else _RULES_WITHOUT_IMAGES, case, case.subject)


@dataclass(frozen=True)
class _Case:
    """A kind under test, with the outputs of one network."""

    kind: Any
    task: Any
    outputs: Mapping[str, Array]
    labels: tuple[str, ...]
    size_wh: tuple[int, int]
    expected: Mapping[str, Any] | None

    @property
    def subject(self) -> str:
        return f"task '{getattr(self.kind, 'name', type(self.kind).__name__)}'"

    @property
    def image(self) -> Array:
        width, height = self.size_wh
        return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)

    def network(self, outputs: Sequence[TensorSpec] | None = None) -> NetworkFacts:
        specs = self.specs(self.outputs) if outputs is None else tuple(outputs)
        return NetworkFacts(specs, self.size_wh, TaskOptions(), registry(), "the network")

    def specs(self, outputs: Mapping[str, Array]) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(name, (None, *array.shape), "float32") for name, array in outputs.items())

    def model(self, outputs: Mapping[str, Array] | None = None) -> Any:
        """The kind's model on a network that answers with `outputs`, as they are at that time."""
        outputs = self.outputs if outputs is None else outputs
        width, height = self.size_wh
        backend = FakeBackend(outputs)
        image = TensorSpec("image", (None, height, width, 3), "float32")
        session = open_session(backend, backend.artifact([image], self.specs(outputs)))
        return self.kind.model(
            session, self.task, ModelParts(Preprocessing(self.size_wh, (0.0, 1.0)), self.labels)
        )

    def document(self, result: Any) -> Any:
        return result.to_dict(_TOP) if self.kind.ranks_classes else result.to_dict()

    def expect(self, holds: bool, message: str) -> None:
        expect(holds, self.subject, message)

    def expect_returned(self, method: str, value: Any) -> None:
        wrong = RESULTS[_HOOK, method](value)
        expect(not wrong, self.subject, f"{method} returned {wrong}")


def _check_members(case: _Case) -> None:
    """The kind has the attributes of `TaskKind`, and its options have a name and a help each."""
    wrong = wrong_item(_HOOK, case.kind)
    case.expect(not wrong, f"is a {wrong}; see edgevision.tasks.kind.TaskKind")
    names = [getattr(option, "name", None) for option in case.kind.options]
    texts = [*names, *(getattr(option, "help", None) for option in case.kind.options)]
    valid = all(isinstance(one, str) and one for one in texts) and len(set(names)) == len(names)
    case.expect(valid, f"options are {case.kind.options!r}, expected TaskOption, each with another name")


def _check_description(case: _Case) -> None:
    """The description is a frozen dataclass of the kind's name, which JSON holds and gives back."""
    kind, task = case.kind, case.task
    parameters = getattr(kind.description, "__dataclass_params__", None)
    frozen = parameters is not None and parameters.frozen
    case.expect(frozen, f"description is {kind.description!r}, expected a dataclass with frozen=True")
    case.expect(
        getattr(kind.description, "name", None) == kind.name and "name" not in _fields(kind),
        f"description has the name {getattr(kind.description, 'name', None)!r}, expected the class variable "
        f"name = '{kind.name}'",
    )
    document = _json_of(case, task_to_dict(task), "the description")
    document.pop("name")
    case.expect(
        kind.description(**document) == task,
        f"the description is another after it was written as JSON and read: {document}; turn lists into "
        "tuples in __post_init__",
    )


def _check_invalid_fields(case: _Case) -> None:
    """A field of a wrong type is refused with an OptionError that names it."""
    values = {name: getattr(case.task, name) for name in _fields(case.kind)}
    for name in values:
        with expect_raises(OptionError, case.subject, f"description with an object() for {name}"):
            try:
                case.kind.description(**{**values, name: object()})
            except OptionError as error:
                case.expect(name in str(error), f"description: '{error}' does not name the field '{name}'")
                raise


def _check_schema(case: _Case) -> None:
    """The schema is that of the description: JSON, an object with each field."""
    schema = _json_of(case, dict(case.kind.schema), "the schema")
    for part in schema.get("$ref", "").split("/")[1:]:  # into its own definitions
        schema = schema[part]
    properties = set(schema.get("properties", {}))
    wanted = {"name", *_fields(case.kind)}
    missing = ", ".join(sorted(wanted ^ properties))
    case.expect(properties == wanted, f"schema and description differ in: {missing}; state the same in both")
    required = set(schema.get("required", ()))
    case.expect(required <= wanted, f"schema requires {sorted(required - wanted)}, which is no field")


def _check_recognise(case: _Case) -> None:
    """Outputs are recognised by their names and shapes, and foreign ones are never claimed surely."""
    claim = case.kind.recognise(case.network())
    case.expect_returned("recognise", claim)
    again = case.kind.recognise(case.network())
    case.expect(again == claim, f"recognise returned {claim!r}, then {again!r} for the same network")
    reverse = case.kind.recognise(case.network(case.specs(case.outputs)[::-1]))
    case.expect(reverse == claim, f"recognise depends on the order of outputs: {claim!r}, then {reverse!r}")
    for foreign in ((), _FOREIGN):
        claim = case.kind.recognise(case.network(foreign))
        case.expect(
            claim is None or claim == Claim.STATED,
            f"recognise claims {[spec.describe() for spec in foreign]} as {claim!r}; return None for what is "
            "not its own, or no model of another task is found",
        )


def _check_results(case: _Case) -> None:
    """The result of an image is the same each time, can be JSON, and is what was expected."""
    image, outputs = case.image, dict(case.outputs)
    with case.model(outputs) as model:
        result = model(image)
        case.expect(np.array_equal(image, case.image), "the model changed the image; work on a copy")
        document = _json_of(case, case.document(result), "to_dict() of a result")
        outputs.update({name: array / 2 for name, array in case.outputs.items()})
        with suppress(InferenceError):  # such as scores that no longer sum to 1
            model(image)
        kept = _json_of(case, case.document(result), "to_dict() of a result")
        case.expect(kept == document, "a later call changed an earlier result; copy what results hold")
        outputs.update(case.outputs)
        again = _json_of(case, case.document(model(image)), "to_dict() of a result")
        case.expect(again == document, f"another result for the same image: {document}, then {again}")
    for name, value in (case.expected or {}).items():
        found = document.get(name)
        case.expect(_alike(found, value), f"to_dict()['{name}'] is {found!r}, expected {value!r}")


def _check_wrong_outputs(case: _Case) -> None:
    """A network without the outputs that the description names is refused with OptionError."""
    with expect_raises(OptionError, case.subject, "a network with other outputs"):
        case.model({"no such output": np.zeros((3, 5, 7, 11), np.float32)}).close()


def _check_not_finite(case: _Case) -> None:
    """NaN in the outputs raises InferenceError, and never passes for an answer."""
    outputs = {name: np.full_like(array, np.nan) for name, array in case.outputs.items()}
    with case.model(outputs) as model, expect_raises(InferenceError, case.subject, "outputs of NaN"):
        model(case.image)


def _check_shown(case: _Case) -> None:
    """A result has lines for a terminal, and a drawing that leaves the image alone."""
    image = case.image
    with case.model() as model:
        result = model(image)
    lines = case.kind.lines(result, _TOP)
    case.expect_returned("lines", lines)
    broken = [line for line in lines if "\n" in line]
    case.expect(not broken, f"lines returned {broken}, which are several lines each; return one text a line")
    for scale in (1, 2):
        enlarged = image.repeat(scale, axis=0).repeat(scale, axis=1)
        before = enlarged.copy()
        drawn = case.kind.draw(enlarged, result, _TOP, scale)
        case.expect_returned("draw", drawn)
        case.expect(np.array_equal(enlarged, before), "draw changed the image; draw into a copy")
        case.expect(not np.shares_memory(drawn, enlarged), "draw returned the image itself; return a copy")
        large = drawn.shape[0] >= enlarged.shape[0] and drawn.shape[1] >= enlarged.shape[1]
        case.expect(large, f"draw returned {drawn.shape} for an image of {enlarged.shape}; never cut it")


def _check_evaluation(case: _Case) -> None:
    """The evaluation has the methods of `TaskEvaluation`."""
    evaluation = case.kind.evaluation()
    methods = ("check_stated", "for_source", "for_model")
    missing = [name for name in methods if not callable(getattr(evaluation, name, None))]
    case.expect(not missing, f"evaluation() returned {evaluation!r} without {', '.join(missing)}")


def _check_known_answers(case: _Case) -> None:
    """Known answers are float rows; the same rows are the same results, and others are not."""
    if not isinstance(case.kind, ResultReplayer):
        return
    with case.model() as model:
        rows = case.kind.known_rows(0, model(case.image))
    kind = getattr(getattr(rows, "dtype", None), "kind", "")
    case.expect(kind == "f" and rows.ndim == 2, f"known_rows returned {rows!r}, expected float (n, columns)")
    case.expect(bool(case.kind.same_results(rows, rows.copy(), case.task)), "the same rows are not the same")
    if rows.size:
        others = -rows - 1
        same = case.kind.same_results(others, rows, case.task)
        case.expect(not same, "rows of opposite signs are the same results; compare their values")


_RULES_WITHOUT_IMAGES: tuple[Callable[[_Case], None], ...] = (
    _check_members,
    _check_description,
    _check_invalid_fields,
    _check_schema,
    _check_recognise,
    _check_evaluation,
)
_RULES: tuple[Callable[[_Case], None], ...] = (
    *_RULES_WITHOUT_IMAGES,
    _check_results,
    _check_wrong_outputs,
    _check_not_finite,
    _check_shown,
    _check_known_answers,
)


def _fields(kind: Any) -> list[str]:
    return [field.name for field in fields(kind.description)]


def _json_of(case: _Case, value: Any, what: str) -> Any:
    """A value as its readers get it from JSON."""
    try:
        return read_json(json.dumps(value))
    except (TypeError, ValueError) as error:
        case.expect(False, f"{what} cannot be JSON: {error}; use Python's own numbers, texts and lists")


def _alike(found: Any, value: Any) -> bool:
    """Equal, but for the rounding of numbers."""
    if isinstance(value, Mapping):
        return isinstance(found, Mapping) and all(_alike(found.get(name), one) for name, one in value.items())
    if isinstance(value, (list, tuple)):
        same_length = isinstance(found, list) and len(found) == len(value)
        return same_length and all(map(_alike, found, value))
    if isinstance(value, float) and isinstance(found, (int, float)):
        return bool(np.isclose(found, value, rtol=1e-4, atol=1e-6))
    return bool(found == value)
