"""Classes as a condition: from the caller's labels or numbers to the network's input tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgevision.errors import OptionError
from edgevision.session import CheckedSession
from edgevision.system.numeric import is_whole, plain
from edgevision.system.shown import shown
from edgevision.tasks.base import named
from edgevision.tasks.generation_settings import Condition
from edgevision.tasks.labels import check_label_count
from edgevision.tensors import Array, TensorSpec

#: A label or a class id; for several images also one for each.
ClassChoice = str | int | np.integer[Any] | Sequence[str | int | np.integer[Any]] | Array


class ConditionInput:
    """The input of a network that selects the class of the image.

    Args:
        condition: its settings.
        spec: its tensor.
        labels: one name per class, or none.

    Raises:
        OptionError: the tensor's shape or the number of labels is wrong.
    """

    def __init__(self, condition: Condition, spec: TensorSpec, labels: Sequence[str]) -> None:
        self.condition = condition
        self.spec = spec
        self._labels = tuple(labels)
        if self._labels:
            check_label_count(self._labels, condition.classes)
        self._one_hot = condition.kind == "one-hot"
        self._check_shape()

    def class_ids(self, choice: ClassChoice | None, count: int) -> list[int]:
        """The class of each of `count` images.

        Args:
            choice: a label or class id for all images, or one per image; `None`: no class, where the
                network was trained for that.

        Raises:
            OptionError: no such class, a wrong number of classes, or none where the network needs one.
        """
        choice = plain(choice)
        if choice is None:
            if self.condition.null_class is None:
                raise OptionError(f"condition: this network needs a class: {self._known()}")
            return [self.condition.null_class] * count
        classes = list(choice) if isinstance(choice, (list, tuple)) else [choice] * count
        if len(classes) != count:
            raise OptionError(
                f"condition: expected one class, or one for each of the {count} images, got {len(classes)}"
            )
        return [self._class_id(name_or_id) for name_or_id in classes]

    def tensor(self, class_ids: Sequence[int]) -> Array:
        """The tensor for several images, in its own dtype: ``(images, …)``."""
        if not self._one_hot:
            values = np.asarray(class_ids, np.float64).reshape(-1, *self.spec.shape[1:])
            return self.spec.quantize(values)
        rows = np.zeros((len(class_ids), int(self.spec.shape[1] or 0)), np.float32)
        rows[np.arange(len(class_ids)), class_ids] = 1
        return self.spec.quantize(rows)

    def _class_id(self, name_or_id: object) -> int:
        class_id = name_or_id
        if isinstance(name_or_id, str):
            if name_or_id in self._labels:
                return self._labels.index(name_or_id)
            class_id = int(name_or_id) if name_or_id.isdecimal() else None
        if not is_whole(class_id) or class_id >= self.condition.classes:
            raise OptionError(f"condition: no class {shown(name_or_id)}; the classes are: {self._known()}")
        return class_id

    def _known(self) -> str:
        return ", ".join(self._labels) or f"0 to {self.condition.classes - 1}"

    def _check_shape(self) -> None:
        shape, null = self.spec.shape, self.condition.null_class
        least = self.condition.classes if null is None else max(self.condition.classes, null + 1)
        if self._one_hot:
            fits = len(shape) == 2 and shape[1] is not None and shape[1] >= least
            expected = f"(batch, {least} or more)"
        else:
            fits = len(shape) in (1, 2) and shape[1:] in ((), (1,))
            expected = "(batch) or (batch, 1)"
        if not fits:
            raise OptionError(f"input '{self.spec.name}': expected {expected}, got {self.spec.describe()}")


def condition_input(
    session: CheckedSession, condition: Condition | None, labels: Sequence[str]
) -> ConditionInput | None:
    """The input of a conditional network; `None` for an unconditional one.

    Raises:
        OptionError: no such input, or as `ConditionInput`.
    """
    if condition is None:
        return None
    return ConditionInput(condition, named(session.inputs, condition.input, "input"), labels)


def class_ids_of(condition: ConditionInput | None, choice: ClassChoice | None, count: int) -> list[int]:
    """The class of each of `count` images; empty for an unconditional network.

    Raises:
        OptionError: as `ConditionInput.class_ids`, or a class for an unconditional network.
    """
    if condition is not None:
        return condition.class_ids(choice, count)
    if choice is not None:
        raise OptionError("condition: this network is unconditional; remove it")
    return []
