"""Trials of candidates: each is converted, measured against the source, and remembered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgevision.artifact import CALIBRATED
from edgevision.conversion.candidate_times import CandidateTimes, with_costs
from edgevision.conversion.candidates import Candidate, CandidateBuilder, Trial, judge
from edgevision.conversion.device_limits import DEVICE_UNITS, device_requirements
from edgevision.conversion.failures import failure_of
from edgevision.conversion.plan import PlannedArtifact
from edgevision.conversion.reference import Reference
from edgevision.conversion.search import Outcome, PrecisionSearch, Sensitivities, searches_for
from edgevision.conversion.speed import IsSlower, measured_slower, not_judged, slower_text
from edgevision.errors import EdgeVisionError, InferenceError, PluginError
from edgevision.evaluation.run import measure, workers_on
from edgevision.evidence.records import Attempt, Measured
from edgevision.evidence.requirements import Budget
from edgevision.system.progress import Steps
from edgevision.target import Target

#: The share of a conversion in the progress, in examples measured.
STEPS_OF_CONVERSION = 400

#: Precisions that are chosen for their speed, so that one that is slower than float32 is worth a note.
_INTEGER = CALIBRATED | {"int8-dynamic"}


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
        notes: remarks on the speed of candidates.
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
        self.notes: list[str] = []
        self.sensitivities: dict[str, Sensitivities] = {}
        self._reference = reference
        self._builder = builder
        self._budget = budget
        self._steps = steps
        self._keep_answers = keep_answers
        self._outcomes: dict[str, Trial | EdgeVisionError] = {}
        self._times = CandidateTimes(steps)

    def run(self, planned: Sequence[PlannedArtifact]) -> list[Trial]:
        """Convert these candidates, and measure them side by side; those that fail become `failures`."""
        self._try(planned)
        return self._succeeding([(one, one.targets) for one in planned])

    def search(
        self, targets: Sequence[Target], calibrated: bool, timed: frozenset[str] = frozenset()
    ) -> list[Trial]:
        """For each target, the cheapest candidate inside the budget, or the nearest if none is inside.

        Targets for which no candidate could be converted and run become `failures`.

        Args:
            targets: one or more.
            calibrated: True if there is a calibration set.
            timed: names of the targets for which this machine can time candidates; they do not get one that
                is slower than a more expensive one.
        """
        searches = searches_for(targets, calibrated, self._rank_layers, lambda target: target.name in timed)
        self._try_all(searches)
        self._record_slower(searches)
        untimed = [target for target in targets if target.name not in timed and len(target.precisions) > 1]
        if untimed:
            self.notes.append(not_judged(untimed))
        users: dict[str, tuple[PlannedArtifact, list[Target]]] = {}
        for search in searches:
            best = self._best(search)
            users.setdefault(best.id, (best, []))[1].extend(search.targets)
        chosen = self._succeeding([(planned, tuple(sharing)) for planned, sharing in users.values()])
        self._close_all_but(chosen)
        return chosen

    def note_slower(self, trials: Sequence[Trial], timed: frozenset[str]) -> None:
        """Note which of these int8 artifacts are slower than float32.

        Args:
            trials: of artifacts whose precision was asked for.
            timed: names of the targets for which this machine can time candidates.
        """
        floats: dict[str, Candidate | None] = {
            trial.id: trial.candidate for trial in trials if trial.candidate.planned.precision == "float32"
        }
        for trial in trials:
            planned = trial.candidate.planned
            targets = tuple(
                one for one in planned.targets if one.name in timed and "float32" in one.precisions
            )
            if planned.precision not in _INTEGER or not targets or not trial.measured.passed:
                continue
            reference = replace(planned, precision="float32", targets=targets)
            if reference.id not in floats:
                floats[reference.id] = self._built_to_time(reference)
            self._note_if_slower(trial.candidate, floats[reference.id])

    def with_costs(self, trials: Sequence[Trial]) -> list[Measured]:
        """The measurements with latency and memory of a run, where these can be measured, timed in turn."""
        costs = self._times.in_turn([trial.candidate for trial in trials])
        busy = (one.timing.busy for one in costs.values() if one.timing.busy)
        self.notes += [f"latency was measured while {remark}" for remark in dict.fromkeys(busy)]
        # The limits of targets on latency and memory are checked again, on what the evidence shows.
        limited = [self._for_targets(trial, trial.candidate.planned.targets) for trial in trials]
        return [with_costs(trial.measured, costs.get(trial.id)) for trial in limited]

    def _try_all(self, searches: Sequence[PrecisionSearch]) -> None:
        """Try candidates until every search has found its artifact or has none left to try."""
        while any(search.wanted is not None or search.compared for search in searches):
            wanted = {search.wanted.id: search.wanted for search in searches if search.wanted is not None}
            untried = [planned for name, planned in wanted.items() if name not in self._outcomes]
            self._try(untried)
            self.attempts += [
                self._attempt(planned, _targets_wanting(planned, searches)) for planned in untried
            ]
            for search in searches:
                if search.wanted is not None:
                    search.learn(self._outcome(search.wanted, search.targets))
                elif search.compared:
                    search.learn_speeds(self._speeds([planned.id for planned in search.compared]))

    def _try(self, planned: Sequence[PlannedArtifact]) -> None:
        """Convert these candidates and measure them side by side; each becomes an outcome."""
        built = [self._try_to_build(one) for one in planned]
        for trial in self._try_to_measure([candidate for candidate in built if candidate is not None]):
            self._outcomes[trial.id] = trial

    def _judged(self, planned: PlannedArtifact, targets: tuple[Target, ...]) -> Trial | EdgeVisionError:
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
            judged = self._judged(planned, targets)
            if isinstance(judged, Trial):
                trials.append(judged)
            else:
                self.failures.append(Failure(replace(planned, targets=targets), judged))
        return trials

    def _attempt(self, planned: PlannedArtifact, targets: tuple[Target, ...]) -> Attempt:
        judged = self._judged(planned, targets)
        if isinstance(judged, Trial):
            return Attempt.of(judged.measured)
        return Attempt(planned.id, planned.float_layers, error=str(judged))

    def _outcome(self, planned: PlannedArtifact, targets: tuple[Target, ...]) -> Outcome:
        judged = self._judged(planned, targets)
        if not isinstance(judged, Trial):
            return Outcome(inside=False)
        quantization = judged.candidate.artifact.quantization
        return Outcome(
            inside=judged.measured.passed,
            float_operations=quantization is not None and bool(quantization.float_operations),
        )

    def _speeds(self, names: Sequence[str]) -> IsSlower | None:
        """Compares the speed of these candidates; `None` if one of them cannot be timed."""
        outcomes = [self._outcomes[name] for name in names]
        trials = [outcome for outcome in outcomes if isinstance(outcome, Trial)]
        costs = self._times.in_turn([trial.candidate for trial in trials])
        return measured_slower(costs) if len(costs) == len(names) else None

    def _record_slower(self, searches: Sequence[PrecisionSearch]) -> None:
        """Write to the attempts how fast they are, and which were ruled out by their speed."""
        for name, other in (pair for search in searches for pair in search.slower.items()):
            costs = self._times.in_turn([self._trial(one).candidate for one in (name, other)])
            text = slower_text(costs[name], other, costs[other])
            self.attempts = [
                replace(one, slower=text) if one.artifact == name else one for one in self.attempts
            ]
        self.attempts = [self._times.in_attempt(one) for one in self.attempts]

    def _note_if_slower(self, candidate: Candidate, reference: Candidate | None) -> None:
        if reference is None:
            return
        name, other = candidate.planned.id, reference.planned.id
        costs = self._times.in_turn([candidate, reference])
        if len(costs) == 2 and measured_slower(costs)(name, other):
            text = slower_text(costs[name], other, costs[other])
            self.notes.append(f"{name} takes {text}; --precision auto chooses the faster one")

    def _built_to_time(self, planned: PlannedArtifact) -> Candidate | None:
        """A candidate that is only timed; `None` if it cannot be."""
        try:
            candidate = self._build(planned)
        except Exception as error:
            self._steps.check_caller(error)
            failure_of(error, planned.id)
            return None
        candidate.session.close()
        return candidate

    def _best(self, search: PrecisionSearch) -> PlannedArtifact:
        """The candidate that a search has found; if none is inside the budget, the one nearest to it."""
        if search.winner is not None:
            return search.winner
        judged = [(one, self._judged(one, search.targets)) for one in search.asked]
        margins = {
            one.id: min(requirement.margin for requirement in trial.measured.requirements)
            for one, trial in judged
            if isinstance(trial, Trial)
        }
        return max(search.asked, key=lambda one: margins.get(one.id, -math.inf))

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
            candidate.artifact, candidate.measured_on, targets, lambda: self._times.of(candidate)
        )
        budget = tuple(one for one in measured.requirements if one.unit not in DEVICE_UNITS)
        return replace(
            trial,
            candidate=replace(candidate, planned=replace(candidate.planned, targets=targets)),
            measured=replace(measured, requirements=(*budget, *limits)),
        )

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


def _targets_wanting(planned: PlannedArtifact, searches: Sequence[PrecisionSearch]) -> tuple[Target, ...]:
    """The targets whose searches asked for this candidate."""
    return tuple(
        target
        for search in searches
        if search.wanted is not None and search.wanted.id == planned.id
        for target in search.targets
    )
