"""Pose estimation for EdgeVision: key points from heat maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import edgevision.tasks.api as ev


@ev.hookimpl
def edgevision_tasks() -> list[ev.TaskKind]:
    return [PoseKind()]


@dataclass(frozen=True)
class PoseTask:
    """The description in a bundle: `output` is ``(batch, height, width, points)``, a map per point."""

    name: ClassVar[str] = "pose"
    output: str
    points: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", tuple(self.points))
        if not self.points or not all(isinstance(one, str) for one in self.points):
            raise ev.OptionError(f"points: expected names, got {self.points!r:.80}")


class PoseKind(ev.ImageTaskKind):
    name, noun, activity, verb = "pose", "pose estimator", "pose estimation", "finds key points"
    description = PoseTask
    options = (ev.TaskOption("points", 'Names of the points, such as ["nose", "left eye"].'),)

    def recognise(self, network: ev.NetworkFacts) -> ev.Claim | None:
        # If the caller says so: heat maps look like a segmentation.
        return ev.Claim.STATED if any(len(one.shape) == 4 for one in network.outputs) else None

    def describe(self, network: ev.NetworkFacts) -> PoseTask:
        points = network.options.task_options.get("points")
        if points is None:
            raise ev.MissingOptionError(network.where, "pass --task-option points='[\"nose\", …]'")
        output = ev.stated_output(network.outputs, network.options.output, "the heat maps")
        return PoseTask(output.name, points)

    def image_model(self, session: Any, task: PoseTask, preprocessing: Any, labels: Sequence[str]) -> Any:
        return PoseEstimator(session, preprocessing, labels, task)

    def evaluation(self) -> Any:
        from edgevision_pose.evaluation import PoseEvaluation  # not at the top: a device needs none of it

        return PoseEvaluation()


@dataclass(frozen=True, eq=False)
class Pose:
    """The key points of one image: `points_xy` ``(n, 2)`` in its pixels, `scores` ``(n,)``."""

    points_xy: Any
    scores: Any
    names: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        rows = zip(self.names, self.points_xy.tolist(), self.scores.tolist(), strict=True)
        return {"points": [{"label": name, "xy": xy, "score": score} for name, xy, score in rows]}

    def lines(self) -> list[str]:
        rows = zip(self.names, self.points_xy.tolist(), strict=True)
        return ["  ".join(f"{name} {x:.0f},{y:.0f}" for name, (x, y) in rows)]

    def draw(self, image: Any, scale: int = 1) -> Any:
        out = image.copy()
        for number, (x, y) in enumerate((self.points_xy * scale).astype(int).tolist()):
            out[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = ev.class_color(number)
        return out


class PoseEstimator(ev.SingleRunModel[Pose]):
    def _result(self, outputs: Mapping[str, Any], size_wh: Any, placement: ev.Placement) -> Pose:
        heat = outputs[self.task.output]
        if not np.isfinite(heat).all():
            raise ev.InferenceError(f"output '{self.task.output}' contains NaN or infinity")
        height, width, count = heat.shape
        places = heat.reshape(-1, count).argmax(axis=0)
        cells = np.stack([places % width, places // width], -1) + 0.5  # the centre of the best cell
        points = cells * self.preprocessing.size_wh / (width, height)
        in_image = placement.to_image(np.tile(points, 2))[:, :2]
        return Pose(in_image, heat.reshape(-1, count).max(axis=0), self.task.points)
