"""Embedding as a task kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevision.tasks.api import (
    Claim,
    DecisionDifference,
    ImageTaskKind,
    NetworkFacts,
    TaskTexts,
)
from edgevision_regress.embedding import Embedder, Embedding, EmbedTask, described

if TYPE_CHECKING:
    from edgevision.tasks.api import CheckedSession, Preprocessing, TaskEvaluation

#: Cosine from which two embeddings are the same decision.
_SAME = 0.99


class EmbedKind(ImageTaskKind):
    """Vectors that are compared by their direction, such as those of faces."""

    name = EmbedTask.name
    noun = "embedder"
    activity = "embedding"
    verb = "gives embeddings"
    description: type[Any] = EmbedTask
    texts = TaskTexts(
        errors="are nearest to an image with another label",
        changes_title="Changed embeddings",
        changes="Images with another embedding than the source's, the largest angle first",
        agreement="Mean cosine of the artifact's and the source's embedding of the same image.",
        methods=(
            (
                "Nearest is the same",
                "Share of images whose nearest other image, by the cosine of their embeddings, has the same "
                "label (rank-1 accuracy, each image left out in turn). Images whose label no other image has "
                "are left out.",
            ),
            (
                "True accept at 1 % false accept",
                "Share of the pairs of images with one label whose cosine reaches a threshold that 1 % of "
                "the pairs with different labels reach at most; per image, then averaged. The threshold is "
                "found on the same images.",
            ),
        ),
    )

    def recognise(self, network: NetworkFacts) -> Claim | None:
        """Only if the caller says so: a vector looks like scores."""
        if network.input_size_wh is None or network.options.decoder is not None:
            return None
        vectors = [sum(size != 1 for size in one.shape[1:]) == 1 for one in network.outputs]
        kinds = [network.score_kinds.get(one.name, "linear") for one in network.outputs]
        fits = [vector and kind == "linear" for vector, kind in zip(vectors, kinds, strict=True)]
        return Claim.STATED if any(fits) else None

    def describe(self, network: NetworkFacts) -> EmbedTask:
        """As `DescribingKind.describe`."""
        return described(network)

    def image_model(
        self, session: CheckedSession, task: EmbedTask, preprocessing: Preprocessing, labels: Sequence[str]
    ) -> Embedder:
        """As `ImageTaskKind.image_model`."""
        return Embedder(session, preprocessing, task)

    def evaluation(self) -> TaskEvaluation:
        """As `TaskKind.evaluation`."""
        from edgevision_regress.embed_evaluation import EmbedEvaluation

        return EmbedEvaluation()

    def known_rows(self, place: int, result: Embedding) -> Any:
        """The vector: float32 ``(1, numbers)``."""
        return result.vector[None]

    def same_results(self, found: Any, known: Any, task: EmbedTask) -> bool:
        """As `ResultReplayer.same_results`: directions within a thousandth."""
        return found.shape == known.shape and bool(((found * known).sum(axis=1) >= 0.999).all())

    def decision_words(self, result: Mapping[str, Any]) -> str:
        """As `DecidingKind.decision_words`: the first numbers."""
        return ", ".join(f"{number:.3f}" for number in result["embedding"][:4])

    def compare_decisions(
        self, recorded: Mapping[str, Any], replayed: Mapping[str, Any]
    ) -> DecisionDifference:
        """As `DecidingKind.compare_decisions`: by the cosine of the two."""
        first, second = (Embedding(np.array(one["embedding"], np.float32)) for one in (recorded, replayed))
        words = self.decision_words(recorded), self.decision_words(replayed)
        same = len(first.vector) == len(second.vector) and first.similarity(second) >= _SAME
        return DecisionDifference(not same, *words)
