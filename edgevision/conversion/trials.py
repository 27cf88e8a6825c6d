"""Candidates for a bundle: each is made, loaded where it will run, and measured against its source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgevision.artifact import CALIBRATED, MIXED, Artifact
from edgevision.conversion.candidates import Candidate, judge
from edgevision.conversion.device_limits import DEVICE_UNITS, device_requirements
from edgevision.conversion.plan import PlannedArtifact, measurement_backend_for
from edgevision.conversion.search import PrecisionSearch, Sensitivities
from edgevision.converter import CalibrationData, Converter, SelectiveConverter, Source
from edgevision.errors import (
    ArtifactError,
    ConversionError,
    EdgeVisionError,
    InferenceError,
    InputError,
    OptionError,
    PluginError,
)
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.run import Examples, measure, workers_on
from edgevision.evaluation.source_session import SourceSession
from edgevision.evidence.records import Attempt, Measured
from edgevision.evidence.requirements import Budget
from edgevision.execution.run_costs import RunCosts, run_costs
from edgevision.metrics.formatting import in_unit
from edgevision.plugins import Registry
from edgevision.session import CheckedSession, open_session
from edgevision.target import Target

#: Told (what is being done, how much of the whole begins with it).
Stage = Callable[[str, int], None]

#: How many examples' time a conversion takes, for the progress bar alone.
STEPS_OF_CONVERSION = 400


@dataclass(frozen=True)
class Ground:
    """What candidates are made of and measured on.

    Attributes:
        source: the trained model.
        evaluator: its task's.
        examples: the evaluation set.
        data: what the source is calibrated on; `None` where no candidate needs it.
        budget: what a candidate may lose.
        plugins: that give converters and backends.
    """

    source: Source
    evaluator: Evaluator
    examples: Examples
    data: CalibrationData | None
    budget: Budget
    plugins: Registry


@dataclass(frozen=True, eq=False)
class Trial:
    """A candidate and what was measured of it.

    Attributes:
        candidate: the artifact.
        measured: the evidence.
        answers: its own on the evaluation set, where they were to be kept.
    """

    candidate: Candidate
    measured: Measured
    answers: Sequence[Any] = ()


class Trials:
    """Makes and measures candidates, and remembers them.

    Args:
        ground: what they are made of and measured on.
        stage: told of what begins.
        tell: told how many examples the models at hand have answered.
        keep_answers: whether trials hold the artifacts' answers.

    Attributes:
        source_model: the source as a model of its task.
        source_answers: the source's own.
        attempts: every candidate of a search, in the order in which they were tried.
        ranked: format -> the layers of the source by their sensitivity, once a search has asked.

    Raises:
        InputError: an image cannot be read, or the set is too small to show that anything is inside
            the budget.
        OptionError: the source's tensors are not what the task needs.
    """

    def __init__(
        self, ground: Ground, stage: Stage, tell: Callable[[int], None], keep_answers: bool = False
    ) -> None:
        self.attempts: list[Attempt] = []
        self._ground = ground
        self._stage = stage
        self._tell = tell
        self._keep_answers = keep_answers
        self.ranked: dict[str, Sensitivities] = {}
        self._tried: dict[str, Trial | EdgeVisionError] = {}
        self._costs: dict[str, RunCosts] = {}
        stage("measuring the source", len(ground.examples))
        session = CheckedSession(SourceSession(ground.source), ground.source.kind)
        self.source_model = ground.evaluator.model(session)
        (self.source_answers,) = measure(ground.evaluator, [self.source_model], ground.examples, tell)
        self._check_set_tells()

    def _check_set_tells(self) -> None:
        """Refuse a set on which even the source itself would not be inside the budget."""
        ground = self._ground
        itself = ground.evaluator.compare(self.source_answers, self.source_answers)
        for requirement in ground.budget.requirements(itself, 0.0):
            if not requirement.passed:
                raise InputError(
                    f"{ground.examples.name}: {len(ground.examples)} images cannot show that the "
                    f"{requirement.what} is within {in_unit(requirement.limit, requirement.unit)}: of an artifact without "
                    f"any difference they say up to {in_unit(requirement.measured, requirement.unit)}; "
                    f"measure on more images, or allow more with --max-drop"
                )

    def run(self, planned: Sequence[PlannedArtifact]) -> list[Trial]:
        """Make and measure these candidates, side by side.

        Raises:
            PluginError, MissingRuntimeError, DeviceError: a converter or backend cannot be had here.
            ConversionError: one cannot be made.
            ArtifactError, InferenceError: a runtime refuses one, or fails.
        """
        trials = self._measured([self._made(one) for one in planned])
        return [self.made_for(one, one.candidate.planned.targets) for one in trials]

    def search(self, searches: Sequence[PrecisionSearch]) -> None:
        """Go on until every search has found its artifact or has none left to try.

        Raises:
            PluginError, MissingRuntimeError, DeviceError: as `run`.
        """
        while wanted := {one.wanted.id: one.wanted for one in searches if one.wanted is not None}:
            made = [self._attempted(planned) for name, planned in wanted.items() if name not in self._tried]
            for trial in self._attempted_measured([one for one in made if one is not None]):
                self._tried[trial.measured.artifact] = trial
                self.attempts.append(Attempt.of(self.made_for(trial, _wanting(trial, searches)).measured))
            for search in searches:
                if search.wanted is not None:
                    search.learn(self._is_inside(search.wanted, search.targets))

    def outcome(self, search: PrecisionSearch) -> str:
        """The id of what a search has found; if nothing is inside the budget, of what missed it by the least.

        Raises:
            ConversionError, ArtifactError, InferenceError: nothing could be made and run.
        """
        names = [one.id for one in search.asked] if search.winner is None else [search.winner.id]
        results = [self._tried[name] for name in names]
        trials = [self.made_for(one, search.targets) for one in results if isinstance(one, Trial)]
        if not trials:
            raise next(one for one in results if isinstance(one, EdgeVisionError))
        nearest = max(
            trials, key=lambda one: min(requirement.margin for requirement in one.measured.requirements)
        )
        return nearest.measured.artifact

    def named(self, name: str) -> Trial:
        """The trial of this id, which `outcome` gave."""
        trial = self._tried[name]
        if isinstance(trial, EdgeVisionError):
            raise trial
        return trial

    def made_for(self, trial: Trial, targets: tuple[Target, ...]) -> Trial:
        """A trial for these targets, with what they allow among its requirements.

        Raises:
            InferenceError: what a run costs cannot be measured, and a target limits it.
        """
        candidate, measured = trial.candidate, trial.measured
        limits = device_requirements(
            candidate.artifact, candidate.measured_on, targets, lambda: self.costs(trial)
        )
        budget = tuple(one for one in measured.requirements if one.unit not in DEVICE_UNITS)
        return replace(
            trial,
            candidate=replace(candidate, planned=replace(candidate.planned, targets=targets)),
            measured=replace(measured, requirements=(*budget, *limits)),
        )

    def costs(self, trial: Trial) -> RunCosts:
        """What a run of an artifact costs here, measured once.

        Raises:
            InferenceError: it cannot be run in a process of its own.
        """
        name, candidate = trial.measured.artifact, trial.candidate
        if name not in self._costs:
            measured_on = candidate.measured_on
            self._costs[name] = run_costs(candidate.artifact, measured_on.backend.name, measured_on.settings)
        return self._costs[name]

    def close_all_but(self, kept: Sequence[Trial]) -> None:
        """Give back what the runtimes hold for candidates that nobody takes."""
        names = {one.measured.artifact for one in kept}
        for name, trial in self._tried.items():
            if isinstance(trial, Trial) and name not in names:
                trial.candidate.session.close()

    def sensitivities(self, artifact_format: str) -> Sensitivities:
        """The layers of the source, the most sensitive first; none if its converter cannot tell."""
        if artifact_format not in self.ranked:
            self._stage(f"ranking layers for {artifact_format}", STEPS_OF_CONVERSION)
            self.ranked[artifact_format] = self._sensitivities(artifact_format)
        return self.ranked[artifact_format]

    def _sensitivities(self, artifact_format: str) -> Sensitivities:
        converter, data = self._converter(PlannedArtifact(artifact_format, "int8", ())), self._ground.data
        if not isinstance(converter, SelectiveConverter) or data is None:
            return ()
        return tuple(converter.sensitivities(self._ground.source, "int8", data))

    def _attempted(self, planned: PlannedArtifact) -> Candidate | None:
        try:
            return self._made(planned)
        except (ConversionError, ArtifactError, InferenceError) as error:
            self._dropped(planned, error)
            return None

    def _attempted_measured(self, candidates: Sequence[Candidate]) -> list[Trial]:
        """Side by side; where a runtime fails, one by one, so that the others are measured all the same."""
        try:
            return self._measured(candidates)
        except InferenceError:
            return [trial for one in candidates for trial in self._measured_alone(one)]

    def _measured_alone(self, candidate: Candidate) -> list[Trial]:
        try:
            return self._measured([candidate])
        except InferenceError as error:
            self._dropped(candidate.planned, error)
            return []

    def _dropped(self, planned: PlannedArtifact, error: EdgeVisionError) -> None:
        self._tried[planned.id] = error
        self.attempts.append(Attempt(planned.id, planned.float_layers, error=str(error)))

    def _is_inside(self, planned: PlannedArtifact, targets: tuple[Target, ...]) -> bool:
        trial = self._tried[planned.id]
        return isinstance(trial, Trial) and self.made_for(trial, targets).measured.passed

    def _made(self, planned: PlannedArtifact) -> Candidate:
        measured_on = measurement_backend_for(planned, self._ground.plugins)
        self._stage(f"converting to {planned.id}", STEPS_OF_CONVERSION)
        artifact = self._converted(planned)
        settings = workers_on(self._ground.examples, measured_on.settings)[1]
        return Candidate(
            planned,
            artifact,
            measured_on,
            open_session(measured_on.backend, artifact, settings),
        )

    def _measured(self, candidates: Sequence[Candidate]) -> list[Trial]:
        ground = self._ground
        if not candidates:
            return []
        self._stage("measuring", len(ground.examples))
        models = [self._model(one) for one in candidates]
        workers = min(workers_on(ground.examples, one.measured_on.settings)[0] for one in candidates)
        answers = measure(ground.evaluator, models, ground.examples, self._tell, workers)
        return [
            Trial(
                one,
                judge(ground.evaluator, one, given, self.source_answers, ground.budget),
                given if self._keep_answers else (),
            )
            for one, given in zip(candidates, answers, strict=True)
        ]

    def _model(self, candidate: Candidate) -> Any:
        try:
            return self._ground.evaluator.model(candidate.session)
        except OptionError as error:
            name = candidate.planned.id
            raise ConversionError(f"{name}: the artifact's tensors are not the source's: {error}") from error

    def _converted(self, planned: PlannedArtifact) -> Artifact:
        ground, converter = self._ground, self._converter(planned)
        if planned.precision == MIXED and isinstance(converter, SelectiveConverter):
            made = converter.convert(ground.source, "int8", ground.data, keep_float=planned.float_layers)
            return replace(made, precision=MIXED)
        data = ground.data if planned.precision in CALIBRATED else None
        return converter.convert(ground.source, planned.precision, data)

    def _converter(self, planned: PlannedArtifact) -> Converter:
        source = self._ground.source
        fitting = [
            one
            for one in self._ground.plugins.converters().values()
            if (one.kind, one.format) == (source.kind, planned.format)
        ]
        wanted = "int8" if planned.precision == MIXED else planned.precision
        for converter in fitting:
            if wanted in converter.precisions:
                return converter
        possible = sorted({precision for converter in fitting for precision in converter.precisions})
        raise PluginError(
            f"no converter makes {planned.id} from {source.description}; "
            f"it can be: {', '.join(possible) or 'nothing'}"
        )


def _wanting(trial: Trial, searches: Sequence[PrecisionSearch]) -> tuple[Target, ...]:
    """The targets whose searches have asked for it."""
    name = trial.measured.artifact
    return tuple(
        target
        for search in searches
        if search.wanted is not None and search.wanted.id == name
        for target in search.targets
    )
