"""convert(): a trained model and device targets go in, a bundle with evidence comes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgevision.artifact import CALIBRATED
from edgevision.bundle.pictures import write_pictures
from edgevision.bundle.storage import check_output, write_bundle
from edgevision.calibration.coverage import coverage_findings
from edgevision.conversion.candidates import Candidate, known_answers
from edgevision.conversion.device_limits import DEVICE_UNITS, unmeasured_limits
from edgevision.conversion.example_pictures import example_pictures
from edgevision.conversion.package import composed
from edgevision.conversion.plan import PlannedArtifact, measurement_backend_for, plan_artifacts
from edgevision.conversion.score_calibration import ScoreCalibrator, Wished, wished
from edgevision.conversion.search import searches_for
from edgevision.conversion.sets import ConversionSets, Images, coverage_of, fit_sets, open_sets
from edgevision.conversion.settings import ConversionSettings
from edgevision.conversion.trials import STEPS_OF_CONVERSION, Ground, Trial, Trials
from edgevision.converter import SourceReader
from edgevision.datasets.image_sets import ImageSet, SetFacts
from edgevision.datasets.seed_sets import SeedSet
from edgevision.errors import AgreementError, InferenceError, OptionError, SourceError
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.for_source import evaluator_for_source
from edgevision.evaluation.source_session import SourceSession
from edgevision.evidence.records import Evidence, Measured
from edgevision.evidence.requirements import Requirement
from edgevision.metrics.formatting import in_unit
from edgevision.plugins import Registry, registry
from edgevision.system.machine import now, this_machine
from edgevision.system.progress import Progress, Steps
from edgevision.target import Target, find_target, load_targets

__all__ = ["ConversionSettings", "Images", "Progress", "convert"]


@dataclass(frozen=True)
class _Plan:
    """What is to be made.

    Attributes:
        targets: devices.
        planned: what each gets; of a search, what it tries first.
        searching: whether the cheapest artifact inside the budget is searched for.
        calibrated: what needs a calibration set, in words; empty if nothing does.
    """

    targets: Sequence[Target]
    planned: Sequence[PlannedArtifact]
    searching: bool
    calibrated: Sequence[str]


def convert(
    source: str | Path,
    output: str | Path,
    *,
    targets: Sequence[str],
    evaluation: Images | None = None,
    calibration: Images | None = None,
    precisions: Sequence[str] = (),
    settings: ConversionSettings | None = None,
    progress: Progress | None = None,
) -> Evidence:
    """Convert a trained model for devices, and prove each artifact against it.

    Args:
        source: ``.keras``, ``.h5``, or a SavedModel directory.
        output: the bundle to be written, ``NAME.evb``.
        targets: names of device profiles, one or more.
        evaluation: images that the evidence is measured on: a folder, a folder a class, or a
            zip of either. Neither set is given for networks that make images of a seed
            (`TaskOptions.generation`): they are calibrated and measured on seeds.
        calibration: images that set the ranges of activations, for int8 and int16x8. Those that
            are in the evaluation set as well are left out of that. The word ``synthetic`` stands for
            images that are made from the model itself, by its batch normalizations (`synthetic_set`).
        precisions: that each target gets, of those that it can run. ``auto``, which is the default
            where there is a calibration set, gives it the cheapest that is inside the budget; where
            int8 misses, with as few layers in float as the budget needs. Without a
            calibration set the default is the target's first.
        settings: all else.
        progress: told of every step.

    Returns:
        The evidence, which is in the bundle as well.

    Raises:
        OptionError: an option is missing, unknown or contradicts another.
        SourceError: the model cannot be read.
        InputError: an image set is empty or has a broken image; or, with `ConversionSettings.strict`,
            there is a warning about the calibration set.
        PluginError, MissingRuntimeError, DeviceError: a converter or backend cannot be had here.
        ConversionError: an artifact cannot be made, or no threshold or temperature does what was asked for.
        AgreementError: an artifact does not agree with the model closely enough, or misses what its operating
            point is to keep. Nothing is written.
        OutputError: the bundle cannot be written. Nothing is left behind.
    """
    source, output, settings = Path(source), Path(output), settings or ConversionSettings()
    plugins = registry()
    can_calibrate = calibration is not None or settings.task.generation is not None
    plan = _plan(targets, precisions, can_calibrate, settings, plugins)
    check_output(output, settings.force)
    reader = _find_reader(source, plugins)
    sets = open_sets(evaluation, calibration, plan.calibrated, settings)
    steps = Steps(progress, STEPS_OF_CONVERSION * (len(plan.planned) + 1) + 2 * len(sets.evaluation))

    steps.next(f"reading {source.name}", STEPS_OF_CONVERSION)
    model = reader.read(source, trust_source=settings.trust_source, input_size_wh=settings.task.image.size_wh)
    evaluator = evaluator_for_source(model, settings.task, sets.evaluation, plugins)
    if sets.synthetic:
        steps.next("making calibration images", 0)
    sets = fit_sets(sets, model, evaluator, settings)
    wish = _wished(sets, evaluator, settings)
    session = SourceSession(model)
    data = None if sets.calibration is None else evaluator.network_inputs(session, sets.calibration)
    ground = Ground(model, evaluator, sets.evaluation, data, settings.budget, plugins)
    trials = Trials(ground, steps.next, steps.measured, keep_answers=wish is not None)
    readings = None if wish is None else _source_reading(wish, trials, steps)
    found = _searched(trials, plan.targets, data is not None) if plan.searching else trials.run(plan.planned)
    if readings is not None:
        found = _read(readings, found, steps)
    steps.next("timing", 0)
    evidence = _evidence(ground, sets, trials, found, settings)
    _require_passed(evidence)
    steps.next("writing the bundle", 0)
    candidates = [one.candidate for one in found]
    selftest = known_answers(evaluator, session, candidates, sets.evaluation, trials.source_answers)
    pictures = _pictures(ground, found, trials) if settings.pictures else None
    manifest, files = composed(model, evaluator, candidates, evidence, selftest, pictures)
    write_bundle(output, manifest, files, settings.force)
    return evidence


def _plan(
    names: Sequence[str],
    precisions: Sequence[str],
    can_calibrate: bool,
    settings: ConversionSettings,
    plugins: Registry,
) -> _Plan:
    """What is to be made, with backends that are known to run here."""
    known = load_targets(settings.targets_files, plugins)
    targets = [find_target(name, known) for name in names]
    if "auto" in precisions and len(precisions) > 1:
        raise OptionError(f"precision: 'auto' chooses by itself; leave out {', '.join(precisions)}")
    searching = "auto" in precisions or (not precisions and can_calibrate)
    integers = [one.name for one in targets if set(one.precisions) <= CALIBRATED]
    if searching and not can_calibrate and integers:
        raise OptionError(f"{integers[0]} runs nothing without a calibration set; type --calibration FOLDER")
    planned = plan_artifacts(targets, () if searching else precisions)
    for one in planned:
        measurement_backend_for(one, plugins)
    calibrated = [one.id for one in planned if one.precision in CALIBRATED]
    if searching:
        # Without a calibration set, those of the candidates are tried that need none.
        calibrated = ["the search for a precision"] if can_calibrate else []
    return _Plan(targets, planned, searching, calibrated)


def _pictures(ground: Ground, found: Sequence[Trial], trials: Trials) -> bytes:
    return write_pictures(
        example_pictures(
            ground.evaluator,
            [one.candidate for one in found],
            [one.measured for one in found],
            ground.examples,
            trials.source_answers,
        )
    )


def _evidence(
    ground: Ground,
    sets: ConversionSets,
    trials: Trials,
    found: Sequence[Trial],
    settings: ConversionSettings,
) -> Evidence:
    coverage = coverage_of(ground.source, ground.evaluator, sets)
    annotated = bool(settings.task.annotations or settings.task.truth)
    return Evidence(
        created=now(),
        source_sha256=ground.source.sha256,
        machine=this_machine(),
        evaluation=_set_facts(sets.evaluation, sets.left_out, annotated),
        calibration=None if sets.calibration is None else _set_facts(sets.calibration),
        results=tuple(_with_costs(trials, one) for one in found),
        notes=tuple(_notes([one.candidate for one in found], sets.left_out)),
        attempts=tuple(trials.attempts),
        sensitivities=trials.ranked,
        calibration_findings=(*sets.findings, *(() if coverage is None else coverage_findings(coverage))),
        calibration_coverage=coverage,
    )


def _with_costs(trials: Trials, trial: Trial) -> Measured:
    """What was measured of an artifact, with what a run of it costs here, where that can be had."""
    try:
        costs = trials.costs(trial)
    except InferenceError:  # such as of a backend that this process alone knows
        return trial.measured
    return replace(trial.measured, latency_ms=costs.latency_ms, peak_memory_mb=costs.peak_memory_mb)


def _searched(trials: Trials, targets: Sequence[Target], calibrated: bool) -> list[Trial]:
    """The cheapest candidate inside the budget for all targets; the nearest where none is inside."""
    searches = searches_for(targets, calibrated, trials.sensitivities)
    trials.search(searches)
    users: dict[str, list[Target]] = {}
    for search in searches:
        users.setdefault(trials.outcome(search), []).extend(search.targets)
    found = [trials.made_for(trials.named(name), tuple(targets)) for name, targets in users.items()]
    trials.close_all_but(found)
    return found


def _wished(sets: ConversionSets, evaluator: Evaluator, settings: ConversionSettings) -> Wished | None:
    """How scores are to be read, checked before any long work; `None` if they are read as they are."""
    if not settings.reads_scores or not isinstance(sets.calibration, ImageSet):
        return None
    annotations = settings.task.annotations
    return wished(
        settings.operating_point, settings.calibrate_scores, evaluator, sets.calibration, annotations
    )


def _source_reading(wish: Wished, trials: Trials, steps: Steps) -> ScoreCalibrator:
    steps.next("reading the source's scores", len(wish.calibration))
    return ScoreCalibrator(wish, trials.source_model, trials.source_answers, steps.measured)


def _read(readings: ScoreCalibrator, found: Sequence[Trial], steps: Steps) -> list[Trial]:
    """The same trials, with how each one's scores are read."""
    steps.next("reading scores", readings.images)
    pairs = readings.read(
        [one.candidate for one in found],
        [one.answers for one in found],
        [one.measured for one in found],
        steps.measured,
    )
    return [Trial(candidate, measured) for candidate, measured in pairs]


def _find_reader(path: Path, plugins: Registry) -> SourceReader:
    if not path.exists():
        raise SourceError(f"{path}: there is no such file or directory")
    readers = plugins.readers()
    for reader in readers.values():
        if reader.reads(path):
            return reader
    raise SourceError(
        f"{path}: expected a .keras or .h5 file, or a SavedModel directory"
        + ("" if readers else "; no plugin that reads models is installed")
    )


def _set_facts(examples: ImageSet | SeedSet, left_out: int = 0, annotated: bool = False) -> SetFacts:
    labelled = annotated or (isinstance(examples, ImageSet) and examples.labels is not None)
    return SetFacts(examples.name, len(examples), examples.digest, labelled, left_out)


def _notes(candidates: Sequence[Candidate], left_out: int) -> Iterable[str]:
    if left_out:
        yield f"{left_out} evaluation images were left out: the calibration set holds them as well"
    for candidate in candidates:
        yield from unmeasured_limits(candidate.measured_on, candidate.planned.targets)
        if not candidate.measured_on.on_target:
            session = candidate.session
            names = ", ".join(target.name for target in candidate.planned.targets)
            yield (
                f"{candidate.planned.id} was measured on {session.backend} {session.device}: "
                f"this machine does not have what runs it on {names}"
            )


def _require_passed(evidence: Evidence) -> None:
    for result in evidence.results:
        for requirement in result.requirements:
            if not requirement.passed:
                raise AgreementError(_missed(result, requirement), evidence)


def _missed(result: Measured, requirement: Requirement) -> str:
    measured, limit = (
        in_unit(requirement.measured, requirement.unit),
        in_unit(requirement.limit, requirement.unit),
    )
    advice = "calibrate on more images like those in use, choose another --precision, or say what is "
    if requirement.what == "agreement":
        return (
            f"{result.artifact} agrees with the source on {measured} of {result.comparison.images} images, "
            f"required are {limit}: nothing was written; {advice}enough with --min-agreement"
        )
    if requirement.at_least:
        return (
            f"{result.artifact}: the {requirement.what} by the evaluation images, is {measured}, "
            f"required are {limit}: nothing was written; calibrate on more images like those in use, which "
            f"the model was not trained on, choose another --precision, or require less"
        )
    if requirement.unit in DEVICE_UNITS:
        told = f"has a {requirement.what} of {measured}, its target allows {limit}"
        return f"{result.artifact} {told}: nothing was written"
    return (
        f"{result.artifact}: the {requirement.what} on {result.comparison.images} images may be up to {measured}, "
        f"allowed are {limit}: nothing was written; {advice}allowed with --max-drop"
    )
