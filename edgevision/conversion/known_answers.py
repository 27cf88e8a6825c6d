"""The known answers of a bundle: network inputs, and each artifact's outputs for them."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.bundle.known_answers import KnownAnswers, compute_answers
from edgevision.conversion.candidates import Trial
from edgevision.conversion.reference import Reference
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.source_session import SourceSession

#: Number of images: one per class, within these bounds.
_LEAST_IMAGES, _MOST_IMAGES = 8, 64
#: Most bytes of all images together, before compression.
_MOST_BYTES = 8_000_000


def known_answers(reference: Reference, trials: Sequence[Trial]) -> KnownAnswers:
    """Network inputs for a few representative examples, and each artifact's outputs for them.

    About one image per class, at least 8 and at most 64, limited to 8 MB of pixels.

    Args:
        reference: the source's answers, which the representative examples are chosen by.
        trials: the artifacts of the bundle, still loaded.
    """
    evaluator = reference.evaluator
    places = evaluator.representative(reference.answers, number_of_images(evaluator))
    inputs = evaluator.known_inputs(SourceSession(reference.source), reference.examples, places)
    return KnownAnswers(inputs, {trial.id: compute_answers(trial.session, inputs) for trial in trials})


def number_of_images(evaluator: Evaluator) -> int:
    """The number of images that a bundle of this task keeps with their known answers."""
    if evaluator.preprocessing is None:
        return _LEAST_IMAGES
    width, height = evaluator.preprocessing.size_wh
    per_class = min(max(_LEAST_IMAGES, len(evaluator.labels)), _MOST_IMAGES)
    return max(1, min(per_class, _MOST_BYTES // (width * height * 3)))
