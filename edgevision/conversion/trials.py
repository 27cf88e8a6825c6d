"""Trials of candidates: each is converted, measured against the source, and remembered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgevision.conversion.candidates import Candidate, CandidateBuilder, Trial, judge
from edgevision.conversion.device_limits import DEVICE_UNITS, device_requirements
from edgevision.conversion.failures import failure_of
from edgevision.conversion.plan import PlannedArtifact
from edgevision.conversion.reference import Reference
from edgevision.conversion.search import PrecisionSearch, Sensitivities, searches_for
from edgevision.errors import EdgeVisionError, InferenceError, PluginError
from edgevision.evaluation.run import measure, workers_on
from edgevision.evidence.records import Attempt, Measured
from edgevision.evidence.requirements import Budget
from edgevision.execution.run_costs import RunCosts, run_costs
from edgevision.system.progress import Steps
from edgevision.target import Target

#: The share of a conversion in the progress, in examples measured.
STEPS_OF_CONVERSION = 400


@dataclass(frozen=True)
class Failure:
    """An artifact that was asked for, and could not be converted and run.

    Attributes:
        planned: the plan for it; of a search that found nothing, its first candidate.
        error: the reason.
    """

    planned: PlannedArtifact
    error: EdgeVisionError


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
        failures: the artifacts that were asked for, and could not be converted and run.
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
        self.failures: list[Failure] = []
        self.sensitivities: dict[str, Sensitivities] = {}
        self._reference = reference
        self._builder = builder
        self._budget = budget
        self._steps = steps
        self._keep_answers = keep_answers
        self._outcomes: dict[str, Trial | EdgeVisionError] = {}
        self._costs: dict[str, RunCosts] = {}

    def run(self, planned: Sequence[PlannedArtifact]) -> list[Trial]:
        """Convert these candidates, and measure them side by side; those that fail become `failures`."""
        self._try(planned)
        return self._succeeding([(one, one.targets) for one in planned])

    def search(self, targets: Sequence[Target], calibrated: bool) -> list[Trial]:
        """For each target, the cheapest candidate inside the budget, or the nearest if none is inside.

        Targets for which no candidate could be converted and run become `failures`.

        Args:
            targets: one or more.
            calibrated: True if there is a calibration set.
        """
        searches = searches_for(targets, calibrated, self._rank_layers)
        self._try_all(searches)
        users: dict[str, tuple[PlannedArtifact, list[Target]]] = {}
        for search in searches:
            best = self._best(search)
            users.setdefault(best.id, (best, []))[1].extend(search.targets)
        chosen = self._succeeding([(planned, tuple(sharing)) for planned, sharing in users.values()])
        self._close_all_but(chosen)
        return chosen

    def with_costs(self, trial: Trial) -> Measured:
        """A trial's measurements with latency and memory of a run, where these can be measured."""
        try:
            costs = self._run_costs(trial)
        except (
            InferenceError,
            PluginError,
        ):  # for example, a backend that is registered in this process only
            return trial.measured
        return replace(trial.measured, latency_ms=costs.latency_ms, peak_memory_mb=costs.peak_memory_mb)

    def _try_all(self, searches: Sequence[PrecisionSearch]) -> None:
        """Try candidates until every search has found its artifact or has none left to try."""
        while wanted := {search.wanted.id: search.wanted for search in searches if search.wanted is not None}:
            untried = [planned for name, planned in wanted.items() if name not in self._outcomes]
            self._try(untried)
            self.attempts += [
                self._attempt(planned, _targets_wanting(planned, searches)) for planned in untried
            ]
            for search in searches:
                if search.wanted is not None:
                    search.learn(self._is_inside(search.wanted, search.targets))

    def _try(self, planned: Sequence[PlannedArtifact]) -> None:
        """Convert these candidates and measure them side by side; each becomes an outcome."""
        built = [self._try_to_build(one) for one in planned]
        for trial in self._try_to_measure([candidate for candidate in built if candidate is not None]):
            self._outcomes[trial.id] = trial

    def _best(self, search: PrecisionSearch) -> PlannedArtifact:
        """The candidate that a search has found; if none is inside the budget, the one nearest to it."""
        if search.winner is not None:
            return search.winner
        judged = [(one, self._outcome(one, search.targets)) for one in search.asked]
        margins = {
            one.id: min(requirement.margin for requirement in outcome.measured.requirements)
            for one, outcome in judged
            if isinstance(outcome, Trial)
        }
        return max(search.asked, key=lambda one: margins.get(one.id, -math.inf))

    def _outcome(self, planned: PlannedArtifact, targets: tuple[Target, ...]) -> Trial | EdgeVisionError:
        """The trial of a candidate with the limits of these targets; or why there is none."""
        outcome = self._outcomes[planned.id]
        if isinstance(outcome, EdgeVisionError):
            return outcome
        try:
            return self._for_targets(outcome, targets)
        except (InferenceError, PluginError) as error:
            return error

    def _succeeding(self, wanted: Sequence[tuple[PlannedArtifact, tuple[Target, ...]]]) -> list[Trial]:
        """The trials of these candidates, each for its targets; the others become `failures`."""
        trials = []
        for planned, targets in wanted:
            outcome = self._outcome(planned, targets)
            if isinstance(outcome, Trial):
                trials.append(outcome)
            else:
                self.failures.append(Failure(replace(planned, targets=targets), outcome))
        return trials

    def _attempt(self, planned: PlannedArtifact, targets: tuple[Target, ...]) -> Attempt:
        outcome = self._outcome(planned, targets)
        if isinstance(outcome, Trial):
            return Attempt.of(outcome.measured)
        return Attempt(planned.id, planned.float_layers, error=str(outcome))

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
            self.sensitivities[artifact_format] = self._sensitivities(artifact_format)
        return self.sensitivities[artifact_format]

    def _sensitivities(self, artifact_format: str) -> Sensitivities:
        """Empty if the converter fails, so that the search goes on with the next precision."""
        try:
            return self._builder.sensitivities(artifact_format)
        except Exception as error:
            failure_of(error, f"ranking layers for {artifact_format}")
            return ()

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
        except Exception as error:
            self._fail(planned, error)
            return None

    def _try_to_measure(self, candidates: Sequence[Candidate]) -> list[Trial]:
        """Measure side by side; if one fails, one by one, so that one failure costs no other trial."""
        try:
            return self._measure(candidates)
        except Exception as error:
            if len(candidates) == 1:
                self._fail(candidates[0].planned, error)
                return []
            self._steps.check_caller(error)
            failure_of(error, "measuring")
        return [trial for candidate in candidates for trial in self._try_to_measure([candidate])]

    def _fail(self, planned: PlannedArtifact, error: Exception) -> None:
        """Remember why a candidate failed; raises what concerns the whole conversion."""
        self._steps.check_caller(error)
        self._outcomes[planned.id] = failure_of(error, planned.id)

    def _is_inside(self, planned: PlannedArtifact, targets: tuple[Target, ...]) -> bool:
        outcome = self._outcome(planned, targets)
        return isinstance(outcome, Trial) and outcome.measured.passed


def _targets_wanting(planned: PlannedArtifact, searches: Sequence[PrecisionSearch]) -> tuple[Target, ...]:
    """The targets whose searches asked for this candidate."""
    return tuple(
        target
        for search in searches
        if search.wanted is not None and search.wanted.id == planned.id
        for target in search.targets
    )
