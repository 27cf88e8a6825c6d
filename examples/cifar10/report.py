"""Predictions of models compared with the labels: scikit-learn's report, a table, and confusion matrices."""

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
class Predictions:
    """The predictions of one model.

    Attributes:
        model: its runtime and precision.
        predicted: (n,) int64, the top class of each image.
    """

    model: str
    predicted: NDArray[np.int64]


def full_report(predictions: Predictions, images: ImageSet) -> str:
    """Precision, recall and F1 of each class, from scikit-learn."""
    table = classification_report(
        labels_of(images),
        predictions.predicted,
        labels=range(len(images.class_names)),
        target_names=images.class_names,
        digits=4,
        zero_division=0,
    )
    return f"{predictions.model}, {len(images)} images\n\n{table}"


def side_by_side(predictions: Sequence[Predictions], images: ImageSet) -> str:
    """F1 per class, accuracy, drop from the first model, agreement with it: percent, a column per model."""
    labels, first = labels_of(images), predictions[0].predicted
    classes = range(len(images.class_names))
    columns = []
    for predicted in (each.predicted for each in predictions):
        f1 = f1_score(labels, predicted, labels=classes, average=None, zero_division=0)
        drop = accuracy_score(labels, first) - accuracy_score(labels, predicted)
        columns.append([*f1, accuracy_score(labels, predicted), drop, np.mean(predicted == first)])
    rows = [*(f"F1 {name}" for name in images.class_names), "accuracy", "drop (pp)", "agreement"]
    lines = [_row("", [each.model for each in predictions])]
    for name, values in zip(rows, 100 * np.array(columns).T, strict=True):
        lines.append(_row(name, [f"{value:.2f}" for value in values]))
    return "\n".join(lines)


def draw_confusion(predictions: Sequence[Predictions], images: ImageSet, path: Path) -> None:
    """Draw the confusion matrix of each model, in images, side by side in one PNG."""
    # Not a figure of pyplot, which needs a display and global state.
    figure = Figure(figsize=(6 * len(predictions), 6), layout="constrained")
    axes = figure.subplots(1, len(predictions), squeeze=False)[0]
    for axis, each in zip(axes, predictions, strict=True):
        ConfusionMatrixDisplay.from_predictions(
            labels_of(images),
            each.predicted,
            labels=range(len(images.class_names)),
            display_labels=images.class_names,
            xticks_rotation="vertical",
            cmap="Blues",
            colorbar=False,
            ax=axis,
        )
        axis.set_title(f"{each.model}: accuracy {accuracy_score(labels_of(images), each.predicted):.2%}")
    figure.savefig(path, dpi=80)


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:16}" + "".join(f"{cell:>18}" for cell in cells)
