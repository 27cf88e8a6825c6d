"""Candidate artifacts: converted, loaded where they are measured, and compared with the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgevision.artifact import CALIBRATED, MIXED, Artifact
from edgevision.conversion.plan import MeasurementBackend, PlannedArtifact, measurement_backend_for
from edgevision.conversion.reference import Reference
from edgevision.conversion.search import Sensitivities
from edgevision.converter import CalibrationData, Converter, SelectiveConverter, Source
from edgevision.errors import ConversionError, OptionError, PluginError
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.run import Examples, workers_on
from edgevision.evidence.records import Measured
from edgevision.evidence.requirements import Budget
from edgevision.plugins import Registry
from edgevision.session import CheckedSession, open_session
from edgevision.tasks.score_calibration import ScoreCalibration


@dataclass(frozen=True)
class Candidate:
    """A converted artifact, loaded where it is measured.

    Attributes:
        planned: the plan that it was converted by.
        artifact: the files.
        measured_on: backend and device that it is measured on.
        session: the artifact, loaded there.
        score_calibration: temperature and operating point of a classifier, where requested.
    """

    planned: PlannedArtifact
    artifact: Artifact
    measured_on: MeasurementBackend
    session: CheckedSession
    score_calibration: ScoreCalibration | None = None

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
    """

    candidate: Candidate
    measured: Measured
    answers: Sequence[Any] = ()

    @property
    def id(self) -> str:
        """The id of the artifact."""
        return self.candidate.planned.id

    @property
    def session(self) -> CheckedSession:
        """The artifact, loaded where it is measured."""
        return self.candidate.session


class CandidateBuilder:
    """Converts the source, and loads the artifact where it is measured.

    Args:
        source: the trained model.
        calibration_data: network inputs to calibrate on; `None` if no candidate needs them.
        examples: the evaluation set, which decides how many sessions share the cores.
        plugins: provide converters and backends.
    """

    def __init__(
        self,
        source: Source,
        calibration_data: CalibrationData | None,
        examples: Examples,
        plugins: Registry,
    ) -> None:
        self._source = source
        self._calibration_data = calibration_data
        self._examples = examples
        self._plugins = plugins

    def build(self, planned: PlannedArtifact) -> Candidate:
        """Convert the source as planned, and load the artifact.

        Raises:
            PluginError, MissingRuntimeError, DeviceError: a converter or backend is missing on this machine.
            ConversionError: the artifact cannot be converted.
            ArtifactError, InferenceError: the runtime refuses it, or fails.
        """
        measured_on = measurement_backend_for(planned, self._plugins)
        artifact = self._convert(planned)
        settings = workers_on(self._examples, measured_on.settings)[1]
        session = open_session(measured_on.backend, artifact, settings)
        return Candidate(planned, artifact, measured_on, session)

    def sensitivities(self, artifact_format: str) -> Sensitivities:
        """The layers of the source, most sensitive first; empty if they cannot be ranked for this format."""
        converter = self._converter(PlannedArtifact(artifact_format, "int8", ()))
        if not isinstance(converter, SelectiveConverter) or self._calibration_data is None:
            return ()
        return tuple(converter.sensitivities(self._source, "int8", self._calibration_data))

    def _convert(self, planned: PlannedArtifact) -> Artifact:
        converter = self._converter(planned)
        if planned.precision == MIXED and isinstance(converter, SelectiveConverter):
            artifact = converter.convert(
                self._source, "int8", self._calibration_data, keep_float=planned.float_layers
            )
            return replace(artifact, precision=MIXED)
        data = self._calibration_data if planned.precision in CALIBRATED else None
        return converter.convert(self._source, planned.precision, data)

    def _converter(self, planned: PlannedArtifact) -> Converter:
        source = self._source
        converters = [
            converter
            for converter in self._plugins.converters().values()
            if (converter.kind, converter.format) == (source.kind, planned.format)
        ]
        precision = "int8" if planned.precision == MIXED else planned.precision
        for converter in converters:
            if precision in converter.precisions:
                return converter
        supported = sorted({precision for converter in converters for precision in converter.precisions})
        raise PluginError(
            f"no converter from {source.description} to {planned.id}; "
            f"supported: {', '.join(supported) or 'none'}"
        )


def judge(candidate: Candidate, answers: Sequence[Any], reference: Reference, budget: Budget) -> Measured:
    """Compare a candidate's answers with the source's, and check them against the budget.

    Args:
        candidate: the artifact.
        answers: its answers on the evaluation set.
        reference: the source's answers.
        budget: the loss that an artifact may have; the limits of its targets are checked elsewhere.
    """
    planned, session, evaluator = candidate.planned, candidate.session, reference.evaluator
    comparison = evaluator.compare(reference.answers, answers)
    requirements = budget.requirements(comparison, evaluator.default_agreement[planned.precision])
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
        requirements=requirements,
        float_layers=planned.float_layers,
    )
