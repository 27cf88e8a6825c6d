"""convert(): from a trained model and device targets to a bundle with evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgevision.artifact import is_calibrated
from edgevision.bundle.pictures import MOST_BYTES, Picture, write_pictures
from edgevision.bundle.provenance import InputRecord, PluginRecord
from edgevision.bundle.storage import check_output, write_bundle
from edgevision.calibration.coverage import coverage_findings
from edgevision.calibration.findings import Finding
from edgevision.conversion.attention import AttentionCheck, check_attention
from edgevision.conversion.attention_pictures import attention_pictures
from edgevision.conversion.candidates import (
    CandidateBuilder,
    Trial,
    check_converter_names,
    find_converter,
)
from edgevision.conversion.device_limits import unmeasured_limits
from edgevision.conversion.example_pictures import example_pictures
from edgevision.conversion.find_reader import find_reader
from edgevision.conversion.isolated import convert_isolated
from edgevision.conversion.numeric_check import NumericCheck
from edgevision.conversion.package import compose
from edgevision.conversion.phases import Activity, ArtifactWatch, OnActivity, Phase, no_activity
from edgevision.conversion.plan import ConversionPlan, plan_conversion
from edgevision.conversion.provenance import digests_of_inputs, private, provenance_of
from edgevision.conversion.ranges import has_ranges, may_have_ranges
from edgevision.conversion.reference import Reference
from edgevision.conversion.requirements import (
    beyond_rounding,
    is_acceptable,
    missed_requirement,
    require_passed,
)
from edgevision.conversion.schedule import Schedule, Stage
from edgevision.conversion.score_calibration import (
    ScoreCalibrationRequest,
    ScoreCalibrator,
    score_calibration_request,
)
from edgevision.conversion.search import lowest_confidence
from edgevision.conversion.sets import ConversionSets, coverage_of, evaluation_images, fit_sets, open_sets
from edgevision.conversion.settings import ConversionRequest, ConversionSettings
from edgevision.conversion.speed import speed_bases
from edgevision.conversion.trials import Failure, Trials
from edgevision.conversion.used_plugins import used_plugins
from edgevision.converter import (
    CheckingReader,
    ConfigurableReader,
    Source,
    SourceOptions,
    SourceReader,
)
from edgevision.datasets.groups import GroupSource, stated_groups
from edgevision.datasets.image_sets import ImageSet, SetFacts
from edgevision.errors import ConversionError, EdgeVisionError, InferenceError, OptionError
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.for_source import check_stated, evaluator_for_source
from edgevision.evaluation.run import Examples, Images, open_images, stated_images
from edgevision.evaluation.source_check import check_interpolation, check_source
from edgevision.evaluation.source_session import SourceSession
from edgevision.evaluation.training_input import training_sample
from edgevision.evidence.attention import AttentionSpecification
from edgevision.evidence.records import Evidence, Measured, MissingArtifact
from edgevision.evidence.requirements import CONFIDENCE
from edgevision.evidence.training_input import TrainingInputEvidence
from edgevision.imaging.find import told_left_out
from edgevision.plugins import Registry, registry
from edgevision.session import CheckedSession
from edgevision.system.arguments import callback, instance, names, one_path
from edgevision.system.files import OutputState
from edgevision.system.machine import now, this_machine
from edgevision.system.missing_options import MissingOptions
from edgevision.system.progress import Progress
from edgevision.target import Target

__all__ = ["ConversionSettings", "Images", "Progress", "convert"]


def convert(  # noqa: PLR0913 - the sets and what belongs to them, beside the settings
    source: str | Path,
    output: str | Path,
    *,
    targets: Sequence[str],
    evaluation: Images | None = None,
    calibration: Images | None = None,
    precisions: Sequence[str] = (),
    groups: GroupSource | None = None,
    settings: ConversionSettings | None = None,
    progress: Progress | None = None,
) -> Evidence:
    """Convert a trained model for devices, and verify each artifact against it.

    The model is read and converted in a process of its own, within `ConversionSettings.source_limits`. Where
    a plugin is registered in the caller's process only, that process converts, without limits.

    All artifacts are tried, also after one has failed. If some pass and others fail, nothing is written,
    unless `ConversionSettings.keep_passing` is set.

    Args:
        source: ``.keras``, ``.h5``, or a SavedModel directory.
        output: the bundle to write, ``NAME.evb``.
        targets: names of device profiles, one or more.
        evaluation: images that the evidence is measured on: a folder, one folder per class, or a zip of
            either. Models that generate images from a seed (`TaskOptions.generation`) take neither set:
            they are calibrated and evaluated on seeds.
        calibration: images that set the ranges of activations, for int8 and int16x8. Images that are
            also in the evaluation set are left out of that set. The word ``synthetic`` stands for images
            that are synthesized from the batch-normalization statistics of the model (`synthetic_set`).
        precisions: applied to each target that supports them. ``auto``, the default with a calibration
            set, gives each target the cheapest precision inside the budget; if int8 misses it, int8 with as
            few layers in float as the budget needs. Where this machine is of the target's kind, candidates
            are timed too, and none is chosen that is slower than float32. Without a calibration set the
            default is the target's first precision.
        groups: which images belong together, of one patient, video or site: ``folder:1``,
            ``pattern:{group}_*``, ``file``, a CSV file with the columns image,group, or one group per
            evaluation image; see `ImageSet.grouped`. They hold for the calibration set too, if they say so of
            its images and it is not an `ImageSet` with its own: no group may be in both sets.
        settings: all other settings.
        progress: called at the beginning of each stage, and often while images are measured, with (stage,
            milliseconds since the beginning, milliseconds in total as estimated so far).

    Returns:
        The evidence, which the bundle contains as well. With `ConversionSettings.keep_passing`, its `missing`
        lists the artifacts that are not in the bundle; otherwise it is empty.

    Raises:
        OptionError: an option is missing, unknown, or contradicts another.
        SourceError: the model cannot be read.
        SourceLimitError: it goes over a limit on memory, time or open files; says which.
        InputError: an image set is empty or has a broken image; or, with `ConversionSettings.strict`,
            the calibration set has a warning.
        PluginError, MissingRuntimeError, DeviceError: a converter or backend is missing on this machine.
        ConversionError: no artifact can be converted, or no threshold or temperature meets the request.
        ArtifactError, InferenceError: no artifact can be run by its runtime.
        NotShownError: the evaluation images do not show of any artifact that it meets its requirements;
            says how many would. Nothing is written, unless `ConversionSettings.accept_not_shown` is set.
        AgreementError: every artifact misses a requirement: the budget, a limit of its targets, or its
            operating point. Nothing is written.
        IncompleteConversionError: some artifacts pass and others do not. Nothing is written.
        OutputError: the bundle cannot be written. Nothing is left behind.
    """
    request = ConversionRequest(
        source=one_path(source, "source"),
        output=one_path(output, "output"),
        targets=names(targets, "targets"),
        precisions=names(precisions, "precisions"),
        evaluation=None if evaluation is None else stated_images(evaluation),
        calibration=None if calibration is None else stated_images(calibration),
        settings=ConversionSettings()
        if settings is None
        else instance(settings, ConversionSettings, "settings"),
        groups=None if groups is None else stated_groups(groups),
    )
    plugins, progress = registry(), callback(progress, "progress")
    limits = request.settings.source_limits
    if limits is None or plugins.has_own:
        return Conversion.prepare(request, plugins, progress).run()
    return convert_isolated(request, limits, progress)


@dataclass(frozen=True, eq=False)
class Conversion:
    """A conversion whose inputs are read and checked: built by `prepare`, carried out by `run`.

    Attributes:
        request: the arguments of `convert`.
        plan: the artifacts to convert.
        sets: the images or seeds to calibrate and evaluate on.
        source: the trained model.
        evaluator: the evaluator of its task.
        scores: the score calibration to compute, or `None`.
        plugins: provide converters and backends.
        steps: the progress.
        before: what was at the output when the conversion began, or `None` where it was not looked at.
        on_activity: called when another part of the conversion begins.
        inputs: digests of all that the conversion reads.
    """

    request: ConversionRequest
    plan: ConversionPlan
    sets: ConversionSets
    source: Source
    evaluator: Evaluator
    scores: ScoreCalibrationRequest | None
    plugins: Registry
    steps: Schedule
    before: OutputState | None
    on_activity: OnActivity
    inputs: tuple[InputRecord, ...]
    reader: str

    @classmethod
    def prepare(
        cls,
        request: ConversionRequest,
        plugins: Registry,
        progress: Progress | None = None,
        on_activity: OnActivity = no_activity,
    ) -> Conversion:
        """Plan the artifacts, open the sets, and read the source; raises as `convert`."""
        settings, missing = request.settings, MissingOptions(str(request.source))
        with missing.collected():
            plan = plan_conversion(request, plugins, has_ranges=may_have_ranges(request, plugins))
        before = None
        if not missing:
            before = check_output(request.output, settings.force)
            on_activity(Activity(Phase.CHECKING))
            reader = find_reader(request.source, plugins, settings.reader)
            on_activity(Activity(Phase.PREPARING))
            with missing.collected():
                sets = open_sets(request, plan.calibrated)
        if missing:
            _collect_statements(missing, request, plugins, on_activity)
            missing.check()
        steps = _schedule(progress, plan, sets, settings.attention)
        steps.next(f"reading {request.source.name}", Stage.READING)
        source = _read(reader, request, on_activity)
        check_converter_names(plan.artifacts, source, plugins, settings.converters)
        if not plan.searching:
            for planned in plan.artifacts:
                find_converter(planned, source, plugins, settings.converter_choice)
        evaluator = evaluator_for_source(source, settings.task, sets.evaluation, plugins)
        if sets.synthetic:
            steps.next("synthesizing calibration images", Stage.RANKING)
        sets = fit_sets(sets, source, evaluator, settings)
        scores = None
        if settings.needs_labelled_calibration and isinstance(sets.calibration, ImageSet):
            scores = score_calibration_request(settings, evaluator, sets.calibration)
        if settings.attention is not None:
            check_attention(
                settings.attention,
                evaluator.model(CheckedSession(SourceSession(source), source.kind)),
                sets.evaluation,
                settings.accept_not_shown,
            )
        inputs = digests_of_inputs(request, source, sets)
        facts = request, plan, sets, source, evaluator, scores, plugins, steps, before
        return cls(*facts, on_activity, inputs, reader.name)

    def run(self) -> Evidence:
        """Convert, measure, verify, and write the bundle; raises as `convert`."""
        settings, steps = self.request.settings, self.steps
        builder = self._candidate_builder()
        steps.next("measuring the source", Stage.SOURCE, len(self.sets.evaluation))
        reference = Reference.measure(self.source, self.evaluator, self.sets.evaluation, steps.measured)
        if not settings.accept_not_shown:
            reference.check_budget(settings.budget, self._possible_precisions(), self._lowest_confidence())
        source_findings = _source_findings(reference, settings)
        training_input = self._measure_training_input(reference)
        attention = self._measure_attention(reference)
        calibrator = None
        if self.scores is not None:
            steps.next("calibrating the source's scores", Stage.SOURCE, len(self.scores.calibration))
            calibrator = ScoreCalibrator.fit_source(self.scores, reference, steps.measured)
        trials = Trials(
            *(reference, builder, settings.budget, steps),
            keep_answers=calibrator is not None,
            accept_not_shown=settings.accept_not_shown,
            watch=self._artifact_watch(),
            attention=attention,
        )
        chosen = self._candidates(trials)
        if calibrator is not None:
            steps.next("calibrating scores", Stage.ARTIFACTS, len(calibrator.request.calibration))
            chosen = self._with_scores(calibrator, chosen, trials.failures)
            chosen = [builder.with_calibration_described(trial) for trial in chosen]
        _require_one(chosen, trials.failures)
        steps.next("timing", Stage.TIMING)
        evidence = require_passed(
            self._evidence(trials, chosen, source_findings, training_input, attention),
            settings.keep_passing,
            settings.accept_not_shown,
        )
        steps.next("writing the bundle", Stage.WRITING)
        passed = {result.artifact for result in evidence.results}
        self._write(reference, [trial for trial in chosen if trial.id in passed], evidence, attention)
        return evidence

    def _measure_training_input(self, reference: Reference) -> TrainingInputEvidence | None:
        sample = training_sample(self.source, self.evaluator, self.sets.evaluation)
        if sample is None:
            return None
        self.steps.next("measuring the source as its training read images", Stage.SOURCE, len(sample.places))
        return sample.measure(reference.model, reference.answers, self.steps.measured)

    def _measure_attention(self, reference: Reference) -> AttentionCheck | None:
        specification = self.request.settings.attention
        if specification is None:
            return None
        images = _explained(specification, self.sets)
        self.steps.next("explaining the source", Stage.ATTENTION, images)
        return AttentionCheck.measure(specification, reference, self.steps.measured)

    def _candidate_builder(self) -> CandidateBuilder:
        calibration, data = self.sets.calibration, None
        if calibration is not None:
            data = self.evaluator.network_inputs(SourceSession(self.source), calibration)
        evaluation, check = self.sets.evaluation, None
        if self.request.settings.budget.is_default:
            check = NumericCheck(self.source, self.evaluator, evaluation)
        return CandidateBuilder(
            *(self.source, data, self.evaluator, evaluation, self.plugins, self.steps, check),
            converters=self.request.settings.converter_choice,
        )

    def _artifact_watch(self) -> ArtifactWatch:
        has_others = self.plan.searching or len(self.plan.artifacts) > 1
        return ArtifactWatch(self.on_activity, has_others, self.request.failed)

    def _possible_precisions(self) -> tuple[str, ...]:
        """The precisions of the artifacts that may be written."""
        if not self.plan.searching:
            return tuple(planned.precision for planned in self.plan.artifacts)
        return tuple(precision for target in self.plan.targets for precision in target.precisions)

    def _lowest_confidence(self) -> float:
        """The lowest confidence that an artifact may be judged at; a search judges most at a higher one."""
        if not self.plan.searching:
            return CONFIDENCE
        return lowest_confidence(self.plan.targets, self._is_calibrated)

    @property
    def _is_calibrated(self) -> bool:
        """True if ranges of activations are known, or can be measured."""
        return self.sets.calibration is not None or has_ranges(self.source)

    def _candidates(self, trials: Trials) -> list[Trial]:
        """The planned artifacts, or those that a search finds."""
        bases = speed_bases(self.plan.targets, self.plugins)
        if self.plan.searching:
            return trials.search(self.plan.targets, self._is_calibrated, bases, self.plan.symmetric)
        chosen = trials.run(self.plan.artifacts)
        trials.note_slower(chosen, bases)
        return chosen

    def _with_scores(
        self, calibrator: ScoreCalibrator, chosen: Sequence[Trial], failures: list[Failure]
    ) -> list[Trial]:
        """The trials with calibrated scores; those for which none meet the request join the failures."""
        try:
            return calibrator.calibrate(chosen, self.steps.measured)
        except (ConversionError, InferenceError) as error:
            if len(chosen) == 1:
                failures.append(Failure(chosen[0].candidate.planned, error))
                return []
        return [done for trial in chosen for done in self._with_scores(calibrator, [trial], failures)]

    def _evidence(
        self,
        trials: Trials,
        chosen: Sequence[Trial],
        source_findings: Sequence[Finding],
        training_input: TrainingInputEvidence | None,
        attention: AttentionCheck | None,
    ) -> Evidence:
        sets, task = self.sets, self.request.settings.task
        coverage = coverage_of(self.source, self.evaluator, sets)
        data = _set_facts(sets.evaluation, sets.left_out, bool(task.annotations or task.truth))
        results = tuple(trials.with_costs(chosen))
        evidence = Evidence(
            created=now(),
            source_sha256=self.source.sha256,
            machine=this_machine(),
            evaluation=data,
            calibration=None if sets.calibration is None else _set_facts(sets.calibration),
            results=results,
            missing=(
                *_failed(trials.failures),
                *_missing(chosen, results, data, self.request.settings.accept_not_shown),
            ),
            notes=(*_left_out_files(sets), *_notes(chosen, sets.left_out), *trials.notes),
            attempts=tuple(trials.attempts),
            sensitivities=trials.sensitivities,
            calibration_findings=(
                *source_findings,
                *(one for one in sets.findings if one.check not in {each.check for each in source_findings}),
                *(() if coverage is None else coverage_findings(coverage)),
            ),
            calibration_coverage=coverage,
            training_input=training_input,
            attention=None if attention is None else attention.source.evidence,
            provenance=provenance_of(
                self.request, self.inputs, self.source.versions, self._used_plugins(chosen)
            ),
        )
        return evidence if self.request.settings.record_names else private(evidence, self.request)

    def _used_plugins(self, chosen: Sequence[Trial]) -> tuple[PluginRecord, ...]:
        wanted = self.request.settings.converter_choice
        candidates = [trial.candidate for trial in chosen]
        converters = [
            find_converter(one.planned, self.source, self.plugins, wanted).name for one in candidates
        ]
        backends = [target.backend for one in candidates for target in one.planned.targets]
        backends += [one.session.backend for one in candidates]
        return used_plugins(self.reader, converters, backends, self.evaluator.task, self.plugins)

    def _write(
        self,
        reference: Reference,
        chosen: Sequence[Trial],
        evidence: Evidence,
        attention: AttentionCheck | None,
    ) -> None:
        settings = self.request.settings
        pictures = write_pictures(_pictures(reference, chosen, attention)) if settings.pictures else None
        manifest, files = compose(reference, chosen, evidence, pictures)
        write_bundle(self.request.output, manifest, files, settings.force, self.before)


def _schedule(
    progress: Progress | None,
    plan: ConversionPlan,
    sets: ConversionSets,
    attention: AttentionSpecification | None,
) -> Schedule:
    """The stages of the conversion, as far as they are known; a search may add some."""
    integer = sum(is_calibrated(artifact.precision) for artifact in plan.artifacts)
    expected = {
        Stage.READING: 1,
        Stage.SOURCE: len(sets.evaluation),
        Stage.INTEGER: 2 * integer,  # our own recipe and the plain one
        Stage.FLOAT: len(plan.artifacts) - integer,
        Stage.ARTIFACTS: len(sets.evaluation),
        Stage.ATTENTION: (1 + len(plan.artifacts)) * _explained(attention, sets),
        Stage.TIMING: 1,
        Stage.WRITING: 1,
    }
    return Schedule(progress, expected, 0 if sets.calibration is None else len(sets.calibration))


def _explained(attention: AttentionSpecification | None, sets: ConversionSets) -> int:
    """Number of images of which each model's answers are explained."""
    return 0 if attention is None else min(len(sets.evaluation), int(attention.images))


def _pictures(
    reference: Reference, chosen: Sequence[Trial], attention: AttentionCheck | None
) -> tuple[Picture, ...]:
    """The pictures of a bundle: what answers rest on, where that was measured, and the changed answers."""
    maps = () if attention is None else attention_pictures(attention.source, reference, chosen)
    used = sum(len(picture.content) for picture in maps)
    return (*maps, *example_pictures(reference, chosen, MOST_BYTES - used))


def _require_one(chosen: Sequence[Trial], failures: Sequence[Failure]) -> None:
    """Raise the error of the first failure, with the others' reasons, if no artifact could be measured."""
    if chosen:
        return
    first = failures[0].error
    if len(failures) > 1:
        first.args = ("; ".join(dict.fromkeys(str(failure.error) for failure in failures)),)
    raise first


def _failed(failures: Sequence[Failure]) -> Iterator[MissingArtifact]:
    """The artifacts that were asked for and could not be converted or run."""
    for failure in failures:
        planned = failure.planned
        yield MissingArtifact(planned.id, _names(planned.targets), str(failure.error))


def _missing(
    trials: Sequence[Trial], results: Sequence[Measured], data: SetFacts, accept_not_shown: bool
) -> Iterator[MissingArtifact]:
    """The artifacts that were asked for and cannot be written, because they did not pass on the images."""
    for trial, result in zip(trials, results, strict=True):
        if not is_acceptable(result, accept_not_shown):
            targets = _names(trial.candidate.planned.targets)
            yield MissingArtifact(result.artifact, targets, missed_requirement(result, data))


def _names(targets: Sequence[Target]) -> tuple[str, ...]:
    return tuple(target.name for target in targets)


def _source_findings(reference: Reference, settings: ConversionSettings) -> tuple[Finding, ...]:
    """Findings about the source's own answers; raises with ``--strict`` as `check_source`."""
    asked = reference.source, reference.evaluator, reference.examples, reference.answers
    findings = check_source(*asked, settings.strict)
    resized = check_interpolation(*asked, settings.task.image) if not findings else None
    return findings if resized is None else (*findings, resized)


def _collect_statements(
    missing: MissingOptions, request: ConversionRequest, plugins: Registry, on_activity: OnActivity
) -> None:
    """Add what the model itself leaves open, as far as it can be read: one message asks for all."""
    task = request.settings.task
    if task.generation is None:
        with missing.collected():
            evaluation_images(request)
    with suppress(EdgeVisionError), missing.collected():
        on_activity(Activity(Phase.CHECKING))
        source = _read(find_reader(request.source, plugins, request.settings.reader), request, on_activity)
        if task.generation is None:
            images = None if request.evaluation is None else open_images(request.evaluation)
            check_stated(source, task, None if images is None else images.class_names, plugins)


def _read(reader: SourceReader, request: ConversionRequest, on_activity: OnActivity) -> Source:
    if isinstance(reader, CheckingReader):
        on_activity(Activity(Phase.CHECKING))
        reader.check(request.source)
    on_activity(Activity(Phase.READING))
    source = _read_checked(reader, request)
    on_activity(Activity(Phase.CONVERTING))
    return source


def _read_checked(reader: SourceReader, request: ConversionRequest) -> Source:
    settings = request.settings
    options = SourceOptions(settings.imports, settings.signature)
    trust, size_wh = settings.trust_source, settings.task.image.size_wh
    if options == SourceOptions():
        return reader.read(request.source, trust_source=trust, input_size_wh=size_wh)
    if isinstance(reader, ConfigurableReader):
        return reader.read_with_options(request.source, options, trust_source=trust, input_size_wh=size_wh)
    stated = "--import" if options.imports else "--signature"
    raise OptionError(f"{stated}: the reader '{reader.name}' has no such option; remove it")


def _set_facts(examples: Examples, left_out: int = 0, annotated: bool = False) -> SetFacts:
    labelled = annotated or (isinstance(examples, ImageSet) and examples.labels is not None)
    if isinstance(examples, ImageSet):
        return SetFacts.of(examples, labelled, left_out)
    return SetFacts(examples.name, len(examples), examples.digest, labelled, left_out)


def _left_out_files(sets: ConversionSets) -> Iterator[str]:
    """A note for each set with files that are not images in a supported format."""
    for kind, examples in (("evaluation", sets.evaluation), ("calibration", sets.calibration)):
        if isinstance(examples, ImageSet) and examples.left_out:
            yield f"{kind} set {examples.name}: {told_left_out(examples.left_out, named=0)}"


def _notes(trials: Sequence[Trial], left_out: int) -> Iterator[str]:
    if left_out:
        yield f"{left_out} evaluation images were left out: they are also in the calibration set"
    for note in dict.fromkeys(note for trial in trials for note in trial.candidate.notes):
        ids = ", ".join(trial.id for trial in trials if note in trial.candidate.notes)
        yield f"{ids}: {note}"
    yield from (f"{trial.id}: {reason}" for trial in trials if (reason := beyond_rounding(trial.measured)))
    for candidate in (trial.candidate for trial in trials):
        yield from unmeasured_limits(candidate.measured_on, candidate.planned.targets)
        if not candidate.measured_on.on_target:
            session = candidate.session
            targets = ", ".join(target.name for target in candidate.planned.targets)
            yield (
                f"{candidate.planned.id} was measured on {session.backend} {session.device}: "
                f"this machine does not have the backend and device of {targets}"
            )
