"""Attention drift: whether an artifact's answers rest on the same parts of the images as its source's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgevision.errors import OptionError
from edgevision.explaining.settings import MOST_CELLS, MOST_SAMPLES
from edgevision.metrics.intervals import Interval
from edgevision.system.arguments import real_number, whole_number
from edgevision.system.decimals import decimals

if TYPE_CHECKING:
    from edgevision.system.numeric import RealNumber, WholeNumber

#: Masks come in whole runs of this number, so that source and artifact get the same ones.
MASKS_OF_A_RUN = 16
_MOST_IMAGES = 100_000
_DIGITS = 3


@dataclass(frozen=True)
class AttentionSpecification:
    """How attention drift is measured, and how large it may be.

    Maps of what an answer rests on (`edgevision.ExplainSettings`, method ``rise``) are made of the source
    and of each artifact, with the same masks, over a sample of the evaluation images. The drift of an image
    is 1 minus Spearman's rank correlation of the two maps, and at most 1: 0 if they order the pixels alike, 1
    if they have nothing in common.

    Attributes:
        images: the most evaluation images, drawn at random, that maps are made of.
        max_drift: largest mean drift over images, above 0 and up to 1, compared with the upper end of its
            interval; `None` measures only.
        budget: the most runs per image and model, 32 or more, in steps of 16. Masks are drawn until the
            source's map is good enough (`reliability`).
        cells: parts of the image's shorter side that are shown or hidden as one, 2 to 64.
        seed: of the sample and of the masks, 0 or more.

    Raises:
        OptionError: a field is outside its range.
    """

    images: WholeNumber = 32
    max_drift: RealNumber | None = None
    budget: WholeNumber = 1024
    cells: WholeNumber = 8
    seed: WholeNumber = 0

    #: Estimated correlation of the source's map with one of unlimited budget: at the first no further masks
    #: are drawn, and an image whose map stays below the second is left out.
    reliability = 0.95
    least_reliability = 0.8

    def __post_init__(self) -> None:
        budget = whole_number(self.budget, "budget", 2 * MASKS_OF_A_RUN, MOST_SAMPLES)
        checked: dict[str, Any] = {
            "images": whole_number(self.images, "images", 1, _MOST_IMAGES),
            "budget": budget - budget % MASKS_OF_A_RUN,
            "cells": whole_number(self.cells, "cells", 2, MOST_CELLS),
            "seed": whole_number(self.seed, "seed", 0),
        }
        if self.max_drift is not None:
            checked["max_drift"] = real_number(self.max_drift, "max_drift")
            if not 0 < checked["max_drift"] <= 1:
                raise OptionError(f"max_drift: expected above 0 and up to 1, got {checked['max_drift']:g}")
        for name, value in checked.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class MeanOfImages:
    """A mean over images of a value that is 0…1, or of a difference of two such.

    Attributes:
        value: the mean.
        interval: of the mean over all images of this kind; at 95 %.
    """

    value: float
    interval: Interval

    def __str__(self) -> str:
        low, high = (decimals(end, _DIGITS) for end in (self.interval.low, self.interval.high))
        return f"{decimals(self.value, _DIGITS)} ({low} … {high})"


@dataclass(frozen=True)
class Faithfulness:
    """How far the maps of a model are ahead of random ones of the same smoothness, -1…1.

    Attributes:
        insertion: the mean score while pixels are shown, those that matter most first (Petsiuk et al. 2018):
            of the map, less that of a random one.
        deletion: the mean score while they are hidden in this order: of a random map, less that of the map.
    """

    insertion: MeanOfImages
    deletion: MeanOfImages

    @property
    def shown(self) -> bool:
        """True if the images show that the maps are ahead of random ones in both."""
        return self.insertion.interval.low > 0 and self.deletion.interval.low > 0


@dataclass(frozen=True)
class AttentionReference:
    """Maps of the source, which those of its artifacts are compared with.

    Attributes:
        sampled: number of evaluation images that were drawn.
        images: how many of them have a map that says something.
        left_out: reason -> number of the others.
        runs: mean number of masks per image; the same for each model.
        cells, seed, fill: as in `edgevision.ExplainSettings`.
        noise: drift between two maps of the source itself with different masks: what the choice of masks
            alone changes. Two models are compared with the same masks, so that it mostly cancels.
        noise_overlap: likewise, of `AttentionDrift.overlap`.
        faithfulness: of these maps.
        shuffled: drift to the maps of the same network with its weights in random order, with the same masks
            (Adebayo et al. 2018): near 0, the maps would not depend on what was learned. `None` if the source
            cannot be shuffled.
        gradients: method -> drift to the map by that method from the gradients of the source: how far two
            ways of explaining the same model differ. Empty where the score has none.
    """

    sampled: int
    images: int
    left_out: Mapping[str, int]
    runs: float
    cells: int
    seed: int
    fill: str
    noise: MeanOfImages
    noise_overlap: MeanOfImages
    faithfulness: Faithfulness
    shuffled: MeanOfImages | None = None
    gradients: Mapping[str, MeanOfImages] = field(default_factory=dict)

    @property
    def other_maps(self) -> list[tuple[str, MeanOfImages]]:
        """(maps, drift from the source's) of all that the source's own are compared with."""
        shuffled = [] if self.shuffled is None else [("source, shuffled weights", self.shuffled)]
        gradients = [(f"source, {method}", drift) for method, drift in self.gradients.items()]
        return [("source, other masks", self.noise), *shuffled, *gradients]

    @property
    def doubts(self) -> list[str]:
        """Reasons to doubt that these maps are explanations, in words; empty without any."""
        doubts = []
        if not self.faithfulness.shown:
            doubts.append("the images do not show that the maps are ahead of random ones")
        if self.shuffled is not None and self.shuffled.interval.high <= self.noise.interval.low:
            doubts.append("a network with shuffled weights has the same maps")
        return doubts

    @property
    def measured_on(self) -> str:
        """Such as ``30 of 32 sampled evaluation images, 612 runs each; left out: 2 without an object``."""
        text = f"{self.images} of {self.sampled} sampled evaluation images, {self.runs:.0f} runs each"
        others = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
        return f"{text}; left out: {others}" if others else text


@dataclass(frozen=True)
class MovedAttention:
    """One image on which the attention of an artifact was compared with the source's.

    Attributes:
        image: its name in the evaluation set.
        label: the class that is explained, as the source found it.
        correlation: Spearman's rank correlation of the two maps, -1…1.
        overlap: of the tenth of the pixels that matters most to each, intersection over union, 0…1.
        source_score, artifact_score: the explained score by each.
    """

    image: str
    label: str
    correlation: float
    overlap: float
    source_score: float
    artifact_score: float


@dataclass(frozen=True)
class AttentionDrift:
    """How far the attention of an artifact has moved from its source's.

    Attributes:
        drift: 1 minus the rank correlation of the two maps of an image, at most 1; the mean over images.
        overlap: of the tenth of the pixels that matters most to each, intersection over union; likewise.
        faithfulness: of the artifact's maps.
        worst: the images with the largest drift, that first; 20 at most.
    """

    drift: MeanOfImages
    overlap: MeanOfImages
    faithfulness: Faithfulness
    worst: tuple[MovedAttention, ...]


def drift_verdict(drift: MeanOfImages, noise: MeanOfImages) -> str:
    """A drift beside what masks alone change, in words."""
    if drift.interval.low > noise.interval.high:
        return "moved more than other masks would change"
    if drift.interval.high < noise.interval.low:
        return "moved less than other masks would change"
    return "not told apart from what other masks would change"


def attention_reference_from(row: Mapping[str, Any] | None) -> AttentionReference | None:
    """The evidence from a document that `dataclasses.asdict` made."""
    if row is None:
        return None
    shuffled = row["shuffled"]
    means: dict[str, Any] = {name: _mean(row[name]) for name in ("noise", "noise_overlap")}
    means["faithfulness"] = _faithfulness(row["faithfulness"])
    means["shuffled"] = None if shuffled is None else _mean(shuffled)
    means["gradients"] = {name: _mean(one) for name, one in row["gradients"].items()}
    return AttentionReference(**{**row, **means})


def attention_drift_from(row: Mapping[str, Any] | None) -> AttentionDrift | None:
    """The evidence from a document that `dataclasses.asdict` made."""
    if row is None:
        return None
    worst = tuple(MovedAttention(**one) for one in row["worst"])
    means = _mean(row["drift"]), _mean(row["overlap"])
    return AttentionDrift(*means, _faithfulness(row["faithfulness"]), worst)


def _faithfulness(row: Mapping[str, Any]) -> Faithfulness:
    return Faithfulness(_mean(row["insertion"]), _mean(row["deletion"]))


def _mean(row: Mapping[str, Any]) -> MeanOfImages:
    return MeanOfImages(row["value"], Interval(**row["interval"]))
