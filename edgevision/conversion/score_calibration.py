"""How the scores of artifacts are to be read: found on the labelled calibration set, checked on the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgevision.conversion.candidates import Candidate
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import ConversionError, InputError, OptionError
from edgevision.evaluation.classification import ClassificationEvaluator
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.ground_truth import classify_truth
from edgevision.evaluation.run import measure
from edgevision.evidence.operating_points import (
    OperatingPointSpecification,
    Positives,
    ThresholdedScores,
    find_class,
    find_threshold,
    operating_evidence,
)
from edgevision.evidence.records import Measured
from edgevision.evidence.temperatures import (
    HIGHEST,
    LOWEST,
    ScaledScores,
    ScoreQuality,
    fit_temperature,
    scaled_scores,
    temperature_evidence,
)
from edgevision.metrics.classification import Members, members
from edgevision.metrics.formatting import in_unit
from edgevision.tasks.classify import Classifier, Scores, score_output
from edgevision.tasks.score_calibration import OperatingPoint, ScoreCalibration
from edgevision.tasks.temperature import score_floor

Tell = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Wished:
    """What is to be found, and what it is found on. Made by `wished`.

    Attributes:
        specification: what the threshold of a class of interest is to keep, or `None`.
        calibrate: whether each artifact gets a temperature.
        evaluator: the classifier's.
        calibration: images whose classes are known.
        truth: bool ``(images, classes)`` of the calibration set, and of the evaluation set.
        class_id: of the class of interest; 0 where there is none.
    """

    specification: OperatingPointSpecification | None
    calibrate: bool
    evaluator: ClassificationEvaluator
    calibration: ImageSet
    truth: tuple[Members, Members]
    class_id: int

    @property
    def positives(self) -> tuple[Positives, Positives]:
        """Whether each image of each set is of the class of interest."""
        return self.truth[0][:, self.class_id], self.truth[1][:, self.class_id]


@dataclass(frozen=True, eq=False)
class _Found:
    """What was found for one model.

    Attributes:
        calibration, evaluation: float32 ``(images, classes)``, its scores at its temperature.
        scaled: its temperature, where one was wished for.
        threshold: where one was wished for.
    """

    calibration: Scores
    evaluation: Scores
    scaled: ScaledScores | None
    threshold: float | None

    def of_class(self, class_id: int) -> ThresholdedScores | None:
        if self.threshold is None:
            return None
        return ThresholdedScores(self.calibration[:, class_id], self.evaluation[:, class_id], self.threshold)


def wished(
    specification: OperatingPointSpecification | None,
    calibrate: bool,
    evaluator: Evaluator,
    calibration: ImageSet,
    annotations: Path | None = None,
) -> Wished:
    """Check, before any long work, that what is wished for can be found.

    Args:
        specification: what the threshold of a class of interest is to keep, or `None`.
        calibrate: whether each artifact gets a temperature.
        evaluator: of the source, with the truth of the evaluation set.
        calibration: images; a folder a class, unless `annotations` tell their classes.
        annotations: of a network with independent scores.

    Raises:
        OptionError: the source is no classifier, or has no such class.
        InputError: nothing tells the classes of a set; or it has no image of the class of interest, none
            of another, or too few to show what is required.
    """
    if not isinstance(evaluator, ClassificationEvaluator):
        told = "detects" if evaluator.task.name == "detect" else "makes images"
        raise OptionError(
            f"{option_of(specification)}: is for classifiers, and this network {told}; leave it out"
        )
    truth = tuple(
        members(one, len(evaluator.labels))
        for one in _truths(specification, evaluator, calibration, annotations)
    )
    if specification is None:
        return Wished(specification, calibrate, evaluator, calibration, (truth[0], truth[1]), 0)
    found = Wished(
        specification,
        calibrate,
        evaluator,
        calibration,
        (truth[0], truth[1]),
        find_class(specification.positive, evaluator.labels),
    )
    for name, positive in zip((calibration.name, "the evaluation set"), found.positives, strict=True):
        _check_shown(name, positive, specification)
    _check_enough(calibration.name, found.positives[0], specification)
    return found


def option_of(specification: OperatingPointSpecification | None) -> str:
    """What a caller has typed to wish for it."""
    return (
        "--calibrate-scores"
        if specification is None
        else f"--at-{specification.metric} {specification.at_least:g}"
    )


class ScoreCalibrator:
    """Finds how the scores of artifacts are to be read, after it has found it for their source.

    What the source cannot keep, no artifact will: so it is tried first.

    Args:
        wish: what is to be found.
        source: the source's model.
        answers: its scores on the evaluation set.
        tell: told how many calibration images are done.

    Raises:
        ConversionError: there is none for the source.
        InputError: an image cannot be read.
    """

    def __init__(self, wish: Wished, source: Classifier, answers: Sequence[Scores], tell: Tell) -> None:
        self._wish = wish
        (calibration,) = measure(wish.evaluator, [source], wish.calibration, tell)
        self._source = _find("the source", wish, source, np.stack(calibration), np.stack(answers))

    @property
    def images(self) -> int:
        """How many images each model is run over."""
        return len(self._wish.calibration)

    def read(
        self,
        candidates: Sequence[Candidate],
        answers: Sequence[Sequence[Scores]],
        measured: Sequence[Measured],
        tell: Tell,
    ) -> list[tuple[Candidate, Measured]]:
        """Find it for each artifact, and measure what that reaches.

        Args:
            candidates: the artifacts.
            answers: of each, its scores on the evaluation set.
            measured: of each.
            tell: told how many calibration images are done.

        Returns:
            Each candidate with its reading, and what was measured of it with the evidence and the specification.

        Raises:
            ConversionError: there is none for an artifact; names it.
            InputError: an image cannot be read.
            InferenceError: a runtime failed.
        """
        wish = self._wish
        models = [wish.evaluator.model(one.session) for one in candidates]
        rows = measure(wish.evaluator, models, wish.calibration, tell)
        found = [
            _find(candidate.planned.id, wish, model, np.stack(row), np.stack(given))
            for candidate, model, row, given in zip(candidates, models, rows, answers, strict=True)
        ]
        return [
            (replace(candidate, score_calibration=_reading(wish, one)), self._with_evidence(told, one))
            for candidate, one, told in zip(candidates, found, measured, strict=True)
        ]

    def _with_evidence(self, measured: Measured, found: _Found) -> Measured:
        source, wish = self._source, self._wish
        if source.scaled is not None and found.scaled is not None:
            measured = replace(measured, temperature=temperature_evidence(source.scaled, found.scaled))
        before, after = source.of_class(wish.class_id), found.of_class(wish.class_id)
        if wish.specification is None or before is None or after is None:
            return measured
        evidence = operating_evidence(wish.specification, before, after, wish.positives)
        return replace(
            measured, operating_point=evidence, requirements=(*measured.requirements, evidence.requirement)
        )


def _truths(
    specification: OperatingPointSpecification | None,
    evaluator: ClassificationEvaluator,
    calibration: ImageSet,
    annotations: Path | None,
) -> list[Members]:
    named = annotations if calibration.labels is None else None
    truth = classify_truth(calibration, evaluator.labels, named, multi_label=named is not None)
    for one, which in ((truth, "calibration"), (evaluator.truth, "evaluation")):
        if one is None:
            raise InputError(
                f"{option_of(specification)}: nothing tells the classes of the {which} images; sort them into a "
                f"folder a class"
            )
    return [members(one, len(evaluator.labels)) for one in (truth, evaluator.truth) if one is not None]


def _check_shown(name: str, positive: Positives, specification: OperatingPointSpecification) -> None:
    if positive.any() and not positive.all():
        return
    which = "no other class than" if positive.any() else "no image of class"
    raise InputError(
        f"{name}: has {which} '{specification.positive}', so nothing tells a {specification.metric} of it; add some"
    )


def _check_enough(name: str, positive: Positives, specification: OperatingPointSpecification) -> None:
    which, shown = "class", int(positive.sum())
    if specification.metric == "specificity":
        which, shown = "other classes than", int((~positive).sum())
    if shown < specification.least_images:
        raise InputError(
            f"{name}: {shown} images of {which} '{specification.positive}' cannot show a {specification.metric} of "
            f"{in_unit(specification.at_least, 'share')}; calibrate on {specification.least_images} of them or more "
            f"(--calibration-samples limits how many images are used), or require less"
        )


def _find(name: str, wish: Wished, model: Classifier, calibration: Scores, evaluation: Scores) -> _Found:
    scaled = None
    if wish.calibrate:
        output, independent = score_output(model.session.outputs, model.output), model.multi_label
        floor = score_floor(output, model.score_kind)
        temperature = fit_temperature(calibration, wish.truth[0], floor, independent)
        if temperature is None:
            raise ConversionError(_without_temperature(name, wish))
        before = ScoreQuality.of(evaluation, wish.truth[1], floor, independent)
        calibration, evaluation = (
            scaled_scores(one, temperature, floor, independent) for one in (calibration, evaluation)
        )
        after = ScoreQuality.of(evaluation, wish.truth[1], floor, independent)
        scaled = ScaledScores(temperature, before, after)
    threshold = (
        None if wish.specification is None else _threshold(name, wish, calibration, wish.specification)
    )
    return _Found(calibration, evaluation, scaled, threshold)


def _threshold(name: str, wish: Wished, scores: Scores, specification: OperatingPointSpecification) -> float:
    threshold = find_threshold(scores[:, wish.class_id], wish.positives[0], specification)
    if threshold is None:
        raise ConversionError(
            f"{name}: no threshold on the score of '{specification.positive}' keeps a {specification.metric} of "
            f"{in_unit(specification.at_least, 'share')} on {len(scores)} images of {wish.calibration.name}, but by "
            f"deciding for every image or for none; require less, or calibrate on more images"
        )
    return threshold


def _without_temperature(name: str, wish: Wished) -> str:
    return (
        f"{name}: no temperature from {LOWEST:g} to {HIGHEST:g} suits its scores on "
        f"{wish.calibration.name}: it is never wrong there, or no better than chance; calibrate on more "
        f"images, which it was not trained on, or leave out --calibrate-scores"
    )


def _reading(wish: Wished, found: _Found) -> ScoreCalibration:
    temperature = None if found.scaled is None else found.scaled.temperature
    if wish.specification is None or found.threshold is None:
        return ScoreCalibration(temperature)
    specification = wish.specification
    return ScoreCalibration(
        temperature,
        OperatingPoint(
            specification.positive,
            wish.class_id,
            found.threshold,
            specification.metric,
            specification.at_least,
        ),
    )
