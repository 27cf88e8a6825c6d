"""Which candidates are slower than others, by times of this machine or by the latency table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgevision.conversion.candidate_times import CandidateTimes
from edgevision.conversion.candidates import Candidate, Trial
from edgevision.conversion.latency_table import INTEGER, WITH_FLOAT, LatencyRow, kind_of, latency_rows
from edgevision.conversion.search import PrecisionSearch
from edgevision.conversion.speed import (
    TABLE,
    IsSlower,
    architecture,
    measured_slower,
    not_judged,
    slower_text,
    table_name,
    tabled_slower,
    tabled_slower_text,
)
from edgevision.errors import EdgeVisionError, InferenceError, PluginError


class SpeedComparison:
    """Compares candidates by their speed, and notes how this was known.

    Args:
        times: times candidates on this machine.
        outcomes: id of a candidate -> its trial, or why there is none; read at each comparison.

    Attributes:
        notes: remarks on the speed of candidates.
    """

    def __init__(self, times: CandidateTimes, outcomes: Mapping[str, Trial | EdgeVisionError]) -> None:
        self.notes: list[str] = []
        self._times = times
        self._outcomes = outcomes

    def of(self, search: PrecisionSearch) -> IsSlower | None:
        """Compares the speed of the candidates that a search asks about; `None` if it is not known."""
        names = [planned.id for planned in search.compared]
        outcomes = [self._outcomes[name] for name in names]
        trials = [outcome for outcome in outcomes if isinstance(outcome, Trial)]
        if len(trials) < len(names):
            return None
        if search.speed_basis == TABLE:
            precisions = {planned.id: planned.precision for planned in search.compared}
            row = self._table_row(search)
            compares = tabled_slower(row, precisions)
            if compares is None:
                lacking = ", ".join(sorted(set(precisions.values()) - row.ratios.keys()))
                self._note_not_judged(search, f"{table_name(row)} has no {lacking}")
            return compares
        costs = self._times.in_turn([trial.candidate for trial in trials])
        if len(costs) == len(names):
            return measured_slower(costs)
        self._note_untimed(search, next(trial.candidate for trial in trials if trial.id not in costs))
        return None

    def _note_untimed(self, search: PrecisionSearch, candidate: Candidate) -> None:
        try:
            self._times.of(candidate)
        except (InferenceError, PluginError) as error:
            self._note_not_judged(search, str(error))

    def _note_not_judged(self, search: PrecisionSearch, reason: str) -> None:
        compared = ", ".join(planned.id for planned in search.compared)
        targets = ", ".join(target.name for target in search.targets)
        note = f"the speed of {compared} for {targets} was not judged: {reason}"
        if note not in self.notes:
            self.notes.append(note)

    def _table_row(self, search: PrecisionSearch) -> LatencyRow:
        """The row of the latency table for the targets of a search, by the kind of the network."""
        rows, (target, *_) = latency_rows(), search.targets
        trials = (self._outcomes[planned.id] for planned in search.asked)
        in_float = any(isinstance(trial, Trial) and trial.has_float_operations for trial in trials)
        kinds = [WITH_FLOAT, INTEGER] if in_float else [INTEGER]
        keys = [(target.architecture or "", target.backend, kind) for kind in kinds]
        return next(rows[key] for key in keys if key in rows)

    def slower_candidates(self, searches: Sequence[PrecisionSearch]) -> dict[str, str]:
        """Id of a candidate that was ruled out for its speed -> by how much it is slower, and than which."""
        texts = {}
        for search in searches:
            precisions = {planned.id: planned.precision for planned in search.asked}
            for name, other in search.slower.items():
                if search.speed_basis == TABLE:
                    row = self._table_row(search)
                    texts[name] = tabled_slower_text(row, precisions[name], other, precisions[other])
                else:
                    costs = self._times.in_turn([self._candidate(one) for one in (name, other)])
                    texts[name] = slower_text(costs[name], other, costs[other])
        return texts

    def note_bases(self, searches: Sequence[PrecisionSearch]) -> None:
        """Note the targets whose candidates were judged by the table, or not at all."""
        for search in searches:
            if search.speed_basis == TABLE and search.judged:
                names = ", ".join(target.name for target in search.targets)
                text = (
                    f"the speed of candidates for {names} was judged by {table_name(self._table_row(search))}"
                )
                self.notes.append(f"{text}; run edgevision bench on the device")
        unknown = [search for search in searches if not search.speed_basis]
        targets = [one for search in unknown for one in search.targets if len(one.precisions) > 1]
        if targets:
            self.notes.append(not_judged(targets))

    def may_be_slower(self, candidate: Candidate, backend: str) -> bool:
        """False where the latency table says of this kind of machine that it never is slower than float32."""
        row = latency_rows().get((architecture(), backend, kind_of(candidate.artifact)))
        return row is None or not row.never_slower(candidate.planned.precision)

    def note_if_slower(self, candidate: Candidate, reference: Candidate) -> None:
        """Note it if a candidate is slower on this machine than its float32 form."""
        name, other = candidate.planned.id, reference.planned.id
        costs = self._times.in_turn([candidate, reference])
        if len(costs) == 2 and measured_slower(costs)(name, other):
            text = slower_text(costs[name], other, costs[other])
            self.notes.append(f"{name} takes {text}; --precision auto chooses the faster one")

    def _candidate(self, name: str) -> Candidate:
        outcome = self._outcomes[name]
        if isinstance(outcome, EdgeVisionError):
            raise outcome
        return outcome.candidate
