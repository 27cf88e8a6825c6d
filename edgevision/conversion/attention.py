"""The check that the answers of an artifact rest on the same parts of the images as those of its source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from edgevision.conversion.candidates import Trial
from edgevision.conversion.reference import Reference
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import NotShownError, OptionError
from edgevision.evaluation.attention import SourceAttention
from edgevision.evaluation.attention_checks import OtherMaps
from edgevision.evaluation.run import Examples
from edgevision.evidence.attention import AttentionSpecification
from edgevision.evidence.bounds import Complement, ShareBound, needed
from edgevision.evidence.requirements import CONFIDENCE, attention_drift
from edgevision.tasks.explainable_model import ExplainableModel


@dataclass(frozen=True, eq=False)
class AttentionCheck:
    """Compares what the answers of candidates rest on with the source's.

    Attributes:
        source: the maps of the source.
    """

    source: SourceAttention

    @classmethod
    def measure(
        cls,
        specification: AttentionSpecification,
        reference: Reference,
        on_done: Callable[[int], None],
    ) -> AttentionCheck:
        """Make the maps of the source; raises as `check_attention`.

        Args:
            specification: how.
            reference: the source.
            on_done: called after each image.

        Raises:
            InputError: an image can no longer be read.
            OptionError: no image has a map that says something.
        """
        images = explainable(reference.model, reference.examples)
        others = OtherMaps.of(reference.source, reference.evaluator)
        return cls(SourceAttention.measure(specification, reference.model, images, others, on_done))

    @property
    def images(self) -> int:
        """Number of images that are compared."""
        return len(self.source.maps)

    def judged(self, trial: Trial, model: Any, confidence: float, on_done: Callable[[int], None]) -> Trial:
        """The trial with its attention drift and, if that is limited, the requirement.

        Args:
            trial: of an artifact.
            model: the artifact as a model of its task.
            confidence: of the two-sided interval that it is judged by.
            on_done: called after each image.

        Raises:
            InferenceError: its runtime failed.
        """
        found, maps = self.source.drift(model, on_done)
        limit, required = self.source.specification.max_drift, trial.measured.requirements
        if limit is not None:
            drift, sampled = found.drift, self.source.evidence.sampled
            required = (
                *required,
                attention_drift(
                    drift.value, drift.interval, (self.images, sampled), float(limit), confidence
                ),
            )
        return replace(
            trial, measured=replace(trial.measured, attention=found, requirements=required), maps=maps
        )


def check_attention(
    specification: AttentionSpecification, model: Any, examples: Examples, accept_not_shown: bool
) -> None:
    """Check that attention can be measured at all, before anything that takes long.

    Args:
        specification: how it is measured.
        model: the source as a model of its task.
        examples: the evaluation set.
        accept_not_shown: True if the limit on the drift need not be shown to be met.

    Raises:
        OptionError: the answers of models of this task are not explained.
        NotShownError: so few images could not even show the limit of a copy of the source.
    """
    images = min(len(explainable(model, examples)), int(specification.images))
    limit = specification.max_drift
    if limit is None or accept_not_shown:
        return
    bound = Complement(ShareBound(1.0, None, CONFIDENCE))
    if bound.at(images, CONFIDENCE) > limit:
        least = needed(bound, float(limit), CONFIDENCE)
        raise NotShownError(
            f"{images} images cannot show that the attention drift is at most {limit:g}: even for an "
            f"artifact identical to the source, the bound is {bound.at(images, CONFIDENCE):.3f}; pass "
            f"--attention {least} or more with as many evaluation images, raise --max-attention-drift, or "
            "pass --accept-not-shown to convert nevertheless",
            None,
        )


def explainable(model: Any, examples: Examples) -> ImageSet:
    """The images of which a model's answers can be explained.

    Raises:
        OptionError: they cannot.
    """
    if isinstance(model, ExplainableModel) and isinstance(examples, ImageSet):
        return examples
    raise OptionError(
        f"attention: answers of a {type(model).__name__} are not explained; remove --attention and "
        "--max-attention-drift"
    )
