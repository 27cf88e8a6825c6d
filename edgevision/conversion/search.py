"""The search for the cheapest artifact that is inside the budget and not slower than a more expensive one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from edgevision.artifact import MIXED, is_calibrated
from edgevision.conversion.plan import FLOAT_PRECISIONS, PlannedArtifact, planned_artifact
from edgevision.conversion.speed import IsSlower
from edgevision.evidence.requirements import CONFIDENCE
from edgevision.target import Target

#: Layers of a source as (name, measured error), the most sensitive to quantization first.
Sensitivities = Sequence[tuple[str, float]]

_T = TypeVar("_T")
#: Yields a candidate, and is sent its `Outcome`; or candidates to compare, and is sent `IsSlower` or `None`.
_Steps = Generator[PlannedArtifact | tuple[PlannedArtifact, ...], Any, _T]

#: Shares of the probability of a wrong pass: the first candidate gets half of it, as most searches end there;
#: candidates with layers in float get a quarter together, and the other precisions the last quarter.
_FIRST_SHARE, _MIXED_SHARE = 0.5, 0.25
#: At most this share of the layers stays in float; beyond it, the next precision is the better choice.
_MOST_FLOAT_LAYERS = 0.5


@dataclass(frozen=True)
class Outcome:
    """The result of a candidate.

    Attributes:
        inside: True if it is inside the budget.
        float_operations: True if it is an int8 artifact that computes some operations in float.
    """

    inside: bool
    float_operations: bool = False


def lowest_confidence(targets: Sequence[Target], calibrated: bool) -> float:
    """The lowest confidence that a search for these targets judges any candidate at.

    Args:
        targets: of any formats.
        calibrated: True if there is a calibration set.
    """
    # At its beginning a search has asked for its first candidate alone, whose share is the largest.
    searches = (PrecisionSearch((target,), calibrated, lambda _: ()) for target in targets)
    return min((search.confidence(one) for search in searches for one in search.asked), default=CONFIDENCE)


class PrecisionSearch:
    """Asks for one candidate after the other, from the cheapest to the most expensive, until one is inside.

    When ``int8`` misses, the most sensitive layers stay in float: one, two, four and so on until the
    candidate is inside the budget, and then as few as possible.

    Where speed counts, the candidate that was found is compared with the float one; if it is slower, or
    computes some operations in float, with ``int8-dynamic`` too. The cheapest of these wins that is not
    slower than another.

    Args:
        targets: devices with one format and the same precisions.
        calibrated: True if there is a calibration set.
        sensitivities: ranks the layers for a format; empty if its converter cannot keep layers in float.
        speed_basis: how the speed of candidates is known for these targets; empty if it is not.
        is_symmetric: True if their backend takes no int8 activations with a zero point.

    Attributes:
        wanted: the candidate to measure next; `None` when the search waits for a comparison or is over.
        compared: the candidates whose speed to compare next; empty when none is to be compared.
        winner: the candidate inside the budget, when the search is over; `None` if there is none.
        asked: all candidates so far.
        slower: id of a candidate inside the budget that was ruled out -> id of one that is faster.
        judged: True if the speed of candidates was compared at least once.
    """

    def __init__(
        self,
        targets: tuple[Target, ...],
        calibrated: bool,
        sensitivities: Callable[[str], Sensitivities],
        speed_basis: str = "",
        is_symmetric: bool = False,
    ) -> None:
        self.targets = targets
        self.wanted: PlannedArtifact | None = None
        self.compared: tuple[PlannedArtifact, ...] = ()
        self.winner: PlannedArtifact | None = None
        self.asked: list[PlannedArtifact] = []
        self.slower: dict[str, str] = {}
        self.judged = False
        self._calibrated = calibrated
        self._sensitivities = sensitivities
        self.speed_basis = speed_basis
        self._is_symmetric = is_symmetric
        self._outcomes: dict[str, Outcome] = {}
        self._steps = self._walk()
        self._advance(None)

    def confidence(self, planned: PlannedArtifact) -> float:
        """Confidence of the two-sided intervals that a candidate is judged by.

        All candidates are judged on the same images, and the more are tried, the likelier one passes by luck.
        So each has a share of the probability that a single one has at 95 %, fixed before any is judged, and
        the shares of all that the search may try sum to 1 (weighted Bonferroni): whatever their number, the
        search ends with one that is outside the budget in at most 2.5 % of evaluation sets.

        Args:
            planned: one of the candidates that the search may try.
        """
        return 1 - (1 - CONFIDENCE) * self._share(planned)

    def may_try(self, planned: PlannedArtifact) -> bool:
        """True if a candidate is one of those that the search may try."""
        first = self.targets[0]
        listed = self._may_mix() if planned.precision == MIXED else planned.precision in self._precisions()
        return planned.format == first.format and listed

    def _precisions(self) -> list[str]:
        """The precisions that may be tried, cheapest first."""
        return [one for one in self.targets[0].precisions if self._calibrated or not is_calibrated(one)]

    def _share(self, planned: PlannedArtifact) -> float:
        precisions = self._precisions()
        others, has_mixed = len(precisions) - 1, self._may_mix()
        if others == 0 and not has_mixed:
            return 1.0
        if planned.precision == precisions[0]:
            return _FIRST_SHARE
        mixed = 0.0 if not has_mixed else _MIXED_SHARE if others else 1 - _FIRST_SHARE
        if planned.precision == MIXED:
            return mixed / max(1, len(self._mixable()))
        return (1 - _FIRST_SHARE - mixed) / others

    def _may_mix(self) -> bool:
        precisions = set(self.targets[0].precisions)
        return self._calibrated and "int8" in precisions and bool(FLOAT_PRECISIONS & precisions)

    def _mixable(self) -> list[str]:
        """The layers that may stay in float, most sensitive first."""
        names = [name for name, _ in self._sensitivities(self.targets[0].format)]
        return names[: int(len(names) * _MOST_FLOAT_LAYERS)]

    def learn(self, outcome: Outcome) -> None:
        """Record the result of the wanted candidate, and choose the next step."""
        self._advance(outcome)

    def learn_speeds(self, is_slower: IsSlower | None) -> None:
        """Record which of the compared candidates are slower, and choose the next step.

        Args:
            is_slower: compares two of them by their ids; `None` if their speed could not be compared.
        """
        self.judged = self.judged or is_slower is not None
        self._advance(is_slower)

    def _advance(self, answer: Outcome | IsSlower | None) -> None:
        self.wanted, self.compared = None, ()
        try:
            step = self._steps.send(answer)
        except StopIteration as end:
            self.winner = end.value
            return
        if isinstance(step, PlannedArtifact):
            self.wanted = step
            self.asked.append(step)
        else:
            self.compared = step

    def _walk(self) -> _Steps[PlannedArtifact | None]:
        found = yield from self._cheapest_inside()
        if found is None or not self.speed_basis:
            return found
        reference = self._float_reference(found)
        if reference is None or not (yield from self._is_inside(reference)):
            return found
        rivals = [found, reference]
        is_slower = yield from self._compare(rivals)
        if is_slower is None:
            return found
        dynamic = self._later("int8-dynamic", found)
        if (
            dynamic is not None
            and (is_slower(found.id, reference.id) or self._outcomes[found.id].float_operations)
            and (yield from self._is_inside(dynamic))
        ):
            all_three = sorted([*rivals, dynamic], key=self._order)
            compared = yield from self._compare(all_three)
            if compared is not None:  # else the first comparison counts, which knows nothing of the third
                rivals, is_slower = all_three, compared
        return self._cheapest_not_slower(rivals, is_slower)

    def _cheapest_inside(self) -> _Steps[PlannedArtifact | None]:
        for precision in self._precisions():
            planned = self._planned(precision)
            if (yield from self._is_inside(planned)):
                return planned
            if precision == "int8" and self._may_mix():
                if self.speed_basis and (yield from self._is_known_slower(planned)):
                    continue  # keeping some layers in float does not make it worth its conversions
                mixed = yield from self._mixed()
                if mixed is not None:
                    return mixed
        return None

    def _mixed(self) -> _Steps[PlannedArtifact | None]:
        """The fewest float layers that meet the budget, by doubling and then by bisection."""
        names = self._mixable()
        most = len(names)
        too_few, count = 0, min(1, most)
        while count > too_few and not (yield from self._is_inside(self._planned(MIXED, names[:count]))):
            too_few, count = count, min(2 * count, most)
        if count == too_few:
            return None
        while count - too_few > 1:
            middle = (count + too_few) // 2
            if (yield from self._is_inside(self._planned(MIXED, names[:middle]))):
                count = middle
            else:
                too_few = middle
        return self._planned(MIXED, names[:count])

    def _is_known_slower(self, planned: PlannedArtifact) -> _Steps[bool]:
        reference = self._float_reference(planned)
        if reference is None or not (yield from self._is_inside(reference)):
            return False
        is_slower = yield from self._compare([planned, reference])
        return is_slower is not None and is_slower(planned.id, reference.id)

    def _is_inside(self, planned: PlannedArtifact) -> _Steps[bool]:
        if planned.id not in self._outcomes:
            self._outcomes[planned.id] = yield planned
        return self._outcomes[planned.id].inside

    def _compare(self, rivals: Sequence[PlannedArtifact]) -> _Steps[IsSlower | None]:
        is_slower: IsSlower | None = yield tuple(rivals)
        return is_slower

    def _cheapest_not_slower(self, rivals: Sequence[PlannedArtifact], is_slower: IsSlower) -> PlannedArtifact:
        for place, one in enumerate(rivals):
            faster = [other for other in rivals[place + 1 :] if is_slower(one.id, other.id)]
            if not faster:
                return one
            self.slower[one.id] = faster[-1].id
        return rivals[-1]  # not reached: nothing comes after the last

    def _float_reference(self, planned: PlannedArtifact) -> PlannedArtifact | None:
        """The most expensive float form that the devices run, if it is more expensive than this candidate."""
        floats = [one for one in ("float32", "float16") if one in self.targets[0].precisions]
        return self._later(floats[0], planned) if floats else None

    def _later(self, precision: str, planned: PlannedArtifact) -> PlannedArtifact | None:
        """The candidate of this precision, if the devices run it and it is more expensive than `planned`."""
        later = self.targets[0].precisions[self._order(planned) + 1 :]
        return self._planned(precision) if precision in later else None

    def _order(self, planned: PlannedArtifact) -> int:
        precision = "int8" if planned.precision == MIXED else planned.precision
        return self.targets[0].precisions.index(precision)

    def _planned(self, precision: str, float_layers: Sequence[str] = ()) -> PlannedArtifact:
        one = planned_artifact(self.targets[0], precision, float_layers, is_symmetric=self._is_symmetric)
        return replace(one, targets=self.targets)


def searches_for(
    targets: Sequence[Target],
    calibrated: bool,
    sensitivities: Callable[[str], Sensitivities],
    speed_bases: Mapping[str, str] | None = None,
    symmetric: Collection[str] = (),
) -> list[PrecisionSearch]:
    """One search for all targets with the same format, precisions and form of int8, and one basis of speed.

    Args:
        targets, calibrated, sensitivities: as for `PrecisionSearch`.
        speed_bases: name of a target -> how the speed of its candidates is known; default not at all.
        symmetric: names of the targets whose backend takes no int8 activations with a zero point.
    """
    groups: dict[tuple[object, ...], list[Target]] = {}
    bases = speed_bases or {}
    for target in targets:
        basis = bases.get(target.name, "")
        by_table = (target.backend, target.architecture) if basis else ()
        kind = target.format, target.precisions, target.name in symmetric, basis, by_table
        groups.setdefault(kind, []).append(target)
    return [
        PrecisionSearch(
            *(tuple(group), calibrated, sensitivities),
            speed_basis=bases.get(group[0].name, ""),
            is_symmetric=group[0].name in symmetric,
        )
        for group in groups.values()
    ]
