"""Evaluation of embeddings: their cosine with the source's, and the label of the nearest image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.tasks.api import (
    Comparison,
    ImageEvaluator,
    ImageSet,
    ImageTaskEvaluation,
    InputError,
    Measures,
    NetworkFacts,
    mean_of,
    share_of,
)
from edgevision_regress.embedding import Embedding, EmbedTask, described, similarities
from edgevision_regress.gallery import pair_cosines, threshold_of
from edgevision_regress.truth import LABEL, read_columns

#: Share of the pairs with different labels that may be taken for one.
_FALSE_ACCEPTS = 0.01
_TRUE_ACCEPT = "true accept at 1 % false accept"


class EmbeddingEvaluator(ImageEvaluator):
    """Compares embeddings with their source; its ground truth is a label for each image, as an array."""

    def compare(self, source: Sequence[Embedding], artifact: Sequence[Embedding]) -> Comparison:
        """As `Evaluator.compare`; a difference is 1 - the cosine."""
        cosines = np.array([a.similarity(b) for a, b in zip(source, artifact, strict=True)])
        texts = [f"cosine {one:.4f}" for one in cosines.tolist()]
        return self.compared(source, artifact, np.maximum(cosines, 0.0), 1 - cosines, texts)

    def measured(self, answers: Sequence[Embedding]) -> Measures:
        """As `ImageEvaluator.measured`; an image has an error if its nearest has another label."""
        labels = np.asarray(self.truth)
        paired = np.array([int((labels == label).sum()) > 1 for label in labels])
        if not paired.any():
            raise InputError("no label is that of two images, so nothing can be measured")
        cosines = similarities(answers, answers)
        np.fill_diagonal(cosines, -2.0)
        hits = labels[cosines.argmax(axis=1)] == labels
        groups = None if self.groups is None else self.groups[paired]
        alone = int((~paired).sum())
        notes = (f"{alone} images have a label of their own and are left out",) if alone else ()
        metrics = [share_of("nearest is the same", hits[paired], groups=groups)]
        if not (labels == labels[0]).all():
            same, accepted, note = self._accepted(answers, labels)
            shares = accepted[paired] / same[paired]
            metrics.append(mean_of(_TRUE_ACCEPT, shares, lowest=0.0, groups=groups))
            notes = (*notes, note)
        return Measures(tuple(metrics), (), np.where(paired, ~hits, False).astype(float), notes=notes)

    def _accepted(
        self, answers: Sequence[Embedding], labels: NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], str]:
        """Per image, other images with its label, and those of them that are accepted; and how, in words."""
        _, different = pair_cosines(answers, labels)
        threshold = threshold_of(different, _FALSE_ACCEPTS)
        same = labels[:, None] == labels[None]
        np.fill_diagonal(same, False)
        accepted = same & (similarities(answers, answers) >= threshold)
        note = (
            f"{_TRUE_ACCEPT}: at a cosine of {threshold:.4f}, which "
            f"{int((different >= threshold).sum()):,} of {len(different):,} pairs with different labels reach"
        )
        return same.sum(axis=1), accepted.sum(axis=1), note


class EmbedEvaluation(ImageTaskEvaluation):
    """As `edgevision.tasks.api.TaskEvaluation`."""

    evaluator = EmbeddingEvaluator
    truth_help = "FILE.csv, with the columns image and label"

    def described(self, network: NetworkFacts) -> EmbedTask:
        """As `ImageTaskEvaluation.described`."""
        return described(network)

    def read_truth(
        self, path: Path, images: ImageSet, task: EmbedTask, labels: tuple[str, ...]
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.str_]]:
        """As `ImageTaskEvaluation.read_truth`."""
        columns, rows = read_columns(path)
        if LABEL not in columns:
            raise InputError(f"{path}: has no column '{LABEL}'; it has: {', '.join(columns)}")
        missing = [name for name in images.image_names if name not in rows]
        if missing:
            raise InputError(f"{path}: has no row for image '{missing[0]}'")
        return np.array([rows[name][columns.index(LABEL)].strip() for name in images.image_names], str)
