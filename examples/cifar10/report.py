"""What a model answered, against the truth: scikit-learn's report, side by side, and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import ConfusionMatrixDisplay, accuracy_score, classification_report, f1_score

from data import LabelledImages

mpl.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402  (the backend is chosen before)


@dataclass(frozen=True)
class Answers:
    """What one model answered.

    Attributes:
        model: its name, and the runtime and precision it ran in.
        predicted: (n,) int64, the top class of each image.
    """

    model: str
    predicted: NDArray[np.int64]


def full_report(answers: Answers, images: LabelledImages) -> str:
    """Scikit-learn's classification report: precision, recall and F1 of each class."""
    table = classification_report(
        images.labels,
        answers.predicted,
        labels=range(len(images.class_names)),
        target_names=images.class_names,
        digits=4,
        zero_division=0,
    )
    return f"{answers.model}, {len(images.labels)} images\n\n{table}"


def side_by_side(all_answers: Sequence[Answers], images: LabelledImages) -> str:
    """The F1 of each class and the accuracy, in percent, a column a model; then the drop from the first."""
    classes = range(len(images.class_names))
    columns = []
    for answers in all_answers:
        f1 = f1_score(images.labels, answers.predicted, labels=classes, average=None, zero_division=0)
        columns.append([*f1, accuracy_score(images.labels, answers.predicted)])
    percent = 100 * np.array(columns).T
    names = [f"{name} F1" for name in images.class_names] + ["accuracy"]
    lines = [_row("%", [answers.model for answers in all_answers])]
    lines += [
        _row(name, [f"{value:.2f}" for value in row]) for name, row in zip(names, percent, strict=True)
    ]
    lines.append(_row("drop, points", [f"{drop:+.2f}" for drop in percent[-1, 0] - percent[-1]]))
    agreement = [100 * np.mean(answers.predicted == all_answers[0].predicted) for answers in all_answers]
    lines.append(_row("agreement", [f"{value:.2f}" for value in agreement]))
    return "\n".join(lines)


def draw_confusion(all_answers: Sequence[Answers], images: LabelledImages, path: Path) -> None:
    """Draw the confusion matrix of each model, in counts, side by side in one PNG."""
    figure, axes = plt.subplots(
        1, len(all_answers), figsize=(7 * len(all_answers), 7), squeeze=False, layout="constrained"
    )
    for axis, answers in zip(axes[0], all_answers, strict=True):
        ConfusionMatrixDisplay.from_predictions(
            images.labels,
            answers.predicted,
            labels=range(len(images.class_names)),
            display_labels=images.class_names,
            xticks_rotation="vertical",
            cmap="Blues",
            colorbar=False,
            ax=axis,
        )
        axis.set_title(f"{answers.model}: {accuracy_score(images.labels, answers.predicted):.2%}")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:16}" + "".join(f"{cell:>18}" for cell in cells)
