"""Trials of candidates: each is converted, measured against the source, and remembered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgevision.conversion.candidates import Candidate, CandidateBuilder, Trial, judge
from edgevision.conversion.device_limits import DEVICE_UNITS, device_requirements
from edgevision.conversion.plan import PlannedArtifact
from edgevision.conversion.reference import Reference
from edgevision.conversion.search import PrecisionSearch, Sensitivities, searches_for
from edgevision.errors import ArtifactError, ConversionError, EdgeVisionError, InferenceError
from edgevision.evaluation.run import measure, workers_on
from edgevision.evidence.records import Attempt, Measured
from edgevision.evidence.requirements import Budget
from edgevision.execution.run_costs import RunCosts, run_costs
from edgevision.system.progress import Steps
from edgevision.target import Target

#: The share of a conversion in the progress, in examples measured.
STEPS_OF_CONVERSION = 400


class Trials:
    """Converts and measures candidates, and remembers the results.

    Args:
        reference: the source's answers, which candidates are compared with.
        builder: converts and loads candidates.
        budget: the loss that a candidate may have.
        steps: the progress of the conversion.
        keep_answers: True to keep each candidate's answers in its `Trial`.

    Attributes:
        attempts: the candidates of a search, in the order in which they were tried.
        sensitivities: format -> the layers of the source by sensitivity; only formats that a search ranked.
    """

    def __init__(
        self,
        reference: Reference,
        builder: CandidateBuilder,
        budget: Budget,
        steps: Steps,
        keep_answers: bool = False,
    ) -> None:
        self.attempts: list[Attempt] = []
        self.sensitivities: dict[str, Sensitivities] = {}
        self._reference = reference
        self._builder = builder
        self._budget = budget
        self._steps = steps
        self._keep_answers = keep_answers
        self._outcomes: dict[str, Trial | EdgeVisionError] = {}
        self._costs: dict[str, RunCosts] = {}

    def run(self, planned: Sequence[PlannedArtifact]) -> list[Trial]:
        """Convert these candidates, and measure them side by side.

        Raises:
            PluginError, MissingRuntimeError, DeviceError: a converter or backend is missing on this machine.
            ConversionError: a candidate cannot be converted.
            ArtifactError, InferenceError: a runtime refuses one, or fails.
        """
        trials = self._measure([self._build(artifact) for artifact in planned])
        return [self._for_targets(trial, trial.candidate.planned.targets) for trial in trials]

    def search(self, targets: Sequence[Target], calibrated: bool) -> list[Trial]:
        """For each target, the cheapest candidate inside the budget, or the nearest if none is inside.

        Args:
            targets: one or more.
            calibrated: True if there is a calibration set.

        Raises:
            PluginError, MissingRuntimeError, DeviceError: as `run`.
            ConversionError, ArtifactError, InferenceError: no candidate could be converted and run.
        """
        searches = searches_for(targets, calibrated, self._rank_layers)
        self._try_all(searches)
        users: dict[str, list[Target]] = {}
        for search in searches:
            users.setdefault(self._best(search).id, []).extend(search.targets)
        chosen = [self._for_targets(self._trial(name), tuple(sharing)) for name, sharing in users.items()]
        self._close_all_but(chosen)
        return chosen

    def with_costs(self, trial: Trial) -> Measured:
        """A trial's measurements with latency and memory of a run, where these can be measured."""
        try:
            costs = self._run_costs(trial)
        except InferenceError:  # for example, a backend that is registered in this process only
            return trial.measured
        return replace(trial.measured, latency_ms=costs.latency_ms, peak_memory_mb=costs.peak_memory_mb)

    def _try_all(self, searches: Sequence[PrecisionSearch]) -> None:
        """Try candidates until every search has found its artifact or has none left to try."""
        while wanted := {search.wanted.id: search.wanted for search in searches if search.wanted is not None}:
            untried = [planned for name, planned in wanted.items() if name not in self._outcomes]
            built = [self._try_to_build(planned) for planned in untried]
            for trial in self._try_to_measure([candidate for candidate in built if candidate is not None]):
                self._outcomes[trial.id] = trial
                measured = self._for_targets(trial, _targets_wanting(trial, searches)).measured
                self.attempts.append(Attempt.of(measured))
            for search in searches:
                if search.wanted is not None:
                    search.learn(self._is_inside(search.wanted, search.targets))

    def _best(self, search: PrecisionSearch) -> Trial:
        """The candidate that a search has found; if none is inside the budget, the one nearest to it."""
        names = [planned.id for planned in search.asked] if search.winner is None else [search.winner.id]
        outcomes = [self._outcomes[name] for name in names]
        trials = [self._for_targets(trial, search.targets) for trial in outcomes if isinstance(trial, Trial)]
        if not trials:
            raise next(error for error in outcomes if isinstance(error, EdgeVisionError))
        return max(trials, key=lambda trial: min(one.margin for one in trial.measured.requirements))

    def _trial(self, name: str) -> Trial:
        outcome = self._outcomes[name]
        if isinstance(outcome, EdgeVisionError):
            raise outcome
        return outcome

    def _for_targets(self, trial: Trial, targets: tuple[Target, ...]) -> Trial:
        """The trial for these targets, with their limits among its requirements.

        Raises:
            InferenceError: a target limits the costs of a run, and these cannot be measured.
        """
        candidate, measured = trial.candidate, trial.measured
        limits = device_requirements(
            candidate.artifact, candidate.measured_on, targets, lambda: self._run_costs(trial)
        )
        budget = tuple(one for one in measured.requirements if one.unit not in DEVICE_UNITS)
        return replace(
            trial,
            candidate=replace(candidate, planned=replace(candidate.planned, targets=targets)),
            measured=replace(measured, requirements=(*budget, *limits)),
        )

    def _run_costs(self, trial: Trial) -> RunCosts:
        if trial.id not in self._costs:
            candidate, measured_on = trial.candidate, trial.candidate.measured_on
            self._costs[trial.id] = run_costs(
                candidate.artifact, measured_on.backend.name, measured_on.settings
            )
        return self._costs[trial.id]

    def _close_all_but(self, kept: Sequence[Trial]) -> None:
        """Close the sessions of candidates that no target gets."""
        names = {trial.id for trial in kept}
        for name, outcome in self._outcomes.items():
            if isinstance(outcome, Trial) and name not in names:
                outcome.session.close()

    def _rank_layers(self, artifact_format: str) -> Sensitivities:
        if artifact_format not in self.sensitivities:
            self._steps.next(f"ranking layers for {artifact_format}", STEPS_OF_CONVERSION)
            self.sensitivities[artifact_format] = self._builder.sensitivities(artifact_format)
        return self.sensitivities[artifact_format]

    def _build(self, planned: PlannedArtifact) -> Candidate:
        self._steps.next(f"converting to {planned.id}", STEPS_OF_CONVERSION)
        return self._builder.build(planned)

    def _measure(self, candidates: Sequence[Candidate]) -> list[Trial]:
        if not candidates:
            return []
        evaluator, examples = self._reference.evaluator, self._reference.examples
        self._steps.next("measuring", len(examples))
        models = [candidate.model(evaluator) for candidate in candidates]
        workers = min(workers_on(examples, candidate.measured_on.settings)[0] for candidate in candidates)
        rows = measure(evaluator, models, examples, self._steps.measured, workers)
        return [
            Trial(
                candidate,
                judge(candidate, answers, self._reference, self._budget),
                answers if self._keep_answers else (),
            )
            for candidate, answers in zip(candidates, rows, strict=True)
        ]

    def _try_to_build(self, planned: PlannedArtifact) -> Candidate | None:
        try:
            return self._build(planned)
        except (ConversionError, ArtifactError, InferenceError) as error:
            self._record_failure(planned, error)
            return None

    def _try_to_measure(self, candidates: Sequence[Candidate]) -> list[Trial]:
        """Measure side by side; if a runtime fails, one by one, so that one failure costs no other trial."""
        try:
            return self._measure(candidates)
        except InferenceError:
            return [trial for candidate in candidates for trial in self._try_alone(candidate)]

    def _try_alone(self, candidate: Candidate) -> list[Trial]:
        try:
            return self._measure([candidate])
        except InferenceError as error:
            self._record_failure(candidate.planned, error)
            return []

    def _record_failure(self, planned: PlannedArtifact, error: EdgeVisionError) -> None:
        self._outcomes[planned.id] = error
        self.attempts.append(Attempt(planned.id, planned.float_layers, error=str(error)))

    def _is_inside(self, planned: PlannedArtifact, targets: tuple[Target, ...]) -> bool:
        outcome = self._outcomes[planned.id]
        return isinstance(outcome, Trial) and self._for_targets(outcome, targets).measured.passed


def _targets_wanting(trial: Trial, searches: Sequence[PrecisionSearch]) -> tuple[Target, ...]:
    """The targets whose searches asked for this candidate."""
    return tuple(
        target
        for search in searches
        if search.wanted is not None and search.wanted.id == trial.id
        for target in search.targets
    )
