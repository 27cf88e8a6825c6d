"""Candidate artifacts: converted, loaded where they are measured, and compared with the source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from edgevision.artifact import MIXED, Artifact, is_calibrated, standard_precision
from edgevision.backend import Backend, SessionSettings
from edgevision.conversion.failures import failure_of
from edgevision.conversion.numeric_check import NumericCheck
from edgevision.conversion.plan import MeasurementBackend, PlannedArtifact, measurement_backend_for
from edgevision.conversion.ranges import has_ranges
from edgevision.conversion.recipes import Converted, HeldOut, choose_recipe
from edgevision.conversion.reference import Reference
from edgevision.conversion.schedule import Schedule, Stage
from edgevision.conversion.search import Sensitivities
from edgevision.conversion.self_description import described
from edgevision.conversion.settings import ANY_CONVERTER, ConverterChoice
from edgevision.converter import (
    CalibrationData,
    ConfigurableConverter,
    Converter,
    FullIntegerConverter,
    PlainConverter,
    SelectiveConverter,
    Source,
    SymmetricConverter,
)
from edgevision.errors import ConversionError, OptionError, PluginError, ProcessError
from edgevision.evaluation.attention import MapPair
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.run import Examples, workers_on
from edgevision.evidence.quantization import QuantizationEvidence, RecipeComparison, named_operations
from edgevision.evidence.records import Measured
from edgevision.evidence.requirements import CONFIDENCE, OUTPUT_TOLERANCES, Budget, output_error
from edgevision.execution.first_run import first_run
from edgevision.execution.worker import Worker
from edgevision.plugins import Registry
from edgevision.session import CheckedSession, open_session
from edgevision.target import Target
from edgevision.tasks.score_calibration import ScoreCalibration
from edgevision.tensors import Array

#: Precisions that the usual tools of the formats make as well.
_ALSO_PLAIN = ("int8", "int8-float-io")

#: Runs an artifact on inputs for the first time, and returns its outputs.
_Run = Callable[[Artifact, Mapping[str, Array]], dict[str, Array]]


@dataclass(frozen=True)
class Candidate:
    """A converted artifact, loaded where it is measured.

    Attributes:
        planned: the plan that it was converted by.
        artifact: the files.
        measured_on: backend and device that it is measured on.
        session: the artifact, loaded there.
        comparison: of our own recipe with the plain converter's, where both exist.
        output_error: of an artifact in float, the largest numeric error of its outputs; see `NumericCheck`.
            `None` where it is not required.
        score_calibration: temperature and operating point of a classifier, where requested.
        notes: what the artifact's metadata leaves out, and why.
    """

    planned: PlannedArtifact
    artifact: Artifact
    measured_on: MeasurementBackend
    session: CheckedSession
    comparison: RecipeComparison | None = None
    output_error: float | None = None
    score_calibration: ScoreCalibration | None = None
    notes: tuple[str, ...] = ()

    def model(self, evaluator: Evaluator) -> Any:
        """The artifact as a model of its task.

        Raises:
            ConversionError: its tensors are not those of the source.
        """
        try:
            return evaluator.model(self.session)
        except OptionError as error:
            raise ConversionError(
                f"{self.planned.id}: the tensors of the artifact differ from those of the source: {error}"
            ) from error


@dataclass(frozen=True, eq=False)
class Trial:
    """A candidate and its measurements.

    Attributes:
        candidate: the artifact.
        measured: the evidence.
        answers: its answers on the evaluation set, where they are kept for score calibration.
        maps: what its answers rest on, where that is asked for; largest attention drift first.
    """

    candidate: Candidate
    measured: Measured
    answers: Sequence[Any] = ()
    maps: tuple[MapPair, ...] = ()

    @property
    def id(self) -> str:
        """The id of the artifact."""
        return self.candidate.planned.id

    @property
    def targets(self) -> tuple[Target, ...]:
        """The targets that the artifact is for."""
        return self.candidate.planned.targets

    @property
    def session(self) -> CheckedSession:
        """The artifact, loaded where it is measured."""
        return self.candidate.session

    @property
    def has_float_operations(self) -> bool:
        """True for an int8 artifact that computes some operations in float."""
        quantization = self.candidate.artifact.quantization
        return quantization is not None and bool(quantization.float_operations)


@dataclass(frozen=True)
class _FirstRun:
    """A converted artifact, and what its first run showed, as in `Candidate`."""

    artifact: Artifact
    comparison: RecipeComparison | None = None
    output_error: float | None = None


class CandidateBuilder:
    """Converts the source, and loads the artifact where it is measured.

    Args:
        source: the trained model.
        calibration_data: network inputs to calibrate on; `None` if no candidate needs them.
        evaluator: the evaluator of its task.
        examples: the evaluation set, which decides how many sessions share the cores.
        plugins: provide converters and backends.
        steps: the progress of the conversion.
        numeric_check: compares the outputs of candidates in float; `None` where that is not required.
        converters: which of several convert, and their options.
    """

    def __init__(
        self,
        source: Source,
        calibration_data: CalibrationData | None,
        evaluator: Evaluator,
        examples: Examples,
        plugins: Registry,
        steps: Schedule,
        numeric_check: NumericCheck | None = None,
        converters: ConverterChoice = ANY_CONVERTER,
    ) -> None:
        self._wanted = converters
        self._source = source
        self._numeric_check = numeric_check
        self._calibration_data = calibration_data
        self._held_out = None if calibration_data is None else HeldOut(source, calibration_data, evaluator)
        self._evaluator = evaluator
        self._notes: dict[str, tuple[str, ...]] = {}  # by the digest of a described artifact
        self._examples = examples
        self._plugins = plugins
        self._steps = steps

    def build(self, planned: PlannedArtifact) -> Candidate:
        """Convert the source as planned, run the artifact in a process of its own first, and load it here.

        Where the converter also offers what the plain tool makes, the better of the two artifacts is taken.

        Raises:
            PluginError, MissingRuntimeError, DeviceError: a converter or backend is missing on this machine.
            ConversionError: the artifact cannot be converted, or its runtime does not survive it.
            ArtifactError, InferenceError: the runtime refuses it, or fails.
        """
        measured_on = measurement_backend_for(planned, self._plugins)
        settings = workers_on(self._examples, measured_on.settings)[1]
        with Worker() as worker:
            run = partial(_run_first, worker, planned, measured_on.backend, settings)
            done = self._convert_and_run(planned, run)
        session = open_session(measured_on.backend, done.artifact, settings)
        notes = self._notes.get(done.artifact.sha256, ())
        return Candidate(
            *(planned, done.artifact, measured_on, session, done.comparison, done.output_error), notes=notes
        )

    def with_calibration_described(self, trial: Trial) -> Trial:
        """The trial of an artifact whose own description has its score calibration, loaded in its place."""
        candidate = trial.candidate
        calibration = candidate.score_calibration
        written = described(candidate.artifact, self._evaluator, self._plugins, calibration)
        settings = workers_on(self._examples, candidate.measured_on.settings)[1]
        session = open_session(candidate.measured_on.backend, written.artifact, settings)
        candidate.session.close()
        candidate = replace(candidate, artifact=written.artifact, session=session, notes=written.notes)
        sha256, size_bytes = written.artifact.sha256, written.artifact.size_bytes
        return replace(
            trial,
            candidate=candidate,
            measured=replace(trial.measured, sha256=sha256, size_bytes=size_bytes),
        )

    def sensitivities(self, artifact_format: str) -> Sensitivities:
        """The layers of the source, most sensitive first; empty if they cannot be ranked for this format."""
        planned = PlannedArtifact(artifact_format, "int8", ())
        converter = find_converter(planned, self._source, self._plugins, self._wanted)
        if not isinstance(converter, SelectiveConverter) or self._calibration_data is None:
            return ()
        return tuple(converter.sensitivities(self._source, "int8", self._calibration_data))

    def _convert_and_run(self, planned: PlannedArtifact, run: _Run) -> _FirstRun:
        """The artifact after its first run."""
        source, data, held_out = self._source, self._calibration_data, self._held_out
        converter = find_converter(planned, source, self._plugins, self._wanted)
        if (
            data is None
            or held_out is None
            or planned.precision not in _ALSO_PLAIN
            or planned.full_integer
            or not isinstance(converter, PlainConverter)
        ):
            artifact = self._convert(planned, converter)
            _check_full_integer(planned, artifact)
            return _FirstRun(artifact, output_error=self._run_alone(planned, artifact, run))
        own = self._converted(planned.id, lambda: self._convert(planned, converter), run, held_out)
        self._steps.next(f"converting to {planned.id}, plain", Stage.INTEGER)
        plain = self._converted(
            f"{planned.id}, plain converter",
            lambda: self._described(converter.convert_plain(source, planned.precision, data)),
            run,
            held_out,
        )
        return _FirstRun(*choose_recipe(own, plain, held_out))

    def _run_alone(self, planned: PlannedArtifact, artifact: Artifact, run: _Run) -> float | None:
        """The numeric error of an artifact in float, from its first run; of others `None`."""
        if self._numeric_check is None or planned.precision not in OUTPUT_TOLERANCES:
            run(artifact, self._one_input())
            return None
        return self._numeric_check.error(run(artifact, self._numeric_check.inputs))

    @staticmethod
    def _converted(what: str, convert: Callable[[], Artifact], run: _Run, held_out: HeldOut) -> Converted:
        """The artifact of one recipe with its errors; or why there is none."""
        try:
            artifact = convert()
            return Converted(artifact, held_out.errors(run(artifact, held_out.inputs)))
        except Exception as error:
            return Converted(failure=failure_of(error, what))

    def _one_input(self) -> dict[str, Array]:
        """A network input that is like those in use, where there is a calibration set."""
        if self._held_out is None:
            return {}
        return {name: values[:1] for name, values in self._held_out.inputs.items()}

    def _described(self, artifact: Artifact) -> Artifact:
        """The artifact with its description, so that what is measured is what is written."""
        written = described(artifact, self._evaluator, self._plugins)
        self._notes[written.artifact.sha256] = written.notes
        return written.artifact

    def _convert(self, planned: PlannedArtifact, converter: Converter) -> Artifact:
        return self._described(self._undescribed(planned, converter))

    def _undescribed(self, planned: PlannedArtifact, converter: Converter) -> Artifact:
        if (
            planned.full_integer
            and isinstance(converter, FullIntegerConverter)
            and (self._calibration_data is not None or has_ranges(self._source))
        ):
            return converter.convert_full_integer(self._source, planned.precision, self._calibration_data)
        if planned.precision == MIXED and isinstance(converter, SelectiveConverter):
            artifact = converter.convert(
                self._source, "int8", self._calibration_data, keep_float=planned.float_layers
            )
            return replace(artifact, precision=MIXED)
        data = self._calibration_data if is_calibrated(planned.precision) else None
        return converter.convert(self._source, planned.precision, data)


def _check_full_integer(planned: PlannedArtifact, artifact: Artifact) -> None:
    record = artifact.quantization
    if planned.full_integer and record is not None and record.float_operations:
        targets = ", ".join(target.name for target in planned.targets)
        raise ConversionError(
            f"{planned.id}: {len(record.float_operations)} operations stay in float, and {targets} computes "
            f"none: {named_operations(record.float_operations)}; replace these layers, or choose another "
            f"--target"
        )


def _run_first(
    worker: Worker,
    planned: PlannedArtifact,
    backend: Backend,
    settings: SessionSettings,
    artifact: Artifact,
    inputs: Mapping[str, Array],
) -> dict[str, Array]:
    """The outputs of an artifact in a process of its own, which its runtime may end."""
    try:
        return first_run(worker, artifact, backend, settings, inputs, f"{planned.id} on {backend.name}")
    except ProcessError as error:
        raise ConversionError(
            f"{error}; the runtime cannot take this artifact; choose another --precision or --target"
        ) from error


def find_converter(
    planned: PlannedArtifact,
    source: Source,
    plugins: Registry,
    wanted: ConverterChoice = ANY_CONVERTER,
) -> Converter:
    """The converter for an artifact.

    Args:
        planned: the artifact.
        source: the trained model.
        plugins: provide the converters.
        wanted: which of several is taken, and its options.

    Raises:
        PluginError: there is none for the source, the format and the precision, or of a name in `wanted`.
        OptionError: there are several, and none of them is wanted.
    """
    preferred = {plugins.converter(name).name for name in wanted.names}
    converters = [
        converter
        for converter in plugins.converters().values()
        if (converter.kind, converter.format) == (source.kind, planned.format)
    ]
    precision = "int8" if planned.precision == MIXED else planned.precision
    able = [converter for converter in converters if precision in converter.precisions]
    able = [converter for converter in able if converter.name in preferred] or able
    if len(able) > 1:
        names = [converter.name for converter in able]
        raise OptionError(
            f"{planned.id}: {' and '.join(names)} convert from {source.description} to it; "
            f"pass --converter {' or '.join(names)}"
        )
    if able:
        converter = _with_options(able[0], planned, wanted.options)
        if planned.symmetric and isinstance(converter, SymmetricConverter):
            return converter.symmetric()
        return converter
    supported = sorted({precision for converter in converters for precision in converter.precisions})
    raise PluginError(
        f"no converter from {source.description} to {planned.id}; supported: {', '.join(supported) or 'none'}"
    )


def _with_options(converter: Converter, planned: PlannedArtifact, stated: Mapping[str, Any]) -> Converter:
    """The converter with the options of the artifact's targets, and those that were stated."""
    options = {**_options_of_targets(planned, stated), **stated}
    if not options:
        return converter
    known = converter.options if isinstance(converter, ConfigurableConverter) else ()
    for name in options:
        if name not in known:
            raise OptionError(
                f"converter '{converter.name}' has no option '{name}'; it has: {', '.join(known) or 'none'}"
            )
    assert isinstance(converter, ConfigurableConverter)  # noqa: S101 - it has options
    return converter.with_options(options)


def _options_of_targets(planned: PlannedArtifact, stated: Mapping[str, Any]) -> dict[str, Any]:
    """The converter's options of the targets that share an artifact; those that were stated may differ.

    Raises:
        OptionError: two targets differ in another one.
    """
    options: dict[str, Any] = {}
    for target in planned.targets:
        options |= target.converter_options
    for name in sorted(options.keys() - stated.keys()):
        for target in planned.targets:
            if target.converter_options.get(name) != options[name]:
                names = " and ".join(f"'{one.name}'" for one in planned.targets)
                raise OptionError(
                    f"{planned.id}: the targets {names} share it, and differ in the converter option "
                    f"'{name}'; pass --converter-option {name}=VALUE, or convert for them one by one"
                )
    return options


def check_converter_names(
    artifacts: Sequence[PlannedArtifact], source: Source, plugins: Registry, names: Sequence[str]
) -> None:
    """Refuse a converter that was asked for and converts to no artifact of a conversion.

    Raises:
        PluginError: there is none of this name.
        OptionError: it converts something else.
    """
    for name in names:
        converter = plugins.converter(name)
        wanted = sorted({planned.format for planned in artifacts})
        if converter.kind != source.kind or converter.format not in wanted:
            raise OptionError(
                f"--converter {name}: it converts from {converter.kind} to {converter.format}, and this "
                f"conversion is from {source.kind} to {' and '.join(wanted)}; remove it"
            )


def judge(
    candidate: Candidate,
    answers: Sequence[Any],
    reference: Reference,
    budget: Budget,
    confidence: float = CONFIDENCE,
) -> Measured:
    """Compare a candidate's answers with the source's, and check them against the budget.

    Args:
        candidate: the artifact.
        answers: its answers on the evaluation set.
        reference: the source's answers.
        budget: the loss that an artifact may have; the limits of its targets are checked elsewhere.
        confidence: of the intervals that it is judged by; the evidence shows those of 95 %.
    """
    planned, session, evaluator = candidate.planned, candidate.session, reference.evaluator
    comparison = evaluator.compare(reference.answers, answers)
    default = evaluator.default_agreement[standard_precision(planned.precision)]
    error = candidate.output_error
    numeric = None if error is None else output_error(error, planned.precision, session.precision)
    return Measured(
        artifact=planned.id,
        sha256=candidate.artifact.sha256,
        size_bytes=candidate.artifact.size_bytes,
        backend=session.backend,
        version=candidate.measured_on.backend.version(),
        device=session.device,
        precision=session.precision,
        on_target=candidate.measured_on.on_target,
        comparison=comparison,
        requirements=budget.requirements(comparison, default, numeric, confidence),
        float_layers=planned.float_layers,
        output_error=numeric,
        quantization=QuantizationEvidence.of(candidate.artifact.quantization, candidate.comparison),
    )
