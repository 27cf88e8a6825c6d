"""The calibration set and the evaluation set of a conversion, checked before any long work."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgevision.calibration.checks import check_evaluation_images, check_images, refuse_warnings
from edgevision.calibration.coverage import SAMPLE, measure_coverage
from edgevision.calibration.dependent_images import check_groups
from edgevision.calibration.findings import Coverage, Finding
from edgevision.calibration.input_range import check_input_range
from edgevision.calibration.synthetic import IMAGES, SYNTHETIC, synthetic_finding, synthetic_set
from edgevision.conversion.score_calibration import score_option
from edgevision.conversion.settings import ConversionRequest, ConversionSettings
from edgevision.converter import ActivationSource, Source
from edgevision.datasets.image_sets import ImageSet
from edgevision.datasets.seed_sets import SeedSet
from edgevision.errors import InputError, MissingOptionError, OptionError
from edgevision.evaluation.contradictions import check_input_options
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.generation import calibration_seeds
from edgevision.evaluation.run import Examples, Images, open_images
from edgevision.evaluation.source_session import SourceSession
from edgevision.system.missing_options import MissingOptions
from edgevision.tasks.description import GenerateTask

_CALIBRATION_CALLS = 500
_EVALUATION_SEEDS = 32


@dataclass(frozen=True)
class ConversionSets:
    """The sets of a conversion.

    Attributes:
        evaluation: images or seeds.
        calibration: `None` where no precision needs one.
        left_out: number of evaluation images that are left out because the calibration set has them too.
        synthetic: True if the calibration set is to be synthesized from the model.
        findings: results of the checks of the calibration set.
    """

    evaluation: Examples
    calibration: Examples | None
    left_out: int = 0
    synthetic: bool = False
    findings: tuple[Finding, ...] = ()


def open_sets(request: ConversionRequest, calibrated: Sequence[str]) -> ConversionSets:
    """Open the sets that a caller named, and check them against each other.

    Args:
        request: the sets, and how many images or seeds of each are used.
        calibrated: ids of the artifacts that need a calibration set.

    Raises:
        OptionError: a set is missing, or is not for this task.
        InputError: a set is empty, has a broken image, or has the same images as the other set.
    """
    settings = request.settings
    if settings.needs_labelled_calibration:
        calibrated = [*calibrated, _option_for_labelled_images(request)]
    if settings.task.generation is not None:
        return _seed_sets(request, bool(calibrated), settings.task.generation)
    missing = MissingOptions("")
    with missing.collected():
        calibration = _calibration_set(request, calibrated)
    with missing.collected():
        images = evaluation_images(request)
    missing.check()
    evaluation, left_out = _evaluation_set(images, calibration, request)
    mapping = settings.task.image.mapping
    if calibration is None:
        synthetic = bool(calibrated) and request.synthetic
        findings = check_evaluation_images(evaluation, mapping)
        return ConversionSets(evaluation, None, synthetic=synthetic, findings=findings)
    findings, kept = check_images(calibration, evaluation, left_out, mapping)
    findings = (*findings, *check_groups(calibration, kept))
    return ConversionSets(kept, calibration, left_out + len(evaluation) - len(kept), findings=findings)


def evaluation_images(request: ConversionRequest) -> Images:
    """The images to evaluate on, as they were named.

    Raises:
        MissingOptionError: there are none.
    """
    if request.evaluation is None:
        raise MissingOptionError("", "no images to evaluate on; pass --evaluation FOLDER")
    return request.evaluation


def _option_for_labelled_images(request: ConversionRequest) -> str:
    """The option that needs labelled calibration images."""
    option = score_option(request.settings)
    if request.settings.task.generation is not None:
        raise OptionError(f"{option}: only for classifiers, and this model generates images; remove it")
    if request.calibration is None or request.synthetic:
        raise OptionError(
            f"{option}: needs labelled images of yours to calibrate on, apart from the evaluation images; "
            f"pass --calibration FOLDER, with one folder per class"
        )
    return option


def _seed_sets(request: ConversionRequest, calibrated: bool, task: GenerateTask) -> ConversionSets:
    for name, images in (("evaluation", request.evaluation), ("calibration", request.calibration)):
        if images is not None:
            raise OptionError(
                f"--{name} {images}: the model generates images from seeds and is evaluated on seeds; "
                f"remove it"
            )
    if request.groups is not None:
        raise OptionError(
            f"--groups {request.groups}: the model generates images from seeds, which belong to no group; "
            "remove it"
        )
    calls = request.settings.calibration_samples or _CALIBRATION_CALLS
    return ConversionSets(
        SeedSet(0, request.settings.evaluation_samples or _EVALUATION_SEEDS),
        calibration_seeds(task, calls) if calibrated else None,
    )


def _calibration_set(request: ConversionRequest, calibrated: Sequence[str]) -> ImageSet | None:
    if not calibrated or request.synthetic:
        return None
    if request.calibration is None:
        raise MissingOptionError(
            "",
            f"{', '.join(calibrated)}: no images to calibrate on; "
            "pass --calibration FOLDER, or --calibration synthetic, "
            "or choose --precision float32, float16, or int8-dynamic",
        )
    images, samples = _opened(request.calibration, request.settings), request.settings.calibration_samples
    images = _with_calibration_groups(images, request).distinct()
    return images if samples is None else images.sample(samples)


def _with_calibration_groups(images: ImageSet, request: ConversionRequest) -> ImageSet:
    """A calibration set with its own groups, or those of the evaluation set as far as these say so."""
    stated = isinstance(request.groups, (str, os.PathLike)) and images.grouping is None
    if not stated or request.groups is None or request.evaluation is None:
        return images
    return images.grouped_if_any(request.groups, open_images(request.evaluation).image_names)


def _opened(images: Images, settings: ConversionSettings) -> ImageSet:
    return replace(open_images(images), released=settings.dicom_pictures)


def _evaluation_set(
    evaluation: Images, calibration: ImageSet | None, request: ConversionRequest
) -> tuple[ImageSet, int]:
    """The images to evaluate on, and how many were left out because the calibration set has them too."""
    images, settings = _opened(evaluation, request.settings), request.settings
    if request.groups is not None:
        images = images.grouped(request.groups, _names_of(request.calibration))
    images = images.distinct()
    total = len(images)
    if calibration is not None:
        shared = set(images.digests) & set(calibration.digests)
        if len(set(images.digests)) == len(shared):
            raise InputError(
                f"{images.name}: the calibration set contains every image of the evaluation set; "
                f"evaluate on other images with --evaluation FOLDER"
            )
        images = images.without(shared)
    left_out = total - len(images)
    if settings.evaluation_samples is not None:
        images = images.sample(settings.evaluation_samples)
    return images, left_out


def _names_of(images: Images | None) -> tuple[str, ...]:
    """Names of calibration images, which a file of groups may list beside those of the evaluation set."""
    return () if images is None or images == SYNTHETIC else open_images(images).image_names


def fit_sets(
    sets: ConversionSets, source: Source, evaluator: Evaluator, settings: ConversionSettings
) -> ConversionSets:
    """Complete the sets with what depends on the source: synthetic images, and checks of its input.

    Raises:
        OptionError: an option contradicts the source.
        InputError: `strict` refuses the calibration set.
    """
    preprocessing = evaluator.preprocessing
    if preprocessing is None:
        return sets
    findings = list(check_input_options(source, settings.task.image, preprocessing, settings.force_input))
    if sets.synthetic:
        images = synthetic_set(source, preprocessing, settings.calibration_samples or IMAGES)
        sets = replace(sets, calibration=images)
        findings.append(synthetic_finding(images))
    examples = sets.evaluation if sets.synthetic or sets.calibration is None else sets.calibration
    if isinstance(examples, ImageSet):
        finding = check_input_range(source, preprocessing, examples)
        if finding is not None:
            findings.append(finding)
    sets = replace(sets, findings=(*sets.findings, *findings))
    if settings.strict:
        refuse_warnings(sets.findings)
    return sets


def coverage_of(source: Source, evaluator: Evaluator, sets: ConversionSets) -> Coverage | None:
    """How well the calibrated ranges cover the evaluation set; `None` if the source shows no activations."""
    calibration, evaluation = sets.calibration, sets.evaluation
    if not (
        isinstance(source, ActivationSource)
        and isinstance(calibration, ImageSet)
        and isinstance(evaluation, ImageSet)
    ):
        return None
    samples = (images.sample(SAMPLE) for images in (calibration, evaluation))
    return measure_coverage(
        source, *(evaluator.network_inputs(SourceSession(source), sample) for sample in samples)
    )
