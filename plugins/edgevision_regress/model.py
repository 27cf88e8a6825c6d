"""The model of a regression, and its result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgevision.tasks.api import (
    Array,
    CheckedSession,
    InferenceError,
    OptionError,
    Pixels,
    Placement,
    Preprocessing,
    SingleRunModel,
    TensorSpec,
    class_color,
    stated_output,
    with_legend,
)
from edgevision_regress.description import RegressTask


class Estimate(NamedTuple):
    """One value of a regression."""

    name: str
    value: float
    unit: str

    def __str__(self) -> str:
        return f"{self.name} {self.value:.4g} {self.unit}".strip()


@dataclass(frozen=True, eq=False)
class Regression:
    """The values that a network estimates about one image.

    Iterating gives every `Estimate`; an index by name or number gives one value.

    Attributes:
        values: float32 ``(values,)``, each in its unit.
        names, units: one per value.
    """

    values: NDArray[np.float32]
    names: tuple[str, ...]
    units: tuple[str, ...]

    def __iter__(self) -> Iterator[Estimate]:
        return (Estimate(*one) for one in zip(self.names, self.values.tolist(), self.units, strict=True))

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, name: str | int) -> float:
        if isinstance(name, str) and name not in self.names:
            raise OptionError(f"no value '{name}'; there are: {', '.join(self.names)}")
        return float(self.values[self.names.index(name) if isinstance(name, str) else name])

    def to_dict(self) -> dict[str, Any]:
        """JSON values: each value with its name and unit."""
        return {"values": [one._asdict() for one in self]}

    def lines(self) -> list[str]:
        """All values in one line."""
        return ["  ".join(map(str, self))]

    def draw(self, image: Pixels, scale: int = 1) -> Pixels:
        """The image, (h, w, 3) uint8 RGB, with its values in lines below it, ten at most."""
        rows = [
            (one.name, f"{one.value:.4g} {one.unit}".strip(), class_color(n)) for n, one in enumerate(self)
        ]
        return with_legend(image, rows)


class Regressor(SingleRunModel[Regression]):
    """A regression network. Safe to share between threads.

    Args:
        session: the network.
        preprocessing: from an image to the network's input.
        task: its output, and the names, units and ranges of its values.

    Raises:
        OptionError: the network has no such output, or that has another number of values.
    """

    def __init__(self, session: CheckedSession, preprocessing: Preprocessing, task: RegressTask) -> None:
        super().__init__(session, preprocessing, (), task)
        count = value_count(stated_output(session.outputs, task.output, "the values"))
        if count != len(task.names):
            raise OptionError(
                f"output '{task.output}' has {count} values, and there are {len(task.names)} names"
            )

    def _result(
        self, outputs: Mapping[str, Array], size_wh: tuple[int, int], placement: Placement
    ) -> Regression:
        values = np.array(outputs[self.task.output], np.float32).reshape(-1)
        if not np.isfinite(values).all():
            raise InferenceError(
                f"output '{self.task.output}' contains NaN or infinity; expected finite numbers"
            )
        return Regression(values, self.task.names, self.task.units)


def value_count(spec: TensorSpec) -> int | None:
    """Number of values for one image; `None` for an open size."""
    sizes = spec.shape[1:]
    return None if None in sizes else prod(int(size or 1) for size in sizes)
