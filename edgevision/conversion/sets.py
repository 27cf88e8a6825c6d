"""What a conversion is calibrated and measured on: images or seeds, checked before any long work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgevision.calibration.checks import check_images, refuse_warnings
from edgevision.calibration.coverage import SAMPLE, measure_coverage
from edgevision.calibration.findings import Coverage, Finding
from edgevision.calibration.input_range import check_input_range
from edgevision.calibration.synthetic import IMAGES, SYNTHETIC, synthetic_finding, synthetic_set
from edgevision.conversion.score_calibration import option_of
from edgevision.conversion.settings import ConversionSettings
from edgevision.converter import ActivationSource, Source
from edgevision.datasets.image_sets import ImageSet
from edgevision.datasets.seed_sets import SeedSet
from edgevision.errors import InputError, OptionError
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.generation import calibration_seeds
from edgevision.evaluation.source_session import SourceSession
from edgevision.tasks.description import GenerateTask

#: A set of images as a caller may name it.
Images = str | Path | ImageSet

_CALIBRATION_CALLS = 500
_EVALUATION_SEEDS = 32


@dataclass(frozen=True)
class ConversionSets:
    """What a conversion is calibrated and measured on.

    Attributes:
        evaluation: images or seeds.
        calibration: `None` where no precision needs it.
        left_out: evaluation images that the calibration set holds as well.
        synthetic: the calibration set is to be made from the model.
        findings: what was found in the calibration set.
    """

    evaluation: ImageSet | SeedSet
    calibration: ImageSet | SeedSet | None
    left_out: int = 0
    synthetic: bool = False
    findings: tuple[Finding, ...] = ()


def open_sets(
    evaluation: Images | None,
    calibration: Images | None,
    calibrated: Sequence[str],
    settings: ConversionSettings,
) -> ConversionSets:
    """The sets that a caller names, checked against each other.

    Args:
        evaluation, calibration: as `edgevision.conversion.convert.convert` takes them.
        calibrated: ids of the artifacts that cannot be without a calibration set.
        settings: how many images or seeds are taken.

    Raises:
        OptionError: a set is missing, or not for this task.
        InputError: a set is empty, has a broken image, or is no other than the other set.
    """
    task = settings.task.generation
    if settings.reads_scores:
        calibrated = [*calibrated, _option_that_reads(calibration, settings)]
    if task is not None:
        return _seed_sets(evaluation, calibration, bool(calibrated), settings, task)
    if evaluation is None:
        raise OptionError("no images to measure on; type --evaluation FOLDER")
    calibration_set = _calibration_set(calibration, calibrated, settings)
    evaluation_set, left_out = _evaluation_set(evaluation, calibration_set, settings)
    if calibration_set is None:
        return ConversionSets(evaluation_set, None, synthetic=bool(calibrated) and calibration == SYNTHETIC)
    findings, kept = check_images(calibration_set, evaluation_set, left_out)
    return ConversionSets(
        kept, calibration_set, left_out + len(evaluation_set) - len(kept), findings=findings
    )


def _option_that_reads(calibration: Images | None, settings: ConversionSettings) -> str:
    """The option for which the classes of calibration images must be known."""
    option = option_of(settings.operating_point)
    if settings.task.generation is not None:
        raise OptionError(f"{option}: is for classifiers, and this network makes images; leave it out")
    if calibration is None or calibration == SYNTHETIC:
        raise OptionError(
            f"{option}: is found on images of yours whose classes are known, and checked on the others; "
            f"type --calibration FOLDER, with a folder a class"
        )
    return option


def _seed_sets(
    evaluation: Images | None,
    calibration: Images | None,
    calibrated: bool,
    settings: ConversionSettings,
    task: GenerateTask,
) -> ConversionSets:
    for name, given in (("evaluation", evaluation), ("calibration", calibration)):
        if given is not None:
            raise OptionError(
                f"--{name} {given}: the network makes images of seeds, and is measured on them; leave it out"
            )
    calls = settings.calibration_samples or _CALIBRATION_CALLS
    return ConversionSets(
        SeedSet(0, settings.evaluation_samples or _EVALUATION_SEEDS),
        calibration_seeds(task, calls) if calibrated else None,
    )


def _calibration_set(
    given: Images | None, calibrated: Sequence[str], settings: ConversionSettings
) -> ImageSet | None:
    if not calibrated or given == SYNTHETIC:
        return None
    if given is None:
        raise OptionError(
            f"{', '.join(calibrated)}: the ranges of activations are measured on images of yours; "
            "type --calibration FOLDER, or --calibration synthetic, "
            "or choose --precision float32, float16 or int8-dynamic"
        )
    images = _opened(given)
    return images if settings.calibration_samples is None else images.sample(settings.calibration_samples)


def _evaluation_set(
    given: Images, calibration: ImageSet | None, settings: ConversionSettings
) -> tuple[ImageSet, int]:
    """The images to measure on, and how many were left out because artifacts are calibrated on them."""
    images = _opened(given)
    total = len(images)
    if calibration is not None:
        shared = set(images.digests) & set(calibration.digests)
        if len(set(images.digests)) == len(shared):
            raise InputError(
                f"{images.name}: the calibration set holds every image of the evaluation set; "
                f"measure on others with --evaluation FOLDER"
            )
        images = images.without(shared)
    left_out = total - len(images)
    if settings.evaluation_samples is not None:
        images = images.sample(settings.evaluation_samples)
    return images, left_out


def fit_sets(
    sets: ConversionSets, source: Source, evaluator: Evaluator, settings: ConversionSettings
) -> ConversionSets:
    """The sets with what can be known of calibration only with the source in hand, and made with it.

    Raises:
        InputError: `strict` refuses the calibration set.
    """
    preprocessing = evaluator.preprocessing
    if preprocessing is None:
        return sets
    if sets.synthetic:
        made = synthetic_set(source, preprocessing, settings.calibration_samples or IMAGES)
        return replace(sets, calibration=made, findings=(synthetic_finding(made),))
    if isinstance(sets.calibration, ImageSet):
        reading = check_input_range(source, preprocessing, sets.calibration)
        sets = replace(sets, findings=sets.findings if reading is None else (*sets.findings, reading))
    if settings.strict:
        refuse_warnings(sets.findings)
    return sets


def coverage_of(source: Source, evaluator: Evaluator, sets: ConversionSets) -> Coverage | None:
    """How well the calibration's ranges hold, where the source tells what flows in it."""
    calibration, evaluation = sets.calibration, sets.evaluation
    if not (
        isinstance(source, ActivationSource)
        and isinstance(calibration, ImageSet)
        and isinstance(evaluation, ImageSet)
    ):
        return None
    samples = (images.sample(SAMPLE) for images in (calibration, evaluation))
    return measure_coverage(
        source, *(evaluator.network_inputs(SourceSession(source), one) for one in samples)
    )


def _opened(given: Images) -> ImageSet:
    return given if isinstance(given, ImageSet) else ImageSet.open(Path(given))
