"""How an explanation is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgevision.errors import OptionError
from edgevision.system.arguments import one_of, real_number, whole_number

if TYPE_CHECKING:
    from edgevision.system.numeric import RealNumber, WholeNumber

METHODS = ("rise", "occlusion")
FILLS = ("blur", "mean")
MOST_SAMPLES = 1_000_000
MOST_CELLS = 64


@dataclass(frozen=True)
class ExplainSettings:
    """How an explanation is made.

    Attributes:
        method: ``rise`` (random masks: Petsiuk et al. 2018, "RISE"; for objects Petsiuk et al. 2021,
            "D-RISE") or ``occlusion`` (a window that slides over the image: Zeiler and Fergus 2014).
        budget: the most runs of the network, 16 or more.
        seed: of the masks, 0 or more; the same seed gives the same map.
        cells: parts of the image's shorter side that are shown or hidden as one, 2 to 64: details smaller
            than a cell cannot be told apart, and more cells need more runs.
        fill: what stands where the image is hidden: ``blur``, the image without its details, or ``mean``,
            its mean colour.
        reliability: the estimated correlation of the map with one of unlimited budget at which no further
            masks are drawn, above 0 and up to 1; 1 uses the whole budget.

    Raises:
        OptionError: a setting is outside its range.
    """

    method: str = "rise"
    budget: WholeNumber = 2000
    seed: WholeNumber = 0
    cells: WholeNumber = 8
    fill: str = "blur"
    reliability: RealNumber = 0.95

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {
            "method": one_of(self.method, METHODS, "method"),
            "budget": whole_number(self.budget, "budget", 16, MOST_SAMPLES),
            "seed": whole_number(self.seed, "seed", 0),
            "cells": whole_number(self.cells, "cells", 2, MOST_CELLS),
            "fill": one_of(self.fill, FILLS, "fill"),
            "reliability": real_number(self.reliability, "reliability"),
        }
        if not 0 < checked["reliability"] <= 1:
            raise OptionError(f"reliability: expected above 0 and up to 1, got {checked['reliability']:g}")
        for name, value in checked.items():
            object.__setattr__(self, name, value)
