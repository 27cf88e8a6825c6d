"""From a score that the network gives to the map of one image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.decoder import Floats
from edgevision.errors import InferenceError
from edgevision.explaining.masks import random_masks, sliding_masks
from edgevision.explaining.perturbation import Perturbation
from edgevision.explaining.saliency import Moments, split_half_reliability
from edgevision.explaining.settings import ExplainSettings
from edgevision.session import CheckedSession
from edgevision.system.cores import cores
from edgevision.system.in_order import in_blocks, in_order
from edgevision.tensors import Array

#: From the outputs of one run to the explained score of each of its images, float64 (images,).
ScoreOf = Callable[[Mapping[str, Array]], NDArray[np.float64]]
#: Called with (runs done, runs at most); False ends the explanation with the map so far.
Progress = Callable[[int, int], Any]

#: Masks in one run, where the artifact takes several images.
_BATCH = 16
#: Masks before the first look at the reliability, and between two looks.
_LOOK = 128


@dataclass(frozen=True, eq=False)
class Attribution:
    """A map in pixels of the part of the network's input that the image covers.

    Attributes:
        map: float64 (h, w): the change of the score from hidden to shown.
        score, hidden_score: of the whole image, and with all of it hidden.
        samples, reliability, converged: as in `Explanation`.
    """

    map: NDArray[np.float64]
    score: float
    hidden_score: float
    samples: int
    reliability: float | None
    converged: bool


class MaskedRuns:
    """Scores of one image under masks.

    Args:
        session: the network.
        input_name: of its image.
        perturbation: of the image.
        score_of: the explained score, from the outputs of a run.
    """

    def __init__(
        self, session: CheckedSession, input_name: str, perturbation: Perturbation, score_of: ScoreOf
    ) -> None:
        self.size_hw = perturbation.size_hw
        self._session = session
        self._input = input_name
        self._perturbation = perturbation
        self._score_of = score_of
        # A device other than the CPU serves one caller at a time.
        threads = session.threads or cores()
        self._workers = max(1, cores() // threads) if session.device == "cpu" else 1

    @property
    def rows(self) -> tuple[Array, Array]:
        """The network's input, without the batch, with the whole image shown, and with all of it hidden."""
        return self._perturbation.row(1.0), self._perturbation.row(0.0)

    def scores(self, masks: Sequence[Floats]) -> list[float]:
        """The score under each mask, in one run."""
        with self._session.lease(len(masks)) as slot:
            for mask, row in zip(masks, slot.inputs[self._input], strict=True):
                self._perturbation.write(mask, row)
            scores = self._score_of(slot.run())
        if len(scores) != len(masks):
            raise InferenceError(f"the network gave {len(scores)} answers for {len(masks)} images")
        return [float(score) for score in scores]

    def each(self, masks: Iterable[Floats], count: int) -> Iterator[list[tuple[Floats, float]]]:
        """Pairs of a mask and the score under it, block by block, in the order of the masks."""
        size = _BATCH if self._session.dynamic_batch and count >= _BATCH else 1
        blocks = in_blocks(islice(masks, count // size * size), size)

        def work(block: list[Floats]) -> list[list[tuple[Floats, float]]]:
            return [list(zip(block, self.scores(block), strict=True))]

        with in_order(work, blocks, self._workers) as pairs:
            yield from pairs

    def one(self, shown: float) -> float:
        """The score with the whole image shown (1) or hidden (0)."""
        return self.scores([np.full(self.size_hw, shown, np.float32)])[0]


def attribution(runs: MaskedRuns, settings: ExplainSettings, progress: Progress | None) -> Attribution:
    """The map of one image by the method of the settings."""
    score, hidden_score = runs.one(1.0), runs.one(0.0)
    if settings.method == "occlusion":
        return _by_occlusion(runs, settings, progress, score, hidden_score)
    return _by_random_masks(runs, settings, progress, score, hidden_score)


def _by_random_masks(
    runs: MaskedRuns,
    settings: ExplainSettings,
    progress: Progress | None,
    score: float,
    hidden_score: float,
) -> Attribution:
    halves = Moments(runs.size_hw, score), Moments(runs.size_hw, score)
    masks = random_masks(runs.size_hw, int(settings.cells), int(settings.seed))
    most = int(settings.budget)
    done, looked, reliability = 0, 0, 0.0
    for block in runs.each(masks, most):
        for mask, score_under_it in block:
            halves[done // 2 % 2].add(mask, score_under_it)  # a mask and its complement stay together
            done += 1
        if done - looked >= _LOOK:
            looked = done
            reliability = split_half_reliability(*(half.map() for half in halves))
            if reliability >= settings.reliability and settings.reliability < 1:
                break
        if progress is not None and progress(done, most) is False:
            break
    reliability = split_half_reliability(*(half.map() for half in halves))
    whole = (halves[0] + halves[1]).map()
    converged = bool(reliability >= settings.reliability)
    return Attribution(whole, score, hidden_score, done, reliability, converged)


def _by_occlusion(
    runs: MaskedRuns,
    settings: ExplainSettings,
    progress: Progress | None,
    score: float,
    hidden_score: float,
) -> Attribution:
    masks = sliding_masks(runs.size_hw, int(settings.cells), int(settings.budget))
    lost, covered = np.zeros(runs.size_hw), np.zeros(runs.size_hw)
    done = 0
    # Windows, as many as fill whole blocks, and the rest one by one: none may be left out.
    whole = len(masks) // _BATCH * _BATCH
    parts = masks[:whole], masks[whole:]
    for block in chain.from_iterable(runs.each(part, len(part)) for part in parts):
        for mask, score_under_it in block:
            lost += (1.0 - mask) * (score - score_under_it)
            covered += 1.0 - mask
            done += 1
        if progress is not None and progress(done, len(masks)) is False:
            break
    means = np.divide(lost, covered, out=np.zeros_like(lost), where=covered > 0)
    return Attribution(means, score, hidden_score, done, None, done == len(masks))
