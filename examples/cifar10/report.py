"""What models answered, against the truth: scikit-learn's report, side by side, and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from dataset import labels_of
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import ConfusionMatrixDisplay, accuracy_score, classification_report, f1_score

from edgevision.datasets.image_sets import ImageSet


@dataclass(frozen=True)
class Answers:
    """What one model answered.

    Attributes:
        model: the runtime and the precision that it ran in.
        predicted: (n,) int64, the top class of each image.
    """

    model: str
    predicted: NDArray[np.int64]


def full_report(answers: Answers, images: ImageSet) -> str:
    """Precision, recall and F1 of each class, by scikit-learn."""
    table = classification_report(
        labels_of(images),
        answers.predicted,
        labels=range(len(images.class_names)),
        target_names=images.class_names,
        digits=4,
        zero_division=0,
    )
    return f"{answers.model}, {len(images)} images\n\n{table}"


def side_by_side(all_answers: Sequence[Answers], images: ImageSet) -> str:
    """In percent, a column a model: F1 of each class, accuracy, drop from the first, agreement with it."""
    truth, first = labels_of(images), all_answers[0].predicted
    classes = range(len(images.class_names))
    columns = []
    for predicted in (answers.predicted for answers in all_answers):
        f1 = f1_score(truth, predicted, labels=classes, average=None, zero_division=0)
        drop = accuracy_score(truth, first) - accuracy_score(truth, predicted)
        columns.append([*f1, accuracy_score(truth, predicted), drop, np.mean(predicted == first)])
    rows = [*(f"F1 {name}" for name in images.class_names), "accuracy", "drop, points", "agreement"]
    lines = [_row("", [answers.model for answers in all_answers])]
    for name, values in zip(rows, 100 * np.array(columns).T, strict=True):
        lines.append(_row(name, [f"{value:.2f}" for value in values]))
    return "\n".join(lines)


def draw_confusion(all_answers: Sequence[Answers], images: ImageSet, path: Path) -> None:
    """Draw the confusion matrix of each model, in images, side by side in one PNG."""
    # A figure of its own, not pyplot's: it needs no display and no global state.
    figure = Figure(figsize=(6 * len(all_answers), 6), layout="constrained")
    axes = figure.subplots(1, len(all_answers), squeeze=False)[0]
    for axis, answers in zip(axes, all_answers, strict=True):
        ConfusionMatrixDisplay.from_predictions(
            labels_of(images),
            answers.predicted,
            labels=range(len(images.class_names)),
            display_labels=images.class_names,
            xticks_rotation="vertical",
            cmap="Blues",
            colorbar=False,
            ax=axis,
        )
        axis.set_title(
            f"{answers.model}: accuracy {accuracy_score(labels_of(images), answers.predicted):.2%}"
        )
    figure.savefig(path, dpi=80)


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:16}" + "".join(f"{cell:>18}" for cell in cells)
