"""Trials of candidates: each is converted, measured against the source, and remembered."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgevision.artifact import CALIBRATED, is_calibrated
from edgevision.conversion.attention import AttentionCheck
from edgevision.conversion.candidate_times import CandidateTimes, with_costs
from edgevision.conversion.candidates import Candidate, CandidateBuilder, Trial, judge
from edgevision.conversion.device_limits import DEVICE_UNITS, device_requirements
from edgevision.conversion.failures import failure_of
from edgevision.conversion.phases import NO_WATCH, ArtifactWatch
from edgevision.conversion.plan import PlannedArtifact
from edgevision.conversion.reference import Reference
from edgevision.conversion.requirements import is_acceptable
from edgevision.conversion.schedule import Schedule, Stage
from edgevision.conversion.search import Outcome, PrecisionSearch, Sensitivities, searches_for
from edgevision.conversion.speed import (
    TIMED,
)
from edgevision.conversion.speed_comparison import SpeedComparison
from edgevision.errors import EdgeVisionError, InferenceError, PluginError
from edgevision.evaluation.run import measure, workers_on
from edgevision.evidence.records import Attempt, Measured
from edgevision.evidence.requirements import CONFIDENCE, FAILED, Budget
from edgevision.target import Target

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
        accept_not_shown: True to choose candidates, too, that are not shown to be inside the budget.
        watch: follows which artifact is being converted.
        attention: compares what the answers of candidates rest on; `None` if that is not asked for.

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
        steps: Schedule,
        keep_answers: bool = False,
        accept_not_shown: bool = False,
        watch: ArtifactWatch = NO_WATCH,
        attention: AttentionCheck | None = None,
    ) -> None:
        self.attempts: list[Attempt] = []
        self.failures: list[Failure] = []
        self.sensitivities: dict[str, Sensitivities] = {}
        self._reference = reference
        self._builder = builder
        self._budget = budget
        self._steps = steps
        self._keep_answers = keep_answers
        self._accept_not_shown = accept_not_shown
        self._watch = watch
        self._attention = attention
        self._outcomes: dict[str, Trial | EdgeVisionError] = {}
        self._searches: Sequence[PrecisionSearch] = ()
        self._times = CandidateTimes(steps)
        self._speeds = SpeedComparison(self._times, self._outcomes)

    @property
    def notes(self) -> list[str]:
        """Remarks on the speed of candidates, and on the confidence that they were judged at."""
        return self._speeds.notes

    def run(self, planned: Sequence[PlannedArtifact]) -> list[Trial]:
        """Convert these candidates, and measure them side by side; those that fail become `failures`."""
        self._try(planned)
        return self._shared(self._succeeding([(one, one.targets) for one in planned]))

    def search(
        self,
        targets: Sequence[Target],
        calibrated: bool,
        speed_bases: Mapping[str, str] | None = None,
        symmetric: Collection[str] = (),
    ) -> list[Trial]:
        """For each target, the cheapest candidate inside the budget, or the nearest if none is inside.

        Targets for which no candidate could be converted and run become `failures`.

        Args:
            targets: one or more.
            calibrated: True if there is a calibration set.
            speed_bases: name of a target -> how the speed of its candidates is known, if it is: it does not
                get one that is slower than a more expensive one.
            symmetric: as for `searches_for`.
        """
        searches = searches_for(targets, calibrated, self._rank_layers, speed_bases, symmetric)
        self._searches = searches
        self._try_all(searches)
        slower = self._speeds.slower_candidates(searches)
        self.attempts = [
            self._times.in_attempt(replace(one, slower=slower.get(one.artifact, one.slower)))
            for one in self.attempts
        ]
        self._speeds.note_bases(searches)
        users: dict[str, tuple[PlannedArtifact, list[Target]]] = {}
        for search in searches:
            best = self._best(search)
            users.setdefault(best.id, (best, []))[1].extend(search.targets)
        chosen = self._shared(
            self._succeeding([(planned, tuple(sharing)) for planned, sharing in users.values()])
        )
        self._close_all_but(chosen)
        self.notes.extend(_adjustments([trial.measured for trial in chosen]))
        return chosen

    def note_slower(self, trials: Sequence[Trial], speed_bases: Mapping[str, str]) -> None:
        """Note which of these int8 artifacts are slower than float32.

        For this, float32 is converted too, except where the latency table knows that it is never faster.

        Args:
            trials: of artifacts whose precision was asked for.
            speed_bases: name of a target -> how the speed of its candidates is known; only those are noted
                that this machine can time.
        """
        floats: dict[str, Candidate | None] = {
            trial.id: trial.candidate for trial in trials if trial.candidate.planned.precision == "float32"
        }
        for trial in trials:
            planned = trial.candidate.planned
            targets = tuple(
                one
                for one in planned.targets
                if speed_bases[one.name] == TIMED and "float32" in one.precisions
            )
            if planned.precision not in _INTEGER or not targets or not self._acceptable(trial):
                continue
            if not self._speeds.may_be_slower(trial.candidate, targets[0].backend):
                continue
            reference = PlannedArtifact(planned.format, "float32", targets)
            if reference.id not in floats:
                floats[reference.id] = self._built_to_time(reference)
            in_float = floats[reference.id]
            if in_float is not None:
                self._speeds.note_if_slower(trial.candidate, in_float)

    def with_costs(self, trials: Sequence[Trial]) -> list[Measured]:
        """The measurements with latency and memory of a run, where these can be measured, timed in turn."""
        costs = self._times.in_turn([trial.candidate for trial in trials])
        busy = (one.timing.busy for one in costs.values() if one.timing.busy)
        self.notes.extend(f"latency was measured while {remark}" for remark in dict.fromkeys(busy))
        # The limits of targets on latency and memory are checked again, on what the evidence shows.
        limited = [self._rejudged(trial) for trial in trials]
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
                    search.learn_speeds(self._speeds.of(search))

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

    def _shared(self, trials: Sequence[Trial]) -> list[Trial]:
        """The trials, with one for all targets of artifacts that passed and turned out to be identical.

        That is so where an int8 artifact without float operations is made for targets with and without float.
        """
        kept: dict[tuple[str, str], Trial] = {}
        for trial in trials:
            artifact = trial.candidate.artifact
            identity = artifact.precision, artifact.sha256 if self._acceptable(trial) else trial.id
            if identity in kept:
                first = kept[identity]
                kept[identity] = self._for_targets(first, (*first.targets, *trial.targets))
                # It was not rejected: it is written under the name of the first.
                self.attempts = [one for one in self.attempts if one.artifact != trial.id]
                trial.session.close()
            else:
                kept[identity] = trial
        return list(kept.values())

    def _rejudged(self, trial: Trial) -> Trial:
        """The trial with its targets' limits on the latest costs; as it is if these cannot be measured."""
        try:
            return self._for_targets(trial, trial.targets)
        except InferenceError:
            return trial

    def _attempt(self, planned: PlannedArtifact, targets: tuple[Target, ...]) -> Attempt:
        judged = self._judged(planned, targets)
        if isinstance(judged, Trial):
            return Attempt.of(judged.measured)
        return Attempt(planned.id, planned.float_layers, error=str(judged))

    def _outcome(self, planned: PlannedArtifact, targets: tuple[Target, ...]) -> Outcome:
        judged = self._judged(planned, targets)
        if not isinstance(judged, Trial):
            return Outcome(inside=False)
        return Outcome(self._acceptable(judged), judged.has_float_operations)

    def _acceptable(self, trial: Trial) -> bool:
        return is_acceptable(trial.measured, self._accept_not_shown)

    def _built_to_time(self, planned: PlannedArtifact) -> Candidate | None:
        """A candidate that is only timed; `None` if it cannot be."""
        try:
            candidate = self._build(planned)
        except Exception as error:
            self._steps.check_caller(error)
            reason = failure_of(error, planned.id)
            self.notes.append(f"int8 was not compared in speed with {planned.id}: {reason}")
            return None
        candidate.session.close()
        return candidate

    def _best(self, search: PrecisionSearch) -> PlannedArtifact:
        """The candidate that a search has found; if none is inside the budget, the one nearest to it.

        One that may be inside, but is not shown to be, is nearer than one that is outside.
        """
        if search.winner is not None:
            return search.winner
        judged = [(one, self._judged(one, search.targets)) for one in search.asked]
        nearness = {
            one.id: (
                trial.measured.status != FAILED,
                min(requirement.margin for requirement in trial.measured.requirements),
            )
            for one, trial in judged
            if isinstance(trial, Trial)
        }
        return max(search.asked, key=lambda one: nearness.get(one.id, (False, -math.inf)))

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
            self._steps.next(f"ranking layers for {artifact_format}", Stage.RANKING)
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
        kind = Stage.INTEGER if is_calibrated(planned.precision) else Stage.FLOAT
        self._steps.next(f"converting to {planned.id}", kind)
        with self._watch.converting(planned.id):
            return self._builder.build(planned)

    def _measure(self, candidates: Sequence[Candidate]) -> list[Trial]:
        if not candidates:
            return []
        evaluator, examples = self._reference.evaluator, self._reference.examples
        self._steps.next("measuring", Stage.ARTIFACTS, len(examples))
        models = [candidate.model(evaluator) for candidate in candidates]
        workers = min(workers_on(examples, candidate.measured_on.settings)[0] for candidate in candidates)
        rows = measure(evaluator, models, examples, self._steps.measured, workers)
        return [
            self._with_attention(
                Trial(
                    candidate,
                    judge(
                        candidate, answers, self._reference, self._budget, self._confidence(candidate.planned)
                    ),
                    answers if self._keep_answers else (),
                ),
                model,
            )
            for candidate, model, answers in zip(candidates, models, rows, strict=True)
        ]

    def _with_attention(self, trial: Trial, model: Any) -> Trial:
        """The trial with its attention drift, which takes long: of one that is not rejected anyway."""
        if self._attention is None or not self._acceptable(trial):
            return trial
        self._steps.next(f"explaining {trial.id}", Stage.ATTENTION, self._attention.images)
        return self._attention.judged(
            trial, model, self._confidence(trial.candidate.planned), self._steps.measured
        )

    def _confidence(self, planned: PlannedArtifact) -> float:
        """The confidence that a candidate is judged at: the highest of the searches that may try it."""
        asking = (search for search in self._searches if search.may_try(planned))
        return max((search.confidence(planned) for search in asking), default=CONFIDENCE)

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
                candidates[0].session.close()
                self._fail(candidates[0].planned, error)
                return []
            self._steps.check_caller(error)
            failure_of(error, "measuring")
        return [trial for candidate in candidates for trial in self._try_to_measure([candidate])]

    def _fail(self, planned: PlannedArtifact, error: Exception) -> None:
        """Remember why a candidate failed; raises what concerns the whole conversion."""
        self._steps.check_caller(error)
        self._outcomes[planned.id] = failure_of(error, planned.id)


def _adjustments(chosen: Sequence[Measured]) -> Iterator[str]:
    """Notes on the confidence at which the candidates that a search chose are judged."""
    by_confidence: dict[float, list[str]] = {}
    for measured in chosen:
        for confidence in {one.confidence for one in measured.requirements}:
            by_confidence.setdefault(confidence, []).append(measured.artifact)
    for confidence, artifacts in by_confidence.items():
        if confidence != CONFIDENCE:
            yield (
                f"{', '.join(artifacts)}: chosen by a search, and so judged at a confidence of "
                f"{100 * confidence:.6g} %: all candidates of a search together pass wrongly at most as "
                f"often as one artifact that is judged at {100 * CONFIDENCE:g} % (weighted Bonferroni)"
            )


def _targets_wanting(planned: PlannedArtifact, searches: Sequence[PrecisionSearch]) -> tuple[Target, ...]:
    """The targets whose searches asked for this candidate."""
    return tuple(
        target
        for search in searches
        if search.wanted is not None and search.wanted.id == planned.id
        for target in search.targets
    )
