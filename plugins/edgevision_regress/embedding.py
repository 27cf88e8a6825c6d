"""Embeddings: the vector that a network gives an image, to be compared by its direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgevision.tasks.api import (
    Array,
    CheckedSession,
    ExplainableModel,
    Frame,
    InferenceError,
    NetworkFacts,
    OptionError,
    Pixels,
    Placement,
    Preprocessing,
    SingleRunModel,
    stated_output,
)

if TYPE_CHECKING:
    from edgevision.tasks.api import Aim

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class EmbedTask:
    """An embedding.

    Attributes:
        output: name of the output, ``(batch, numbers)``.

    Raises:
        OptionError: a field has a wrong value; names it.
    """

    name: ClassVar[str] = "embed"
    output: str

    def __post_init__(self) -> None:
        if not isinstance(self.output, str):
            raise OptionError(f"output: expected the name of a tensor, got {self.output!r:.80}")

    @property
    def read_outputs(self) -> dict[str, str]:
        """The output that is read."""
        return {self.output: ""}


@dataclass(frozen=True, eq=False)
class Embedding:
    """The embedding of one image.

    Attributes:
        vector: float32 ``(numbers,)``, of length 1.
    """

    vector: Vector

    def similarity(self, other: Embedding) -> float:
        """The cosine of the angle to another embedding of the same network, -1…1; 1 is the same direction.

        Raises:
            OptionError: it has another number of numbers.
        """
        return float(similarities([self], [other])[0, 0])

    def to_dict(self) -> dict[str, Any]:
        """JSON values: the vector."""
        return {"embedding": [round(number, 6) for number in self.vector.tolist()]}

    def lines(self) -> list[str]:
        """The number of numbers, and the first few."""
        shown = ", ".join(f"{number:.3f}" for number in self.vector[:4].tolist())
        return [f"{len(self.vector)} numbers: {shown}, …"]

    def draw(self, image: Pixels, scale: int = 1) -> Pixels:
        """The image itself: nothing of an embedding can be seen."""
        copied: Pixels = image.copy()
        return copied


class Embedder(ExplainableModel[Embedding], SingleRunModel[Embedding]):
    """A network that gives embeddings. Safe to share between threads.

    Args:
        session: the network.
        preprocessing: from an image to the network's input.
        task: its output.

    Raises:
        OptionError: the network has no such output.
    """

    def __init__(self, session: CheckedSession, preprocessing: Preprocessing, task: EmbedTask) -> None:
        super().__init__(session, preprocessing, (), task)
        stated_output(session.outputs, task.output, "the embedding")

    def _result(
        self, outputs: Mapping[str, Array], size_wh: tuple[int, int], placement: Placement
    ) -> Embedding:
        return self._embedding(outputs)

    def _aim(self, frame: Frame, target: Any) -> Aim:
        """The similarity to the embedding of the whole image, 0 where they point apart."""
        from edgevision.tasks.api import Aim  # who compares does not wait for explanations

        if target is not None:
            raise OptionError(f"target: an embedding has no classes; remove it, got {target!r:.80}")
        whole = self._embedding(self.outputs_of(frame))

        def score_of(outputs: Mapping[str, Array]) -> NDArray[np.float64]:
            rows = self._rows(outputs, len(outputs[self.task.output]))
            return np.maximum(similarities([self._embedding(row) for row in rows], [whole])[:, 0], 0.0)

        return Aim("similarity", 0, score_of, self.preprocess)

    def _target_of(self, explanation: Any) -> None:
        """None: there is one thing to explain."""

    def _embedding(self, outputs: Mapping[str, Array]) -> Embedding:
        vector = np.asarray(outputs[self.task.output], np.float32).reshape(-1)
        length = float(np.linalg.norm(vector.astype(np.float64)))
        if not np.isfinite(length) or length == 0:
            raise InferenceError(
                f"output '{self.task.output}' has the length {length:g}, and so no direction; expected "
                "finite numbers that are not all 0"
            )
        return Embedding(vector / np.float32(length))


def similarities(first: Sequence[Embedding], second: Sequence[Embedding]) -> NDArray[np.float64]:
    """The cosine of each pair, float64 ``(first, second)``.

    Raises:
        OptionError: they have different numbers of numbers.
    """
    tables = [np.stack([one.vector for one in each]).astype(np.float64) for each in (first, second)]
    if tables[0].shape[1] != tables[1].shape[1]:
        raise OptionError(
            f"embeddings of {tables[0].shape[1]} and of {tables[1].shape[1]} numbers cannot be compared; "
            "pass those of one network"
        )
    return np.asarray(np.clip(tables[0] @ tables[1].T, -1.0, 1.0))


def described(network: NetworkFacts) -> EmbedTask:
    """The description of a network; raises OptionError if its output is not named and there are several."""
    return EmbedTask(stated_output(network.outputs, network.options.output, "the embedding").name)
