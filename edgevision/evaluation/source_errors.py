"""Is the source itself right? The errors of any task on images, compared with those on other input.

`edgevision.evaluation.source_check` does the same for classifiers, from their hits and misses.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.calibration.alternatives import Alternative, alternatives, other_interpolations
from edgevision.calibration.findings import Finding
from edgevision.converter import Source
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InferenceError, InputError, OptionError
from edgevision.evaluation.contradictions import contradicts
from edgevision.evaluation.image_evaluator import ImageEvaluator
from edgevision.evaluation.source_session import SourceSession
from edgevision.session import CheckedSession

#: Images that alternatives are tried on, and those of them that each is tried on first.
_SAMPLE, _FIRST = 32, 10
#: Probability that an alternative that is no better has fewer errors on so many images by chance.
_SIGNIFICANT = 0.001
#: Share of the mean error that an alternative must do away with: another way to resize changes a little of
#: everything, which is no mistake.
_LEAST_GAIN = 0.1


def better_input(
    source: Source, evaluator: ImageEvaluator, images: ImageSet, answers: Sequence[Any]
) -> Finding | None:
    """A warning if the source has far fewer errors with images that are prepared in another way.

    Args:
        source: the trained model.
        evaluator: of its task, with ground truth.
        images: the evaluation set.
        answers: the source's, one per image.
    """
    count = len(images)
    places = np.sort(np.random.default_rng(0).permutation(count)[:_SAMPLE]).tolist()
    current = _errors(evaluator.at(places), [answers[place] for place in places])
    if current is None or not current.any():
        return None
    trial = _Trial(source, evaluator, images, places, current)
    ways = chain(alternatives(evaluator.preprocessing), other_interpolations(evaluator.preprocessing))
    found = [(way, errors) for way in ways if (errors := trial.errors(way)) is not None]
    if not found:
        return None
    best, errors = min(found, key=lambda one: float(one[1].mean()))
    option = f"{best.option} --force-input" if contradicts(source, best.preprocessing) else best.option
    return Finding(
        best.check,
        "warning",
        f"the source itself has a mean error of {current.mean():.3g} on {len(places)} images with ground "
        f"truth, but of {errors.mean():.3g} if they are given to it {best.description} (pass {option}); pass "
        "what it was trained with",
    )


class _Trial:
    """Tries alternatives on a sample of images; arguments as `better_input`, `current` are its errors."""

    def __init__(
        self,
        source: Source,
        evaluator: ImageEvaluator,
        images: ImageSet,
        places: list[int],
        current: NDArray[np.float64],
    ) -> None:
        self._source = source
        self._evaluator = evaluator
        self._images = images
        self._places = places
        self._current = current

    def errors(self, way: Alternative) -> NDArray[np.float64] | None:
        """The errors with other input, if they are clearly fewer."""
        if way.preprocessing == self._evaluator.preprocessing:
            return None
        evaluator = self._evaluator.seeing(way.preprocessing)
        try:
            model = evaluator.model(CheckedSession(SourceSession(self._source), self._source.kind))
            first = self._answers(evaluator, model, self._places[:_FIRST])
            errors = _errors(evaluator.at(self._places[:_FIRST]), first)
            if errors is None or not _is_lower(errors, self._current[:_FIRST]):
                return None
            others = self._answers(evaluator, model, self._places[_FIRST:])
            errors = _errors(evaluator.at(self._places), [*first, *others])
        except (InferenceError, InputError, OptionError):  # values that break a network are not its own
            return None
        if errors is None or not _is_lower(errors, self._current):
            return None
        fewer, more = int((errors < self._current).sum()), int((errors > self._current).sum())
        return errors if sign_test(fewer, more) < _SIGNIFICANT else None

    def _answers(self, evaluator: ImageEvaluator, model: Any, places: list[int]) -> Sequence[Any]:
        return evaluator.answers(model, list(self._images.at(places))) if places else []


def _errors(evaluator: ImageEvaluator, answers: Sequence[Any]) -> NDArray[np.float64] | None:
    """The error of each image; `None` where the task cannot say, such as for too few images."""
    try:
        measures = evaluator.measure(answers)
    except InputError:
        return None
    return None if measures is None else measures.errors


def _is_lower(errors: NDArray[np.float64], current: NDArray[np.float64]) -> bool:
    return float(errors.mean()) < (1 - _LEAST_GAIN) * float(current.mean())


def sign_test(fewer: int, more: int) -> float:
    """The probability of `fewer` or more of all changes, if gains and losses were equally likely.

    McNemar's test for paired proportions, in its exact form.
    """
    changes = fewer + more
    return float(sum(comb(changes, count) for count in range(fewer, changes + 1)) / 2**changes)
