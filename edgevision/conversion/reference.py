"""The source's answers on the evaluation set: the reference that artifacts are compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edgevision.artifact import standard_precision
from edgevision.converter import Source
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import NotShownError
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.run import Examples, measure
from edgevision.evaluation.source_session import SourceSession
from edgevision.evidence.requirements import CONFIDENCE, Budget, Requirement, output_error
from edgevision.evidence.sample_texts import in_groups, set_text
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

    def check_budget(self, budget: Budget, precisions: Iterable[str], confidence: float = CONFIDENCE) -> None:
        """Check that the set can show the budget for some artifact: for a copy of the source, at least.

        Args:
            budget: the loss that an artifact may have.
            precisions: of the artifacts that may be written.
            confidence: of the two-sided intervals, the lowest that any of these is judged at.

        Raises:
            NotShownError: it cannot; says how many images could.
        """
        comparison = self.evaluator.compare(self.answers, self.answers)
        missed = None
        for precision in precisions:
            default = self.evaluator.default_agreement[standard_precision(precision)]
            requirements = budget.requirements(comparison, default, output_error(0.0, precision), confidence)
            # Without a bound, an artifact that differs may have one.
            missed = next((one for one in requirements if not one.passed and one.bound is not None), None)
            if missed is None:
                return
        if missed is not None:
            raise NotShownError(self._not_shown(missed), None)

    def _not_shown(self, missed: Requirement) -> str:
        needed, groups = missed.images_needed, None
        if isinstance(self.examples, ImageSet) and self.examples.grouping is not None:
            groups = len(self.examples.grouping.names)
        images = "" if needed is None else in_groups(needed, len(self.examples), groups)
        more = f"pass --evaluation with at least {images}, " if images else ""
        option = "lower --min-agreement" if missed.at_least else "raise --max-drop"
        return (
            f"{self.examples.name}: {set_text(len(self.examples), groups)} cannot show that the "
            f"{missed.what} is {missed.required_text}: even for an artifact identical to the source, the "
            f"bound is {missed.bound_text}; {more}{option}, or pass --accept-not-shown to convert "
            f"nevertheless"
        )
