"""The numeric check of artifacts that compute in float: their outputs are the source's, but for rounding."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from edgevision.conversion.expected_outputs import ExpectedOutputs
from edgevision.converter import Source
from edgevision.datasets.image_sets import ImageSet
from edgevision.datasets.seed_sets import SeedSet
from edgevision.errors import ConversionError
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.run import Examples
from edgevision.evaluation.source_session import SourceSession
from edgevision.tensors import Array

#: Examples whose outputs are compared: a wrong conversion changes those of every image. Of generators from
#: seeds so many seeds, of which each may take dozens of calls.
_MOST_IMAGES, _MOST_SEEDS = 100, 4


class NumericCheck:
    """Compares the raw outputs of artifacts in float with the source's, on images of the evaluation set.

    Args:
        source: the trained model.
        evaluator: of its task.
        examples: the evaluation set; of many images, a sample of a hundred is used.
    """

    def __init__(self, source: Source, evaluator: Evaluator, examples: Examples) -> None:
        self._source = source
        self._evaluator = evaluator
        self._examples = examples

    @property
    def inputs(self) -> dict[str, Array]:
        """Input name -> float32 ``(n, …)``."""
        return self._expected.inputs

    def error(self, outputs: Mapping[str, Array]) -> float | None:
        """The largest error of an example, relative to the size of the outputs; see `rounding_errors`.

        Args:
            outputs: output name -> float32 ``(n, …)``, of an artifact for `inputs`.

        Returns:
            `None` if an output is missing, or has another shape than the source's, so that only the answers
            can be compared.
        """
        try:
            return float(self._expected.rounding_errors(outputs).max())
        except ConversionError:
            return None

    @cached_property
    def _expected(self) -> ExpectedOutputs:
        """The source's outputs for these examples, which take many calls of a generator."""
        data = self._evaluator.network_inputs(SourceSession(self._source), _some(self._examples))
        return ExpectedOutputs(self._source, data, self._evaluator, range)


def _some(examples: Examples) -> Examples:
    if isinstance(examples, ImageSet):
        return examples.sample(_MOST_IMAGES)
    return SeedSet(examples.start, min(len(examples), _MOST_SEEDS))
