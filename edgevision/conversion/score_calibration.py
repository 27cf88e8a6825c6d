"""Score calibration: fitted on the labelled calibration set, verified on the evaluation set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgevision.conversion.candidates import Trial
from edgevision.conversion.reference import Reference
from edgevision.conversion.settings import ConversionSettings
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import ConversionError, InputError, OptionError
from edgevision.evaluation.classification import ClassificationEvaluator
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.ground_truth import classify_truth
from edgevision.evaluation.run import measure
from edgevision.evidence.operating_points import (
    ThresholdedScores,
    find_class,
    operating_evidence,
)
from edgevision.evidence.operating_specification import OperatingPointSpecification
from edgevision.evidence.prediction_sets import (
    PredictionSetEvidence,
    PredictionSetSpecification,
    fit_prediction_sets,
    prediction_set_evidence,
)
from edgevision.evidence.records import Measured
from edgevision.evidence.sample_texts import set_text
from edgevision.evidence.temperatures import (
    HIGHEST,
    LOWEST,
    ScaledScores,
    ScoreQuality,
    change_interval,
    fit_temperature,
    log_losses,
    scaled_scores,
    temperature_evidence,
)
from edgevision.evidence.threshold_choice import (
    Positives,
    effective_number,
    empirical_threshold,
    find_threshold,
)
from edgevision.metrics.classification import Members, members
from edgevision.metrics.formatting import in_unit
from edgevision.metrics.intervals import Groups
from edgevision.tasks.classify import Classifier, Scores, score_output
from edgevision.tasks.kind import kind_of
from edgevision.tasks.prediction_sets import PredictionSets
from edgevision.tasks.score_calibration import OperatingPoint, ScoreCalibration
from edgevision.tasks.temperature import score_floor


@dataclass(frozen=True, eq=False)
class ScoreCalibrationRequest:
    """The score calibration that a caller asked for, and the labelled images for it.

    Built by `score_calibration_request`, which checks it.

    Attributes:
        specification: requirement for the threshold of a class of interest, or `None`.
        temperature: True if each artifact gets a temperature.
        evaluator: the classifier's evaluator.
        calibration: labelled images.
        calibration_truth, evaluation_truth: bool ``(images, classes)``, the classes of each set.
        class_id: the class of interest; 0 without a specification.
        prediction_sets: requirement for prediction sets, or `None`.
    """

    specification: OperatingPointSpecification | None
    temperature: bool
    evaluator: ClassificationEvaluator
    calibration: ImageSet
    calibration_truth: Members
    evaluation_truth: Members
    class_id: int = 0
    prediction_sets: PredictionSetSpecification | None = None

    @property
    def positives(self) -> tuple[Positives, Positives]:
        """For each set, bool ``(images,)``: whether an image is of the class of interest."""
        return self.calibration_truth[:, self.class_id], self.evaluation_truth[:, self.class_id]

    @property
    def groups(self) -> tuple[Groups | None, Groups | None]:
        """For each set, the group of each image; `None` if every image is its own."""
        return self.calibration.groups, self.evaluator.groups


@dataclass(frozen=True, eq=False)
class FittedScores:
    """One model's calibrated scores, with the temperature and the threshold that were fitted.

    Attributes:
        calibration, evaluation: float32 ``(images, classes)``, the scores at that temperature.
        scaled: the temperature, where requested.
        threshold: where requested.
        empirical: the threshold with the required value on the calibration images themselves, if requested.
        sets: where requested.
    """

    calibration: Scores
    evaluation: Scores
    scaled: ScaledScores | None
    threshold: float | None
    empirical: float | None = None
    sets: PredictionSets | None = None

    def of_class(self, class_id: int) -> ThresholdedScores | None:
        """The scores of one class with the threshold; `None` without a threshold."""
        if self.threshold is None:
            return None
        scores = self.calibration[:, class_id], self.evaluation[:, class_id]
        return ThresholdedScores(*scores, self.threshold, self.empirical)


@dataclass(frozen=True, eq=False)
class ScoreCalibrator:
    """Calibrates the scores of artifacts, after those of their source.

    The source comes first: a requirement that it cannot meet, no artifact will.

    Attributes:
        request: what to fit, and on which images.
        source: the source's calibrated scores.
    """

    request: ScoreCalibrationRequest
    source: FittedScores

    @classmethod
    def fit_source(
        cls, request: ScoreCalibrationRequest, reference: Reference, on_done: Callable[[int], None]
    ) -> ScoreCalibrator:
        """Run the source over the calibration images, and calibrate its scores.

        Args:
            request: what to fit, and on which images.
            reference: the source's scores on the evaluation set.
            on_done: called after each block, with the number of calibration images done.

        Raises:
            ConversionError: no temperature or threshold meets the request on the source's scores.
            InputError: an image cannot be read.
        """
        (scores,) = measure(request.evaluator, [reference.model], request.calibration, on_done)
        evaluation = np.stack(reference.answers)
        return cls(request, _fit("the source", request, reference.model, np.stack(scores), evaluation))

    def calibrate(self, trials: Sequence[Trial], on_done: Callable[[int], None]) -> list[Trial]:
        """Calibrate the scores of each artifact.

        Args:
            trials: the artifacts, with their scores on the evaluation set.
            on_done: called after each block, with the number of calibration images done.

        Returns:
            The trials with their score calibration, its evidence, and the requirement of the operating point.

        Raises:
            ConversionError: no temperature or threshold meets it on an artifact's scores; names the artifact.
            InputError: an image cannot be read.
            InferenceError: a runtime failed.
        """
        request = self.request
        models = [request.evaluator.model(trial.session) for trial in trials]
        rows = measure(request.evaluator, models, request.calibration, on_done)
        return [
            self._calibrated(trial, _fit(trial.id, request, model, np.stack(row), np.stack(trial.answers)))
            for trial, model, row in zip(trials, models, rows, strict=True)
        ]

    def _calibrated(self, trial: Trial, fitted: FittedScores) -> Trial:
        candidate = replace(trial.candidate, score_calibration=_score_calibration(self.request, fitted))
        return Trial(candidate, self._with_evidence(trial.measured, fitted))

    def _with_evidence(self, measured: Measured, fitted: FittedScores) -> Measured:
        source, request = self.source, self.request
        if source.scaled is not None and fitted.scaled is not None:
            measured = replace(measured, temperature=temperature_evidence(source.scaled, fitted.scaled))
        if source.sets is not None and fitted.sets is not None:
            measured = replace(measured, prediction_sets=self._set_evidence(source.sets, fitted))
        before, after = source.of_class(request.class_id), fitted.of_class(request.class_id)
        if request.specification is None or before is None or after is None:
            return measured
        evidence = operating_evidence(request.specification, before, after, request.positives, request.groups)
        requirements = (*measured.requirements, evidence.requirement)
        return replace(measured, operating_point=evidence, requirements=requirements)

    def _set_evidence(self, rule: PredictionSets, fitted: FittedScores) -> PredictionSetEvidence:
        request = self.request
        assert fitted.sets is not None  # noqa: S101 (its caller has looked)
        return prediction_set_evidence(
            (rule, fitted.sets),
            (self.source.evaluation, fitted.evaluation),
            request.evaluation_truth,
            request.evaluator.labels,
            request.groups[1],
        )


def score_calibration_request(
    settings: ConversionSettings, evaluator: Evaluator, calibration: ImageSet
) -> ScoreCalibrationRequest:
    """Check, before any long work, that the requested score calibration can be computed.

    Args:
        settings: the operating point and the temperatures that are requested; annotations of the images.
        evaluator: of the source, with the ground truth of the evaluation set.
        calibration: images in one folder per class, unless there are annotations.

    Raises:
        OptionError: the source is not a classifier, or has no such class.
        InputError: the classes of a set are unknown, or it has no image of the class of interest, none of
            another class, or too few to show what is required.
    """
    specification, option = settings.operating_point, score_option(settings)
    if not isinstance(evaluator, ClassificationEvaluator):
        verb = kind_of(evaluator.task).verb
        raise OptionError(f"{option}: only for classifiers, and this model {verb}; remove it")
    truths = _truths(settings, evaluator, calibration)
    sets = settings.prediction_sets
    if sets is not None:
        _check_single_classes(truths)
    if specification is None:
        return ScoreCalibrationRequest(
            *(None, settings.calibrate_scores, evaluator, calibration, *truths), prediction_sets=sets
        )
    class_id = find_class(specification.positive, evaluator.labels)
    request = ScoreCalibrationRequest(
        specification, settings.calibrate_scores, evaluator, calibration, *truths, class_id, sets
    )
    for name, positive in zip((calibration.name, "the evaluation set"), request.positives, strict=True):
        _check_both_present(name, positive, specification)
    _check_enough(calibration.name, request.positives[0], calibration.groups, specification)
    return request


def score_option(settings: ConversionSettings) -> str:
    """The command-line option that requests score calibration with these settings."""
    specification = settings.operating_point
    if specification is None:
        return "--calibrate-scores" if settings.calibrate_scores else "--prediction-sets"
    return f"--at-{specification.metric} {specification.at_least:g}"


def _truths(
    settings: ConversionSettings, evaluator: ClassificationEvaluator, calibration: ImageSet
) -> tuple[Members, Members]:
    annotations = settings.task.annotations if calibration.labels is None else None
    truth = classify_truth(calibration, evaluator.labels, annotations, multi_label=annotations is not None)
    for known, which in ((truth, "calibration"), (evaluator.truth, "evaluation")):
        if known is None:
            raise InputError(
                f"{score_option(settings)}: the classes of the {which} images are unknown; sort them into "
                f"one folder per class"
            )
    calibration_truth, evaluation_truth = (
        members(known, len(evaluator.labels)) for known in (truth, evaluator.truth) if known is not None
    )
    return calibration_truth, evaluation_truth


def _check_single_classes(truths: tuple[Members, Members]) -> None:
    if any((truth.sum(axis=1) != 1).any() for truth in truths):
        raise InputError(
            "--prediction-sets: an image has no class or several, and a prediction set is for images of one; "
            "sort them into one folder per class, or remove the option"
        )


def _check_both_present(name: str, positive: Positives, specification: OperatingPointSpecification) -> None:
    if positive.any() and not positive.all():
        return
    which = "no class other than" if positive.any() else "no image of class"
    raise InputError(
        f"{name}: has {which} '{specification.positive}', so its {specification.metric} cannot be measured; "
        f"add some"
    )


def _check_enough(
    name: str, positive: Positives, groups: Groups | None, specification: OperatingPointSpecification
) -> None:
    which, counted = "class", positive
    if specification.metric == "specificity":
        which, counted = "classes other than", ~positive
    independent, least = effective_number(counted, groups), specification.least_images
    if independent >= least:
        return
    grouped = "" if groups is None else f", in groups that count as {independent},"
    images = set_text(int(counted.sum()), None)
    lower = "" if specification.confidence is None else ", or lower --confidence"
    raise InputError(
        f"{name}: {images} of {which} '{specification.positive}'{grouped} cannot show a "
        f"{_required(specification)}; calibrate on "
        f"{least} of them or more (--calibration-samples limits how many are used), require less{lower}"
    )


def _fit(
    name: str, request: ScoreCalibrationRequest, model: Classifier, calibration: Scores, evaluation: Scores
) -> FittedScores:
    """Fit the requested temperature and threshold to a model's scores on both sets."""
    scaled = sets = None
    first, second = _shares(request)
    if request.temperature:
        output, independent = score_output(model.session.outputs, model.output), model.multi_label
        floor = score_floor(output, model.score_kind)
        temperature = fit_temperature(
            calibration[first], request.calibration_truth[first], floor, independent
        )
        if temperature is None:
            raise ConversionError(_without_temperature(name, request))
        plain, truth = evaluation, request.evaluation_truth
        calibration, evaluation = (
            scaled_scores(scores, temperature, floor, independent) for scores in (calibration, evaluation)
        )
        losses = [log_losses(scores, truth, floor, independent) for scores in (plain, evaluation)]
        before, after = (
            ScoreQuality.of(scores, truth, floor, independent, request.groups[1])
            for scores in (plain, evaluation)
        )
        change = change_interval(losses[0], losses[1], request.groups[1])
        scaled = ScaledScores(temperature, before, after, change)
    if request.prediction_sets is not None:
        if model.multi_label:
            raise OptionError(
                "--prediction-sets: the scores of this model are independent, and a prediction set is for "
                "images of one class; remove the option"
            )
        groups = request.groups[0]
        sets = fit_prediction_sets(
            request.prediction_sets,
            calibration[second],
            request.calibration_truth[second],
            None if groups is None else groups[second],
            f"{name}: {request.calibration.name}",
        )
    threshold = empirical = None
    if request.specification is not None:
        threshold = _threshold(name, request, calibration, request.specification)
        of_class = calibration[:, request.class_id], request.positives[0]
        empirical = empirical_threshold(*of_class, request.specification)
    return FittedScores(calibration, evaluation, scaled, threshold, empirical, sets)


def _shares(request: ScoreCalibrationRequest) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The calibration images for the temperature, and those for the prediction sets.

    An image that chose the temperature fits it better than others: the quantile would be too low. Where
    both are asked for, each gets half of the images, and no group is in both.
    """
    count, sets = len(request.calibration_truth), request.prediction_sets
    every = np.arange(count)
    if sets is None or not request.temperature:
        return every, every
    groups = every if request.groups[0] is None else request.groups[0]
    drawn = np.random.default_rng(sets.seed).permutation(np.unique(groups))
    is_first = np.isin(groups, drawn[: len(drawn) // 2])
    return every[is_first], every[~is_first]


def _threshold(
    name: str, request: ScoreCalibrationRequest, scores: Scores, specification: OperatingPointSpecification
) -> float:
    of_class = scores[:, request.class_id], request.positives[0]
    threshold = find_threshold(*of_class, specification, request.groups[0])
    if threshold is None:
        raise ConversionError(
            f"{name}: no threshold on the score of '{specification.positive}' is shown to keep a "
            f"{_required(specification)} by "
            f"{len(scores)} images of {request.calibration.name}, except one that predicts every image "
            f"positive, or none; require less, or calibrate on more images"
        )
    return threshold


def _required(specification: OperatingPointSpecification) -> str:
    """Such as ``sensitivity of 95.00 % at a confidence of 0.95``."""
    required = f"{specification.metric} of {in_unit(specification.at_least, 'share')}"
    confidence = specification.confidence
    return required if confidence is None else f"{required} at a confidence of {confidence:g}"


def _without_temperature(name: str, request: ScoreCalibrationRequest) -> str:
    return (
        f"{name}: no temperature from {LOWEST:g} to {HIGHEST:g} calibrates the scores on "
        f"{request.calibration.name}: all predictions are correct there, or they are no better than chance; "
        f"calibrate on more images, which the model was not trained on, or remove --calibrate-scores"
    )


def _score_calibration(request: ScoreCalibrationRequest, fitted: FittedScores) -> ScoreCalibration:
    temperature = None if fitted.scaled is None else fitted.scaled.temperature
    specification = request.specification
    if specification is None or fitted.threshold is None:
        return ScoreCalibration(temperature, prediction_sets=fitted.sets)
    point = OperatingPoint(
        specification.positive,
        request.class_id,
        fitted.threshold,
        specification.metric,
        specification.at_least,
    )
    return ScoreCalibration(temperature, point, fitted.sets)
