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
from edgevision.calibration.synthetic import IMAGES, synthetic_finding, synthetic_set
from edgevision.conversion.score_calibration import score_option
from edgevision.conversion.settings import ConversionRequest, ConversionSettings
from edgevision.converter import ActivationSource, Source
from edgevision.datasets.groups import GroupSource
from edgevision.datasets.image_sets import ImageSet
from edgevision.datasets.seed_sets import SeedSet
from edgevision.errors import InputError, MissingOptionError, OptionError
from edgevision.evaluation.contradictions import check_input_options
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.generation import calibration_seeds
from edgevision.evaluation.run import Examples, Images, open_images
from edgevision.evaluation.source_session import SourceSession
from edgevision.system.missing_options import MissingOptions
from edgevision.system.shown import shown
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
        calibration = _calibration_images(request, calibrated)
    with missing.collected():
        images = evaluation_images(request)
    missing.check()
    evaluation = _opened(images, settings)
    if request.groups is not None:
        calibration, evaluation = _grouped(calibration, evaluation, request, request.groups)
    if calibration is not None:
        calibration = _calibration_set(calibration, settings)
    evaluation, left_out = _evaluation_set(evaluation, calibration, settings)
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
                f"--{name} {shown(images)}: the model generates images from seeds and is evaluated on seeds; "
                f"remove it"
            )
    if request.groups is not None:
        raise OptionError(
            f"--groups {shown(request.groups)}: the model generates images from seeds, which belong to no "
            "group; remove it"
        )
    calls = request.settings.calibration_samples or _CALIBRATION_CALLS
    return ConversionSets(
        SeedSet(0, request.settings.evaluation_samples or _EVALUATION_SEEDS),
        calibration_seeds(task, calls) if calibrated else None,
    )


def _calibration_images(request: ConversionRequest, calibrated: Sequence[str]) -> ImageSet | None:
    if not calibrated or request.synthetic:
        return None
    if request.calibration is None:
        raise MissingOptionError(
            "",
            f"{', '.join(calibrated)}: no images to calibrate on; "
            "pass --calibration FOLDER, or --calibration synthetic, "
            "or choose --precision float32, float16, or int8-dynamic",
        )
    return _opened(request.calibration, request.settings)


def _opened(images: Images, settings: ConversionSettings) -> ImageSet:
    return replace(open_images(images), released=settings.dicom_pictures, named=settings.record_names)


def _grouped(
    calibration: ImageSet | None, evaluation: ImageSet, request: ConversionRequest, groups: GroupSource
) -> tuple[ImageSet | None, ImageSet]:
    """Both sets with the stated groups: a calibration set without its own, as far as these say so of it."""
    listed = calibration
    if listed is None and request.calibration is not None and not request.synthetic:
        listed = open_images(request.calibration)  # not needed, but a file of groups may list its images
    is_rule = isinstance(groups, (str, os.PathLike))
    if calibration is not None and calibration.grouping is None and is_rule:
        calibration = calibration.grouped_if_any(groups, evaluation.image_names)
    return calibration, evaluation.grouped(groups, () if listed is None else listed.image_names)


def _calibration_set(images: ImageSet, settings: ConversionSettings) -> ImageSet:
    """The images to calibrate on."""
    images, samples = images.distinct(), settings.calibration_samples
    return images if samples is None else images.sample(samples)


def _evaluation_set(
    images: ImageSet, calibration: ImageSet | None, settings: ConversionSettings
) -> tuple[ImageSet, int]:
    """The images to evaluate on, and how many were left out because the calibration set has them too."""
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
