"""Evaluation: the share of points that are near the ground truth (PCK), and their mean distance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import edgevision.tasks.api as ev
from edgevision_pose import Pose, PoseKind, PoseTask

NEAR, FARTHEST = 5.0, 1000.0  # pixels


class PoseEvaluator(ev.ImageEvaluator):
    def compare(self, source: Sequence[Pose], artifact: Sequence[Pose]) -> ev.Comparison:
        far = _distances(_table(source), _table(artifact))
        texts = [f"{one.max():.1f} pixels" for one in far]
        return self.compared(source, artifact, (far <= NEAR).mean(axis=1), far.max(axis=1) / FARTHEST, texts)

    def measured(self, answers: Sequence[Pose]) -> ev.Measures:
        far = _distances(self.truth, _table(answers)).clip(max=FARTHEST)
        near = ev.mean_of(f"PCK@{NEAR:g}px", (far <= NEAR).mean(axis=1), groups=self.groups)
        error = ev.mean_error("distance", far.mean(axis=1), "pixels", largest=FARTHEST, groups=self.groups)
        return ev.Measures((near, error), (), far.mean(axis=1))

    def picture(self, image: Any, answer: Pose) -> Any:
        return answer.draw(image)

    def truth_picture(self, image: Any, place: int) -> Any:
        return None if self.truth is None else Pose(self.truth[place], None, self.task.points).draw(image)


class PoseEvaluation(ev.ImageTaskEvaluation):
    evaluator = PoseEvaluator
    truth_help = "FILE.json, with [[x, y], …] for each image"

    def described(self, network: ev.NetworkFacts) -> PoseTask:
        return PoseKind().describe(network)

    def read_truth(self, path: Path, images: ev.ImageSet, task: PoseTask, labels: tuple[str, ...]) -> Any:
        rows = ev.read_json(ev.read_file(path, 100_000_000))
        missing = [name for name in images.image_names if name not in rows]
        if missing:
            raise ev.InputError(f"{path}: has no points for image '{missing[0]}'")
        return np.array([rows[name] for name in images.image_names], float).reshape(-1, len(task.points), 2)


def _table(answers: Sequence[Pose]) -> Any:
    return np.stack([one.points_xy for one in answers]).astype(float)


def _distances(first: Any, second: Any) -> Any:
    return np.linalg.norm(first - second, axis=2)
