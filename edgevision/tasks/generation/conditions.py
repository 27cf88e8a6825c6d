"""Of which class an image shall be: from the caller's words to the tensor that a network takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgevision.errors import OptionError
from edgevision.tasks.generation_settings import Condition
from edgevision.tensors import Array, TensorSpec

#: A label or the number of a class; for several images also one for each.
Wish = str | int | Sequence[str | int]


class ConditionInput:
    """Writes classes into the tensor that a network takes them by.

    Args:
        condition: what the manifest says of it.
        spec: the tensor.
        labels: one name a class, or none at all.

    Raises:
        OptionError: the tensor or the number of labels does not fit.
    """

    def __init__(self, condition: Condition, spec: TensorSpec, labels: Sequence[str]) -> None:
        self.condition = condition
        self.spec = spec
        self._labels = tuple(labels)
        if self._labels and len(self._labels) != condition.classes:
            raise OptionError(
                f"{len(self._labels)} labels for a network with {condition.classes} classes; give one a class"
            )
        self._one_hot = condition.kind == "one-hot"
        self._check_shape()

    def class_ids(self, wish: Wish | None, count: int) -> list[int]:
        """The class of each of `count` images.

        Args:
            wish: a label or number for all, or one for each; `None`: no class, where the network knows that.

        Raises:
            OptionError: there is no such class, `wish` has another length, or the network needs a class.
        """
        if wish is None:
            if self.condition.null_class is None:
                raise OptionError(f"condition: this network needs a class: {self._known()}")
            return [self.condition.null_class] * count
        wishes = [wish] * count if isinstance(wish, (str, int, np.integer)) else list(wish)
        if len(wishes) != count:
            raise OptionError(f"condition: expected one class, or {count}, one an image, got {len(wishes)}")
        return [self._class_id(one) for one in wishes]

    def tensor(self, class_ids: Sequence[int]) -> Array:
        """The tensor for several images, in its own dtype: ``(images, …)``."""
        if not self._one_hot:
            values = np.asarray(class_ids, np.float64).reshape(-1, *self.spec.shape[1:])
            return self.spec.quantize(values)
        rows = np.zeros((len(class_ids), int(self.spec.shape[1] or 0)), np.float32)
        rows[np.arange(len(class_ids)), class_ids] = 1
        return self.spec.quantize(rows)

    def _class_id(self, wish: str | int) -> int:
        if isinstance(wish, str):
            if wish in self._labels:
                return self._labels.index(wish)
            wish = int(wish) if wish.isdecimal() else -1
        if isinstance(wish, bool) or not 0 <= wish < self.condition.classes:
            raise OptionError(f"condition: there is no such class; there are: {self._known()}")
        return int(wish)

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
