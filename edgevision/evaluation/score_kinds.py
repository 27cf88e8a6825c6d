"""The kind of scores in the output of a source: stated by the caller, or inferred from that very output."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.converter import Source
from edgevision.errors import MissingOptionError, OptionError
from edgevision.tasks.options import TaskOptions
from edgevision.tensors import TensorSpec

_ASK = "pass --scores softmax, sigmoid, or logits"


def score_kind_of(
    source: Source, output: TensorSpec, options: TaskOptions, folders: Sequence[str]
) -> tuple[str, tuple[str, ...]]:
    """The kind of scores in `output`, and notes on how it was inferred.

    Args:
        source: the trained model.
        output: its output with the scores.
        options: the caller's statements.
        folders: names of the class folders of the evaluation set; empty for a set without labels.

    Raises:
        OptionError: it cannot be inferred and is not stated, the statement contradicts the model, or the
            output distinguishes no classes.
    """
    found = _inferred(source, output)
    stated = options.score_kind
    classes = output.shape[-1]
    where = f"{source.path}: output '{output.name}'"
    if classes == 1 and "softmax" in (found, stated):
        raise OptionError(
            f"{where} has a single value, and the softmax of a single value is always 1; train a binary "
            "classifier with Dense(1, activation='sigmoid') or Dense(2, activation='softmax')"
        )
    if stated is not None:
        if found not in (None, "linear", stated):
            raise OptionError(
                f"{where} is computed by {_DESCRIPTIONS[str(found)]}, which contradicts --scores {stated}; "
                f"remove the option, or pass --scores {found}"
            )
        return stated, ()
    if found is None:
        raise MissingOptionError(
            str(source.path), f"output '{output.name}': cannot infer the output type; {_ASK}"
        )
    if found != "linear":
        return found, ()
    if classes is not None and classes >= 2:
        if len(folders) == classes:
            return "logits", (
                f"output '{output.name}' of the source is linear and was read as logits: it has one value "
                f"for each of the {classes} class folders of the evaluation set",
            )
        if options.labels is not None:
            return "logits", (
                f"output '{output.name}' of the source is linear and was read as logits: it has one value "
                f"for each of the {classes} labels",
            )
    folders_or_labels = ", or evaluate on images with one folder per class, or pass --labels FILE"
    raise MissingOptionError(
        str(source.path),
        f"output '{output.name}' is linear ({output.describe()}): these may be the logits of a classifier, "
        "or the values of a regression such as key points; for a classifier pass --scores logits"
        + ("" if classes == 1 else folders_or_labels),
    )


_DESCRIPTIONS = {"softmax": "a softmax", "sigmoid": "a sigmoid", "logits": "a log-softmax"}


def _inferred(source: Source, output: TensorSpec) -> str | None:
    facts = source.facts
    if not facts.score_kinds and output.name == source.outputs[0].name:
        return facts.score_kind
    return facts.score_kinds.get(output.name)
