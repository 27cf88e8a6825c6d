"""Prediction sets of a classifier: the classes that an image may have, with a stated coverage (conformal)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import OptionError
from edgevision.system.arguments import flag, one_of, real_number, whole_number
from edgevision.system.numeric import is_share
from edgevision.system.shown import shown

LAC, RAPS = "lac", "raps"
METHODS = (LAC, RAPS)


@dataclass(frozen=True)
class PredictionSets:
    """How the prediction sets of one artifact are formed.

    A class is in the set if its nonconformity is `quantile` or less. Nothing is random: the same scores give
    the same set. A set may be empty, where no class is plausible. Where scores are often equal, as those of
    int8, which have 256 values, the coverage is higher than stated.

    Attributes:
        method: ``lac``: the nonconformity is 1 minus the class's score (least ambiguous set-valued
            classifiers, Sadinle, Lei and Wasserman 2019); ``raps``: the sum of the scores of this class and
            all with higher ones, plus `penalty` for each rank after `free_ranks` (Angelopoulos et al. 2021,
            without randomization).
        coverage: the share of images whose class is in the set, on average over calibration sets, above 0 and
            below 1.
        quantile: of the nonconformity of the true classes of the calibration images.
        images: number of these.
        penalty, free_ranks: for ``raps``.
        seed: drew the images that chose `penalty` and `free_ranks`, and those of groups.
        abstain: whether streams and `edgevision predict` abstain where the set is not a single class.

    Raises:
        OptionError: a field has an invalid value; names it.
    """

    method: str
    coverage: float
    quantile: float
    images: int
    penalty: float = 0.0
    free_ranks: int = 0
    seed: int = 0
    abstain: bool = True

    def __post_init__(self) -> None:
        one_of(self.method, METHODS, "method")
        object.__setattr__(self, "coverage", checked_coverage(self.coverage))
        for name in ("quantile", "penalty"):
            object.__setattr__(self, name, real_number(getattr(self, name), name))
        for name, least in (("images", 1), ("free_ranks", 0), ("seed", 0)):
            object.__setattr__(self, name, whole_number(getattr(self, name), name, least=least))
        object.__setattr__(self, "abstain", flag(self.abstain, "abstain"))
        if self.penalty < 0:
            raise OptionError(f"penalty: expected 0 or more, got {self.penalty:g}")

    def contains(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        """For scores ``(…, classes)``, whether each class is in the set."""
        return np.asarray(self.nonconformity(scores) <= self.quantile)

    def nonconformity(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        """For scores ``(…, classes)``, that of each class."""
        if self.method == LAC:
            return 1.0 - scores.astype(np.float64)
        return raps_nonconformity(scores, self.penalty, self.free_ranks)


def raps_nonconformity(scores: NDArray[np.float32], penalty: float, free_ranks: int) -> NDArray[np.float64]:
    """The nonconformity of each class by RAPS; of equal scores, the lower class id has the higher rank."""
    order = np.argsort(-scores, axis=-1, kind="stable")
    sums = np.cumsum(np.take_along_axis(scores, order, -1), axis=-1, dtype=np.float64)
    ranks = np.arange(1, scores.shape[-1] + 1)
    found = np.empty_like(sums)
    np.put_along_axis(found, order, sums + penalty * np.maximum(0, ranks - free_ranks), -1)
    return found


def prediction_sets_from(document: Mapping[str, Any] | None) -> PredictionSets | None:
    """The prediction sets from their `dataclasses.asdict` as JSON; `None` from `None`.

    Raises:
        OptionError: a field is missing, unknown or invalid; names the field.
    """
    if document is None:
        return None
    try:
        return PredictionSets(**document)
    except TypeError as error:
        raise OptionError(f"prediction_sets: {error}") from error


def checked_coverage(coverage: object) -> float:
    """A coverage, above 0 and below 1.

    Raises:
        OptionError: it is something else.
    """
    if not is_share(coverage) or coverage in (0, 1):
        raise OptionError(f"coverage: expected a share above 0 and below 1, got {shown(coverage)}")
    return float(coverage)
