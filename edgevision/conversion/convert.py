"""convert(): from a trained model and device targets to a bundle with evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevision.bundle.pictures import write_pictures
from edgevision.bundle.storage import check_output, write_bundle
from edgevision.calibration.coverage import coverage_findings
from edgevision.calibration.findings import Finding
from edgevision.conversion.candidates import CandidateBuilder, Trial
from edgevision.conversion.device_limits import unmeasured_limits
from edgevision.conversion.example_pictures import example_pictures
from edgevision.conversion.package import compose
from edgevision.conversion.plan import ConversionPlan, plan_conversion
from edgevision.conversion.reference import Reference
from edgevision.conversion.requirements import require_passed
from edgevision.conversion.score_calibration import (
    ScoreCalibrationRequest,
    ScoreCalibrator,
    score_calibration_request,
)
from edgevision.conversion.sets import ConversionSets, coverage_of, fit_sets, open_sets
from edgevision.conversion.settings import ConversionRequest, ConversionSettings
from edgevision.conversion.trials import STEPS_OF_CONVERSION, Trials
from edgevision.converter import Source, SourceReader
from edgevision.datasets.image_sets import ImageSet, SetFacts
from edgevision.errors import SourceError
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.for_source import evaluator_for_source
from edgevision.evaluation.run import Examples, Images
from edgevision.evaluation.source_check import check_source
from edgevision.evaluation.source_session import SourceSession
from edgevision.evidence.records import Evidence
from edgevision.plugins import Registry, registry
from edgevision.system.arguments import instance, names, one_path
from edgevision.system.machine import now, this_machine
from edgevision.system.progress import Progress, Steps

__all__ = ["ConversionSettings", "Images", "Progress", "convert"]


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
    """Convert a trained model for devices, and verify each artifact against it.

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
            few layers in float as the budget needs. Without a calibration set the default is the target's
            first precision.
        settings: all other settings.
        progress: called after each step with (stage, steps done, steps in total).

    Returns:
        The evidence, which the bundle contains as well.

    Raises:
        OptionError: an option is missing, unknown, or contradicts another.
        SourceError: the model cannot be read.
        InputError: an image set is empty or has a broken image; or, with `ConversionSettings.strict`,
            the calibration set has a warning.
        PluginError, MissingRuntimeError, DeviceError: a converter or backend is missing on this machine.
        ConversionError: an artifact cannot be converted, or no threshold or temperature meets the request.
        AgreementError: an artifact misses a requirement: the budget, a limit of its target, or its operating
            point. Nothing is written.
        OutputError: the bundle cannot be written. Nothing is left behind.
    """
    request = ConversionRequest(
        source=one_path(source, "source"),
        output=one_path(output, "output"),
        targets=names(targets, "targets"),
        precisions=names(precisions, "precisions"),
        evaluation=evaluation,
        calibration=calibration,
        settings=ConversionSettings()
        if settings is None
        else instance(settings, ConversionSettings, "settings"),
    )
    return Conversion.prepare(request, registry(), progress).run()


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
    """

    request: ConversionRequest
    plan: ConversionPlan
    sets: ConversionSets
    source: Source
    evaluator: Evaluator
    scores: ScoreCalibrationRequest | None
    plugins: Registry
    steps: Steps

    @classmethod
    def prepare(
        cls, request: ConversionRequest, plugins: Registry, progress: Progress | None = None
    ) -> Conversion:
        """Plan the artifacts, open the sets, and read the source; raises as `convert`."""
        settings = request.settings
        plan = plan_conversion(request, plugins)
        check_output(request.output, settings.force)
        reader = _find_reader(request.source, plugins)
        sets = open_sets(request, plan.calibrated)
        steps = Steps(progress, STEPS_OF_CONVERSION * (len(plan.artifacts) + 1) + 2 * len(sets.evaluation))
        steps.next(f"reading {request.source.name}", STEPS_OF_CONVERSION)
        source = reader.read(
            request.source,
            trust_source=settings.trust_source,
            input_size_wh=settings.task.image.size_wh,
        )
        evaluator = evaluator_for_source(source, settings.task, sets.evaluation, plugins)
        if sets.synthetic:
            steps.next("synthesizing calibration images", 0)
        sets = fit_sets(sets, source, evaluator, settings)
        scores = None
        if settings.needs_labelled_calibration and isinstance(sets.calibration, ImageSet):
            scores = score_calibration_request(settings, evaluator, sets.calibration)
        return cls(request, plan, sets, source, evaluator, scores, plugins, steps)

    def run(self) -> Evidence:
        """Convert, measure, verify, and write the bundle; raises as `convert`."""
        budget, steps = self.request.settings.budget, self.steps
        builder = self._candidate_builder()
        steps.next("measuring the source", len(self.sets.evaluation))
        reference = Reference.measure(self.source, self.evaluator, self.sets.evaluation, steps.measured)
        reference.check_budget(budget)
        source_findings = check_source(
            self.source,
            self.evaluator,
            self.sets.evaluation,
            reference.answers,
            self.request.settings.strict,
        )
        calibrator = None
        if self.scores is not None:
            steps.next("calibrating the source's scores", len(self.scores.calibration))
            calibrator = ScoreCalibrator.fit_source(self.scores, reference, steps.measured)
        trials = Trials(reference, builder, budget, steps, keep_answers=calibrator is not None)
        chosen = self._candidates(trials)
        if calibrator is not None:
            steps.next("calibrating scores", len(calibrator.request.calibration))
            chosen = calibrator.calibrate(chosen, steps.measured)
        steps.next("timing", 0)
        evidence = self._evidence(trials, chosen, source_findings)
        require_passed(evidence)
        steps.next("writing the bundle", 0)
        self._write(reference, chosen, evidence)
        return evidence

    def _candidate_builder(self) -> CandidateBuilder:
        calibration, data = self.sets.calibration, None
        if calibration is not None:
            data = self.evaluator.network_inputs(SourceSession(self.source), calibration)
        return CandidateBuilder(self.source, data, self.sets.evaluation, self.plugins)

    def _candidates(self, trials: Trials) -> list[Trial]:
        """The planned artifacts, or those that a search finds."""
        if self.plan.searching:
            return trials.search(self.plan.targets, calibrated=self.sets.calibration is not None)
        return trials.run(self.plan.artifacts)

    def _evidence(
        self, trials: Trials, chosen: Sequence[Trial], source_findings: Sequence[Finding]
    ) -> Evidence:
        sets, task = self.sets, self.request.settings.task
        coverage = coverage_of(self.source, self.evaluator, sets)
        annotated = bool(task.annotations or task.truth)
        return Evidence(
            created=now(),
            source_sha256=self.source.sha256,
            machine=this_machine(),
            evaluation=_set_facts(sets.evaluation, sets.left_out, annotated),
            calibration=None if sets.calibration is None else _set_facts(sets.calibration),
            results=tuple(trials.with_costs(trial) for trial in chosen),
            notes=tuple(_notes(chosen, sets.left_out)),
            attempts=tuple(trials.attempts),
            sensitivities=trials.sensitivities,
            calibration_findings=(
                *source_findings,
                *(one for one in sets.findings if one.check not in {each.check for each in source_findings}),
                *(() if coverage is None else coverage_findings(coverage)),
            ),
            calibration_coverage=coverage,
        )

    def _write(self, reference: Reference, chosen: Sequence[Trial], evidence: Evidence) -> None:
        settings = self.request.settings
        pictures = write_pictures(example_pictures(reference, chosen)) if settings.pictures else None
        manifest, files = compose(reference, chosen, evidence, pictures)
        write_bundle(self.request.output, manifest, files, settings.force)


def _find_reader(path: Path, plugins: Registry) -> SourceReader:
    if not path.exists():
        raise SourceError(f"{path}: no such file or directory")
    readers = plugins.readers()
    for reader in readers.values():
        if reader.reads(path):
            return reader
    raise SourceError(
        f"{path}: expected a .keras or .h5 file, or a SavedModel directory"
        + ("" if readers else "; no plugin that reads models is installed")
    )


def _set_facts(examples: Examples, left_out: int = 0, annotated: bool = False) -> SetFacts:
    labelled = annotated or (isinstance(examples, ImageSet) and examples.labels is not None)
    return SetFacts(examples.name, len(examples), examples.digest, labelled, left_out)


def _notes(trials: Sequence[Trial], left_out: int) -> Iterator[str]:
    if left_out:
        yield f"{left_out} evaluation images were left out: they are also in the calibration set"
    for candidate in (trial.candidate for trial in trials):
        yield from unmeasured_limits(candidate.measured_on, candidate.planned.targets)
        if not candidate.measured_on.on_target:
            session = candidate.session
            targets = ", ".join(target.name for target in candidate.planned.targets)
            yield (
                f"{candidate.planned.id} was measured on {session.backend} {session.device}: "
                f"this machine does not have the backend and device of {targets}"
            )
