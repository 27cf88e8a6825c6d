"""The model of a regression, and its result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.tasks.api import (
    Array,
    CheckedSession,
    ExplainableModel,
    Frame,
    InferenceError,
    OptionError,
    Pixels,
    Placement,
    Preprocessing,
    SingleRunModel,
    TensorSpec,
    class_color,
    placement_of,
    stated_output,
    with_legend,
)
from edgevision_regress.description import RegressTask

if TYPE_CHECKING:
    from edgevision.tasks.api import Aim


class Estimate(NamedTuple):
    """One value of a regression."""

    name: str
    value: float
    unit: str

    def __str__(self) -> str:
        return f"{self.name} {self.value:.4g} {self.unit}".strip()


@dataclass(frozen=True, eq=False)
class Regression:
    """The values that a network estimates about one image, and the class that it gives it beside them.

    Iterating gives every `Estimate`; an index by name or number gives one value.

    Attributes:
        values: float32 ``(values,)``, each in its unit; coordinates in pixels of the image.
        names, units: one per value.
        labels: one name per class; empty without classes.
        scores: float32 ``(classes,)``, 0…1; empty without classes.
    """

    values: NDArray[np.float32]
    names: tuple[str, ...]
    units: tuple[str, ...]
    labels: tuple[str, ...] = ()
    scores: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    def __iter__(self) -> Iterator[Estimate]:
        return (Estimate(*one) for one in zip(self.names, self.values.tolist(), self.units, strict=True))

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, name: str | int) -> float:
        if isinstance(name, str) and name not in self.names:
            raise OptionError(f"no value '{name}'; there are: {', '.join(self.names)}")
        return float(self.values[self.names.index(name) if isinstance(name, str) else name])

    @property
    def class_id(self) -> int | None:
        """The class with the highest score; `None` without classes."""
        return int(self.scores.argmax()) if len(self.scores) else None

    @property
    def label(self) -> str | None:
        """The name of that class."""
        return None if self.class_id is None else self.labels[self.class_id]

    @property
    def points(self) -> dict[str, tuple[float, float]]:
        """Name -> x and y, of the values that are called ``NAME.x`` and ``NAME.y``."""
        named = [name.removesuffix(".x") for name in self.names if name.endswith(".x")]
        return {name: (self[f"{name}.x"], self[f"{name}.y"]) for name in named if f"{name}.y" in self.names}

    @property
    def boxes(self) -> dict[str, tuple[float, float, float, float]]:
        """Name -> left, top, right and bottom, of the values that are called ``NAME.left`` and so on."""
        named = [name.removesuffix(".left") for name in self.names if name.endswith(".left")]
        sides = ("left", "top", "right", "bottom")
        whole = [name for name in named if all(f"{name}.{side}" in self.names for side in sides)]
        return {
            name: (self[f"{name}.left"], self[f"{name}.top"], self[f"{name}.right"], self[f"{name}.bottom"])
            for name in whole
        }

    def to_dict(self) -> dict[str, Any]:
        """JSON values: each value with its name and unit, and the class."""
        document: dict[str, Any] = {"values": [one._asdict() for one in self]}
        if self.class_id is not None:
            score = float(self.scores[self.class_id])
            document["class"] = {"class_id": self.class_id, "label": self.label, "score": score}
        return document

    def lines(self) -> list[str]:
        """The class and all values in one line."""
        classes = [] if self.class_id is None else [f"{self.label} {100 * self.scores.max():.1f}%"]
        return ["  ".join([*classes, *map(str, self)])]

    def draw(self, image: Pixels, scale: int = 1) -> Pixels:
        """An image with its points and boxes, and with its values in lines below it, ten at most.

        Args:
            image: (h, w, 3) uint8 RGB, enlarged by `scale`; not changed.
            scale: a whole factor.
        """
        marked = image.copy()
        reach = max(2, max(image.shape[:2]) // 120)
        for number, corners in enumerate(self.boxes.values()):
            left, top, right, bottom = (round(scale * side) for side in corners)
            cv2.rectangle(marked, (left, top), (right, bottom), class_color(number), reach // 2)
        for number, (x, y) in enumerate(self.points.values()):
            cv2.circle(marked, (round(scale * x), round(scale * y)), reach, class_color(number), -1)
        rows = [] if self.label is None else [(self.label, f"{100 * self.scores.max():.1f}%", class_color(0))]
        rows += [
            (one.name, f"{one.value:.4g} {one.unit}".strip(), class_color(n)) for n, one in enumerate(self)
        ]
        return with_legend(marked, rows)


class Regressor(ExplainableModel[Regression], SingleRunModel[Regression]):
    """A regression network. Safe to share between threads.

    Args:
        session: the network.
        preprocessing: from an image to the network's input.
        task: its outputs, and the names, units and ranges of its values.
        labels: one name per class, for a network with scores of classes beside its values.

    Raises:
        OptionError: the network has no such output, or those have another number of values or classes.
    """

    def __init__(
        self,
        session: CheckedSession,
        preprocessing: Preprocessing,
        task: RegressTask,
        labels: Sequence[str] = (),
    ) -> None:
        super().__init__(session, preprocessing, labels, task)
        counts = [value_count(stated_output(session.outputs, name, "the values")) for name in task.outputs]
        count = None if None in counts else sum(one or 0 for one in counts)
        if count not in (None, len(task.names)):
            names = ", ".join(f"'{name}'" for name in task.outputs)
            raise OptionError(f"output {names} has {count} values, and there are {len(task.names)} names")
        if task.classes:
            self.labels = class_labels(session.outputs, task, self.labels)
        self._axes = [task.axis_of(name) for name in task.names]

    def _result(
        self, outputs: Mapping[str, Array], size_wh: tuple[int, int], placement: Placement
    ) -> Regression:
        task = self.task
        values = self._values(outputs, placement)
        if not task.classes:
            return Regression(values, task.names, task.units)
        scores = np.array(outputs[task.classes], np.float32).reshape(-1)
        _check_finite(scores, task.classes)
        if task.class_scores == "logits":
            weights = np.exp(scores - scores.max())
            scores = weights / weights.sum()
        return Regression(values, task.names, task.units, self.labels, scores)

    def _aim(self, frame: Frame, target: Any) -> Aim:
        """A value as a share of its range, by name or number; by default the first one."""
        from edgevision.tasks.api import Aim, class_of  # who measures does not wait for explanations

        names = self.task.names
        place = 0 if target is None else class_of(target, names, len(names))
        low, high = self.task.ranges[place]
        placement = placement_of(self.preprocessing, frame.size_wh)

        def score_of(outputs: Mapping[str, Array]) -> NDArray[np.float64]:
            rows = self._rows(outputs, len(outputs[self.task.output]))
            values = [self._values(row, placement)[place] for row in rows]
            return np.asarray(np.clip((np.array(values) - low) / (high - low), 0.0, 1.0), np.float64)

        return Aim(names[place], place, score_of, self.preprocess)

    def _values(self, outputs: Mapping[str, Array], placement: Placement) -> NDArray[np.float32]:
        """The values of one image, coordinates in its pixels."""
        task = self.task
        values = np.concatenate([np.asarray(outputs[name], np.float32).reshape(-1) for name in task.outputs])
        _check_finite(values, task.output)
        for place, axis in enumerate(self._axes):
            if axis is not None:
                values[place] = self._in_image(values[place], *axis, placement)
        return values

    def _in_image(self, value: float, axis: int, is_size: bool, placement: Placement) -> float:
        """A coordinate, or a size along an axis, in pixels of the image."""
        in_input = value * self.preprocessing.size_wh[axis] if self.task.coordinates == "share" else value
        shift = 0.0 if is_size else float(placement.shift_xyxy[axis])
        return float(in_input * placement.scale_xyxy[axis] + shift)


def _check_finite(values: NDArray[np.float32], name: str) -> None:
    if not np.isfinite(values).all():
        raise InferenceError(f"output '{name}' contains NaN or infinity; expected finite numbers")


def class_labels(outputs: Sequence[TensorSpec], task: RegressTask, labels: Sequence[str]) -> tuple[str, ...]:
    """One name per class, numbers without labels; empty for a network without classes.

    Raises:
        OptionError: there is no such output, or it has another number of classes.
    """
    if not task.classes:
        return ()
    count = value_count(stated_output(outputs, task.classes, "the classes"))
    if labels and count not in (None, len(labels)):
        raise OptionError(f"output '{task.classes}' has {count} classes, and there are {len(labels)} labels")
    return tuple(labels) or tuple(f"class {number}" for number in range(count or 0))


def value_count(spec: TensorSpec) -> int | None:
    """Number of values for one image; `None` for an open size."""
    sizes = spec.shape[1:]
    return None if None in sizes else prod(int(size or 1) for size in sizes)
