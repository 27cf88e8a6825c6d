"""Limits of an input gate from frames that are known to be good, with a stated rate of false abstentions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InputError, OptionError
from edgevision.imaging.frame import Frame
from edgevision.imaging.gate import (
    InputGate,
    dark_share,
    grey_levels,
    same_levels,
    saturated_share,
    sharpness,
)
from edgevision.imaging.levels import ValueMapping
from edgevision.system.arguments import real_number

#: The least deviation that a measure is given: of a share, and of the logarithm to base 2 of the sharpness.
#: Good images that are all alike say nothing about how others may differ.
_LEAST_DEVIATION = np.array([0.02, 0.02, 0.25])
#: A share that is never reached by good images, so that a frame without anything in it is refused.
_HIGHEST_SHARE = 0.999
#: The fewest frames in a row that count as frozen, and how often longer than in good frames that is.
_LEAST_FROZEN, _FROZEN_FACTOR = 10, 2


@dataclass(frozen=True)
class GateProposal:
    """Limits for an input gate.

    Attributes:
        gate: the limits.
        images: number of good images that they come from.
        false_abstentions: the highest expected share of good frames that are not answered, frozen ones aside.
        left_out: name of a limit -> why it is not set.
    """

    gate: InputGate
    images: int
    false_abstentions: float
    left_out: dict[str, str]


def propose_gate(
    frames: Iterable[Frame],
    mapping: ValueMapping,
    false_abstentions: float = 0.01,
    measured: Sequence[str] = ("dark_share", "saturated_share", "sharpness", "frozen_frames"),
    seed: int = 0,
) -> GateProposal:
    """Limits that at most a stated share of frames like these goes beyond.

    Half of the images, drawn by the seed, say how much each measure varies; with the other half one quantile
    of the largest deviation is taken (split conformal prediction, Papadopoulos et al. 2002). So the share
    holds for all limits together, on average over sets of good images, for frames that are drawn alike:
    those of one video are not.

    Args:
        frames: good images, in the order in which the camera took them.
        mapping: of the network, for images with more than 8 bits.
        false_abstentions: above 0 and below 1.
        measured: the limits to propose.
        seed: draws the halves.

    Raises:
        OptionError: `false_abstentions` is not a share.
        InputError: there are too few images for it; says how many it takes.
    """
    share = real_number(false_abstentions, "false_abstentions")
    if not 0 < share < 1:
        raise OptionError(f"false_abstentions: expected a share above 0 and below 1, got {share:g}")
    rows, longest = _measure(frames, mapping)
    least = 2 * math.ceil(1 / share - 1)
    if len(rows) < least:
        raise InputError(
            f"{len(rows)} good images cannot limit false abstentions to {share:g}; "
            f"pass {least} or more, or a higher share"
        )
    bounds = _bounds(rows, share, seed, [name in measured for name in _NAMES])
    limits: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    for name, bound in zip(_NAMES, bounds, strict=True):
        if name not in measured:
            continue
        if name == "sharpness":
            limits[name] = float(f"{2.0**-bound:.4g}")
        elif bound >= _HIGHEST_SHARE:
            left_out[name] = "good images reach almost every value of it"
        else:
            limits[name] = float(f"{bound:.4g}")
    if "frozen_frames" in measured:
        limits["frozen_frames"] = max(_LEAST_FROZEN, _FROZEN_FACTOR * longest + 1)
    return GateProposal(InputGate(**limits), len(rows), share, left_out)


#: The measures of one image, each so that a higher value is worse.
_NAMES = ("dark_share", "saturated_share", "sharpness")


def _measure(frames: Iterable[Frame], mapping: ValueMapping) -> tuple[NDArray[np.float64], int]:
    """A row of measures per image, and how many in a row were the same at most."""
    rows, longest, same, before = [], 1, 1, None
    for frame in frames:
        levels = grey_levels(frame, mapping)
        same = same + 1 if same_levels(before, levels) else 1
        longest, before = max(longest, same), levels
        rows.append((dark_share(levels), saturated_share(levels), -math.log2(max(1e-6, sharpness(levels)))))
    return np.array(rows, np.float64).reshape(-1, len(_NAMES)), longest


def _bounds(
    rows: NDArray[np.float64], share: float, seed: int, counted: Sequence[bool]
) -> NDArray[np.float64]:
    """The highest value of each measure that is allowed."""
    order = np.random.default_rng(seed).permutation(len(rows))
    first, second = rows[order[: len(rows) // 2]], rows[order[len(rows) // 2 :]]
    middle = np.median(first, axis=0)
    deviation = np.maximum(first.std(axis=0), _LEAST_DEVIATION)
    worst = ((second - middle) / deviation)[:, list(counted)].max(axis=1, initial=0.0)
    rank = math.ceil((len(second) + 1) * (1 - share))
    return np.asarray(middle + deviation * np.sort(worst)[rank - 1])
