"""The source's answers on the evaluation set: the reference that artifacts are compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edgevision.converter import Source
from edgevision.errors import InputError
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.run import Examples, measure
from edgevision.evaluation.source_session import SourceSession
from edgevision.evidence.requirements import Budget
from edgevision.session import CheckedSession


@dataclass(frozen=True, eq=False)
class Reference:
    """The source's answers on the evaluation set.

    Attributes:
        source: the trained model.
        model: the source as a model of its task.
        evaluator: the task's evaluator.
        examples: the evaluation set.
        answers: one per example.
    """

    source: Source
    model: Any
    evaluator: Evaluator
    examples: Examples
    answers: Sequence[Any]

    @classmethod
    def measure(
        cls, source: Source, evaluator: Evaluator, examples: Examples, on_done: Callable[[int], None]
    ) -> Reference:
        """Run the source over the evaluation set.

        Args:
            source: the trained model.
            evaluator: the task's evaluator.
            examples: the evaluation set.
            on_done: called after each block, with the number of examples answered so far.

        Raises:
            InputError: an image cannot be read.
            OptionError: the tensors of the source are not those of its task.
        """
        model = evaluator.model(CheckedSession(SourceSession(source), source.kind))
        (answers,) = measure(evaluator, [model], examples, on_done)
        return cls(source, model, evaluator, examples, answers)

    def check_budget(self, budget: Budget) -> None:
        """Check that the set is large enough: a copy of the source must be inside the budget on it.

        Raises:
            InputError: it would not be; states the bound that the set can show.
        """
        comparison = self.evaluator.compare(self.answers, self.answers)
        for requirement in budget.requirements(comparison, 0.0):
            if not requirement.passed:
                raise InputError(
                    f"{self.examples.name}: {len(self.examples)} images cannot show that the "
                    f"{requirement.what} is within {requirement.limit_text}: even for an artifact identical "
                    f"to the source, the bound is {requirement.measured_text}; evaluate on more images, or "
                    f"raise --max-drop"
                )
