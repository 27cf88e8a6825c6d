"""The description of a regression network, from its outputs and what its caller states."""

from __future__ import annotations

from typing import Any

from edgevision.tasks.api import MissingOptionError, NetworkFacts, TensorSpec, stated_output
from edgevision_regress.description import RegressTask
from edgevision_regress.model import value_count
from edgevision_regress.truth import LABEL, read_columns


def described(network: NetworkFacts) -> RegressTask:
    """The description of a network.

    Raises:
        MissingOptionError: the names or the ranges of its values are not stated.
        OptionError: an option contradicts the network.
        InputError: the ground truth cannot be read.
    """
    options = network.options.task_options
    classes = options.get("classes", "")
    outputs = _outputs(network, classes)
    truth = network.options.truth
    columns, rows = ([], {}) if truth is None else read_columns(truth)
    names = _listed(options.get("names")) or [name for name in columns if name != LABEL]
    if not names:
        counts = [value_count(spec) for spec in outputs]
        listed = ", ".join(f"'{spec.name}'" for spec in outputs)
        raise MissingOptionError(
            network.where,
            f"output {listed} has {' + '.join(map(str, counts))} values without names; pass --task-option "
            "names='[\"age\"]', or --truth FILE.csv, whose columns have them",
        )
    units = _listed(options.get("units")) or [""] * len(names)
    ranges = options.get("ranges") or [_range_of(name, columns, rows, network.where) for name in names]
    return RegressTask(
        outputs[0].name,
        tuple(names),
        tuple(units),
        tuple(map(_pair, ranges)),
        tuple(spec.name for spec in outputs[1:]),
        options.get("coordinates", ""),
        classes,
        _score_kind(network, classes),
    )


def _outputs(network: NetworkFacts, classes: str) -> list[TensorSpec]:
    """The outputs that hold values: those stated, or all but that of the classes if there is one left."""
    stated = _listed(network.options.task_options.get("outputs"))
    if stated:
        return [stated_output(network.outputs, name, "the values") for name in stated]
    others = [spec for spec in network.outputs if spec.name != classes]
    if network.options.output is None and len(others) > 1:
        names = ", ".join(f"'{spec.name}' {spec.describe()}" for spec in network.outputs)
        raise MissingOptionError(
            network.where,
            f"the network has the outputs {names}; pass --task-option outputs='[\"{others[0].name}\", …]' "
            "with those of the values, in their order, and --task-option classes=NAME for scores of classes",
        )
    return [stated_output(others, network.options.output, "the values")]


def _score_kind(network: NetworkFacts, classes: str) -> str:
    if not classes:
        return "softmax"
    kind = network.options.score_kind or network.score_kinds.get(classes)
    if kind is None:
        raise MissingOptionError(
            network.where, f"output '{classes}': pass --scores softmax, or logits, as its classes are given"
        )
    return "logits" if kind == "linear" else kind


def _range_of(name: str, columns: list[str], rows: dict[str, list[str]], where: str) -> tuple[float, float]:
    """The least and the greatest value in the ground truth."""
    if name in columns:
        place = columns.index(name)
        values = [float(row[place]) for row in rows.values()]
        if values and min(values) < max(values):
            return min(values), max(values)
    raise MissingOptionError(
        where, f"the range of the value '{name}' is not known; pass --task-option ranges='[[0, 100]]'"
    )


def _listed(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _pair(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else value
