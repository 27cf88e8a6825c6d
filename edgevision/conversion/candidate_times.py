"""The latency and memory of candidates, timed in turn and remembered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgevision.conversion.candidates import Candidate
from edgevision.conversion.schedule import Schedule, Stage
from edgevision.errors import InferenceError
from edgevision.evidence.records import Attempt, Measured
from edgevision.execution.run_costs import RunCosts, RunSubject, run_costs_in_turn


class CandidateTimes:
    """Times candidates; those that were timed in turn before are not timed again.

    Args:
        steps: the progress of the conversion.
    """

    def __init__(self, steps: Schedule) -> None:
        self._steps = steps
        self._rounds: list[dict[str, RunCosts | InferenceError]] = []

    def in_turn(self, candidates: Sequence[Candidate]) -> dict[str, RunCosts]:
        """The costs of these candidates by their ids, timed in turn; without those that cannot be timed."""
        subjects = {
            one.planned.id: RunSubject(one.artifact, one.measured_on.backend.name, one.measured_on.settings)
            for one in candidates
        }
        known = next((costs for costs in reversed(self._rounds) if subjects.keys() <= costs.keys()), None)
        if known is None:
            self._steps.next("timing", Stage.TIMING)
            known = run_costs_in_turn(subjects)
            self._rounds.append(known)
        found = {name: known[name] for name in subjects}
        return {name: costs for name, costs in found.items() if isinstance(costs, RunCosts)}

    def of(self, candidate: Candidate) -> RunCosts:
        """The latest costs of a candidate.

        Raises:
            InferenceError: they cannot be measured.
        """
        name = candidate.planned.id
        if self._latest(name) is None:
            self.in_turn([candidate])
        costs = self._latest(name)
        if not isinstance(costs, RunCosts):
            raise costs or InferenceError(f"{name}: was not timed")
        return costs

    def in_attempt(self, attempt: Attempt) -> Attempt:
        """The attempt with the latest times of its candidate, if there are any."""
        costs = self._latest(attempt.artifact)
        if not isinstance(costs, RunCosts):
            return attempt
        return replace(attempt, latency_ms=costs.latency_ms, cpu_ms=costs.timing.cpu_ms)

    def _latest(self, name: str) -> RunCosts | InferenceError | None:
        return next((costs[name] for costs in reversed(self._rounds) if name in costs), None)


def with_costs(measured: Measured, costs: RunCosts | None) -> Measured:
    """The measurements with latency and memory, where these could be measured."""
    if costs is None:  # for example, with a backend that is registered in this process only
        return measured
    return replace(
        measured,
        latency_ms=costs.latency_ms,
        peak_memory_mb=costs.peak_memory_mb,
        timing=costs.timing,
    )
