"""The search for the cheapest artifact inside the budget."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from edgevision.artifact import CALIBRATED, MIXED
from edgevision.conversion.plan import FLOAT_PRECISIONS, PlannedArtifact, must_be_full_integer
from edgevision.target import Target

#: Layers of a source as (name, measured error), the most sensitive to quantization first.
Sensitivities = Sequence[tuple[str, float]]

#: At most this share of the layers stays in float; beyond it, the next precision is the better choice.
_MOST_FLOAT_LAYERS = 0.5


class PrecisionSearch:
    """Asks for one candidate after the other, from the cheapest to the most expensive, until one is inside.

    When ``int8`` misses, the most sensitive layers stay in float: one, two, four and so on until the
    candidate is inside the budget, and then as few as possible.

    Args:
        targets: devices with one format and the same precisions.
        calibrated: True if there is a calibration set.
        sensitivities: ranks the layers for a format; empty if its converter cannot keep layers in float.

    Attributes:
        wanted: the candidate to measure next; `None` when the search is over.
        winner: the candidate inside the budget, when the search is over; `None` if there is none.
        asked: all candidates so far.
    """

    def __init__(
        self,
        targets: tuple[Target, ...],
        calibrated: bool,
        sensitivities: Callable[[str], Sensitivities],
    ) -> None:
        self.targets = targets
        self.wanted: PlannedArtifact | None = None
        self.winner: PlannedArtifact | None = None
        self.asked: list[PlannedArtifact] = []
        self._calibrated = calibrated
        self._sensitivities = sensitivities
        self._steps = self._walk()
        self._advance(None)

    def learn(self, inside: bool) -> None:
        """Record whether the wanted candidate is inside the budget, and choose the next."""
        self._advance(inside)

    def _advance(self, inside: bool | None) -> None:
        try:
            self.wanted = next(self._steps) if inside is None else self._steps.send(inside)
            self.asked.append(self.wanted)
        except StopIteration as end:
            self.wanted, self.winner = None, end.value

    def _walk(self) -> Generator[PlannedArtifact, bool, PlannedArtifact | None]:
        precisions = self.targets[0].precisions
        for precision in precisions:
            if precision in CALIBRATED and not self._calibrated:
                continue
            planned = self._planned(precision)
            if (yield planned):
                return planned
            if precision == "int8" and FLOAT_PRECISIONS & set(precisions):
                mixed = yield from self._mixed()
                if mixed is not None:
                    return mixed
        return None

    def _mixed(self) -> Generator[PlannedArtifact, bool, PlannedArtifact | None]:
        """The fewest float layers that meet the budget, by doubling and then by bisection."""
        names = [name for name, _ in self._sensitivities(self.targets[0].format)]
        most = int(len(names) * _MOST_FLOAT_LAYERS)
        too_few, count = 0, min(1, most)
        while count > too_few and not (yield self._planned(MIXED, names[:count])):
            too_few, count = count, min(2 * count, most)
        if count == too_few:
            return None
        while count - too_few > 1:
            middle = (count + too_few) // 2
            if (yield self._planned(MIXED, names[:middle])):
                count = middle
            else:
                too_few = middle
        return self._planned(MIXED, names[:count])

    def _planned(self, precision: str, float_layers: Sequence[str] = ()) -> PlannedArtifact:
        first = self.targets[0]
        full_integer = must_be_full_integer(first, precision)
        return PlannedArtifact(first.format, precision, self.targets, tuple(float_layers), full_integer)


def searches_for(
    targets: Sequence[Target], calibrated: bool, sensitivities: Callable[[str], Sensitivities]
) -> list[PrecisionSearch]:
    """One search for all targets with the same format and precisions."""
    groups: dict[tuple[str, tuple[str, ...]], list[Target]] = {}
    for target in targets:
        groups.setdefault((target.format, target.precisions), []).append(target)
    return [PrecisionSearch(tuple(group), calibrated, sensitivities) for group in groups.values()]
