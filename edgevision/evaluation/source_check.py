"""Is the source itself right? Its predictions on labelled images, compared with chance and with other input.

An artifact that agrees with its source on every image is as wrong as the source, if that sees other values,
colours or pixels than in its training.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.calibration.alternatives import Alternative, alternatives, other_interpolations
from edgevision.calibration.findings import Finding
from edgevision.converter import Source
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InferenceError, InputError, OptionError
from edgevision.evaluation.classification import ClassificationEvaluator
from edgevision.evaluation.contradictions import contradicts
from edgevision.evaluation.image_evaluator import ImageEvaluator
from edgevision.evaluation.source_errors import better_input, sign_test
from edgevision.evaluation.source_model import stated_normalization
from edgevision.evaluation.source_session import SourceSession
from edgevision.imaging.frame import Frame
from edgevision.imaging.input_options import InputOptions
from edgevision.imaging.preprocess import Preprocessing
from edgevision.imaging.view import size_wh_of
from edgevision.metrics.classification import members
from edgevision.metrics.formatting import in_unit, method_of, with_interval
from edgevision.metrics.intervals import Groups, proportion
from edgevision.session import CheckedSession
from edgevision.tasks.classify import Classifier, Scores

Hits = NDArray[np.bool_]
_Image = NDArray[np.uint8] | Frame

#: Images that alternatives are tried on, and those of them that each is tried on first.
_SAMPLE, _FIRST = 256, 48
#: Probability that an alternative that is no better changes as many predictions for the better by chance.
#: About eight are tried.
_SIGNIFICANT = 0.001
#: With fewer errors, even an alternative without any would not be significantly better.
_FEWEST_ERRORS = 10
#: Share of the predictions that another interpolation changes, from which it must be stated.
_MANY_CHANGED = 0.1
#: Kappa (Cohen 1960) from which a classifier is far better than chance, however few images show it.
_KAPPA = 0.5


def check_source(
    source: Source, evaluator: object, images: object, answers: Sequence[Any], strict: bool = False
) -> tuple[Finding, ...]:
    """Warnings if predictions of classes are no better than chance, or answers far better with other input.

    Nothing is found without ground truth, or for a classifier in a set of a single class.

    Args:
        source: the trained model.
        evaluator: the evaluator of its task.
        images: the evaluation set.
        answers: the source's, one per image; of a classifier its scores.
        strict: refuse the conversion if there is a warning.

    Raises:
        InputError: there is a warning, and `strict` is true.
    """
    if not isinstance(images, ImageSet) or getattr(evaluator, "truth", None) is None:
        return ()
    findings: list[Finding] = []
    if isinstance(evaluator, ClassificationEvaluator):
        findings = _of_classifier(source, evaluator, images, np.stack(answers))
    elif isinstance(evaluator, ImageEvaluator):
        findings = [one for one in [better_input(source, evaluator, images, answers)] if one]
    if findings and strict:
        raise InputError(
            f"--strict refuses the source {source.path}: {'; '.join(one.text for one in findings)}; correct "
            "this, or remove --strict to record these warnings in the evidence"
        )
    return tuple(findings)


def _of_classifier(
    source: Source, evaluator: ClassificationEvaluator, images: ImageSet, scores: Scores
) -> list[Finding]:
    if evaluator.truth is None:
        return []
    true = members(evaluator.truth, scores.shape[1])
    if (true.any(axis=0)).sum() < 2:
        return []
    hits = _hits(scores, true)
    better = _better_input(source, evaluator, images, hits, true)
    chance = _no_better_than_chance(scores, true, hits, better, evaluator.groups)
    return [finding for finding in (chance, better) if finding]


def check_interpolation(
    source: Source, evaluator: object, images: object, answers: Sequence[Scores], options: InputOptions
) -> Finding | None:
    """A note if the predictions depend on how images are resized, and neither caller nor model say how.

    Args:
        source, evaluator, images, answers: as for `check_source`.
        options: the caller's statements.
    """
    if not isinstance(evaluator, ClassificationEvaluator) or not isinstance(images, ImageSet):
        return None
    stated = stated_normalization(source.facts)
    if options.interpolation is not None or (stated is not None and stated.interpolation is not None):
        return None
    places = np.sort(np.random.default_rng(0).permutation(len(answers))[:_FIRST])
    others = tuple(other_interpolations(evaluator.preprocessing))
    sample = _Sample.of(images.at(places.tolist()), evaluator.preprocessing, others)
    if not sample.resizes:
        return None
    current = np.stack([answers[place] for place in places.tolist()]).argmax(axis=1)
    changed = {
        other: int((_scores(source, evaluator, other, sample.seen_by(other)).argmax(axis=1) != current).sum())
        for other in others
    }
    most = max(changed, key=lambda alternative: changed[alternative])
    if changed[most] < _MANY_CHANGED * len(places):
        return None
    return Finding(
        "interpolation",
        "note",
        f"the source predicts another class for {changed[most]} of {len(places)} images if they are "
        f"{most.description} instead of {evaluator.preprocessing.interpolation}; pass --interpolation with "
        "the one of its training",
    )


@dataclass(frozen=True, eq=False)
class _Sample:
    """Images at the network's size: photographs as they come from a camera would fill the memory.

    Attributes:
        by_interpolation: way of resampling -> the images, resized in that way.
        resizes: True if an image had another size, so that the way matters.
    """

    by_interpolation: Mapping[str, Sequence[_Image]]
    resizes: bool

    @classmethod
    def of(cls, images: Iterable[_Image], current: Preprocessing, others: Sequence[Alternative]) -> _Sample:
        """Each image is decoded once, and resized as now and in the other ways."""
        ways = [current, *(other.preprocessing for other in others)]
        resized: dict[str, list[_Image]] = {way.interpolation: [] for way in ways}
        resizes = False
        for image in images:
            resizes = resizes or size_wh_of(image) != current.size_wh
            for way in ways:
                resized[way.interpolation].append(way.resized(image))
        return cls(resized, resizes)

    def seen_by(self, alternative: Alternative, part: slice = slice(None)) -> Sequence[_Image]:
        """The images as an alternative resizes them."""
        return self.by_interpolation[alternative.preprocessing.interpolation][part]


def _scores(
    source: Source, evaluator: ClassificationEvaluator, alternative: Alternative, images: Sequence[_Image]
) -> Scores:
    task, session = evaluator.task, CheckedSession(SourceSession(source), source.kind)
    model = Classifier(session, alternative.preprocessing, evaluator.labels, task.score_kind, task.output)
    return model.scores(images)


def _hits(scores: Scores, true: Hits) -> Hits:
    """For each image, whether its top class is one that it shows."""
    hits: Hits = true[np.arange(len(scores)), scores.argmax(axis=1)]
    return hits


def _no_better_than_chance(
    scores: Scores, true: Hits, hits: Hits, better: Finding | None, groups: Groups | None
) -> Finding | None:
    predicted = members(scores.argmax(axis=1), scores.shape[1])
    chance = float((predicted.mean(axis=0) * true.mean(axis=0)).sum())
    accuracy, interval = float(hits.mean()), proportion(hits, groups=groups)
    if interval.low > chance or accuracy - chance >= _KAPPA * (1 - chance):
        return None
    cause = (
        "check the order of the classes (--labels), --input-range, --color, --resize, and the images"
        if better is None
        else "see the next warning"
    )
    return Finding(
        "source-accuracy",
        "warning",
        f"the source itself predicts the right class of {with_interval(accuracy, interval, 'share')} of "
        f"{len(hits)} labelled images (interval: {method_of(interval)}), no better than chance "
        f"({in_unit(chance, 'share')}), so that agreement with it proves nothing; {cause}",
    )


def _better_input(
    source: Source, evaluator: ClassificationEvaluator, images: ImageSet, hits: Hits, true: Hits
) -> Finding | None:
    places = np.sort(np.random.default_rng(0).permutation(len(hits))[:_SAMPLE])
    current, true = hits[places], true[places]
    if (~current).sum() < _FEWEST_ERRORS:
        return None
    interpolations = tuple(other_interpolations(evaluator.preprocessing))
    sample = _Sample.of(images.at(places.tolist()), evaluator.preprocessing, interpolations)
    trial = _Trial(source, evaluator, sample, true, current)
    results = [trial.of(each) for each in chain(alternatives(evaluator.preprocessing), interpolations)]
    found = [result for result in results if result is not None]
    if not found:
        return None
    best = max(found, key=lambda one: float(one.hits.mean()))
    likely = [one for one in found if one is not best and not _is_worse(one.hits, best.hits)]
    ways = [
        f"{one.alternative.description} ({_right(one.hits)}; pass {_option(source, one.alternative)})"
        for one in [best, *likely]
    ]
    return Finding(
        best.alternative.check,
        "warning",
        f"the source itself is right on {_right(current)} of {len(places)} labelled images, but on clearly "
        f"more of them if they are given to it {' or '.join(ways)}; pass what it was trained with",
    )


def _right(hits: Hits) -> str:
    return in_unit(float(hits.mean()), "share")


def _option(source: Source, alternative: Alternative) -> str:
    forced = contradicts(source, alternative.preprocessing)
    return f"{alternative.option} --force-input" if forced else alternative.option


def _is_worse(one: Hits, other: Hits) -> bool:
    """True if the difference of two proportions on the same images is no chance."""
    return sign_test(int((other & ~one).sum()), int((one & ~other).sum())) < _SIGNIFICANT


@dataclass(frozen=True, eq=False)
class _Result:
    alternative: Alternative
    hits: Hits


@dataclass(frozen=True, eq=False)
class _Trial:
    """Tries alternatives on a sample of images.

    Attributes:
        source, evaluator: as for `check_source`.
        sample: the images.
        true: the classes that each shows.
        current: the images that the source gets right.
    """

    source: Source
    evaluator: ClassificationEvaluator
    sample: _Sample
    true: Hits
    current: Hits

    def of(self, alternative: Alternative) -> _Result | None:
        """The predictions with other input, if they are significantly better."""
        preprocessing = alternative.preprocessing
        same = preprocessing == self.evaluator.preprocessing
        if same or (alternative.check == "interpolation" and not self.sample.resizes):
            return None
        try:
            first = self._hits(alternative, slice(0, _FIRST))
            if first.sum() <= self.current[:_FIRST].sum():
                return None
            hits = np.concatenate([first, self._hits(alternative, slice(_FIRST, None))])
        except (InferenceError, OptionError):  # values that make the network overflow are not the right ones
            return None
        return _Result(alternative, hits) if _is_worse(self.current, hits) else None

    def _hits(self, alternative: Alternative, part: slice) -> Hits:
        images = self.sample.seen_by(alternative, part)
        if not images:
            return np.zeros(0, bool)
        return _hits(_scores(self.source, self.evaluator, alternative, images), self.true[part])
