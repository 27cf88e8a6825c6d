"""Attention drift: maps of the source and of its artifacts over a sample of the evaluation images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.datasets.image_sets import ImageSet
from edgevision.decoder import Floats
from edgevision.errors import OptionError
from edgevision.evidence.attention import (
    AttentionDrift,
    AttentionReference,
    AttentionSpecification,
    MeanOfImages,
    MovedAttention,
)
from edgevision.explaining.attribution import Attribution
from edgevision.explaining.faithfulness import rank_correlation, top_overlap
from edgevision.explaining.settings import ExplainSettings
from edgevision.imaging.decode import as_frame
from edgevision.imaging.preprocess import Preprocessor
from edgevision.metrics.intervals import Groups, share_by_image
from edgevision.tasks.explainable_model import ExplainableModel
from edgevision.tasks.explained_input import ExplainedInput

#: Called after each image, with the number of those that are done.
OnDone = Callable[[int], None]

NOTHING_FOUND = "in which the source finds nothing"
NOISE = "whose map of the source is mostly noise"
_MOST_WORST = 20
#: Pixels of the longer side of maps that are kept for pictures.
_KEPT_SIDE = 64
_DIGITS = 6


@dataclass(frozen=True, eq=False)
class SourceMap:
    """The map of one image by the source.

    Attributes:
        place: of the image in the sample.
        target: the class or object that is explained.
        label: of its class.
        score: of the whole image.
        samples: number of masks.
        map: float32 (h, w), over the part of the network's input that the image covers.
        box_xyxy: of an object, in pixels of the image.
        preprocess: says which part of the image that is.
    """

    place: int
    target: Any
    label: str
    score: float
    samples: int
    map: Floats
    box_xyxy: tuple[float, float, float, float] | None
    preprocess: Preprocessor


@dataclass(frozen=True, eq=False)
class MapPair:
    """An image with its map by the source and by an artifact.

    Attributes:
        source: of the source.
        artifact: float32 (h, w), as `SourceMap.map`, reduced for a picture; `None` where the artifact does
            not find the class.
    """

    source: SourceMap
    artifact: Floats | None


@dataclass(frozen=True, eq=False)
class SourceAttention:
    """The maps of a source, which those of artifacts are compared with.

    Attributes:
        specification: how they are made.
        sample: the images that were drawn.
        maps: of those images whose map says something.
        evidence: what they are worth.
    """

    specification: AttentionSpecification
    sample: ImageSet
    maps: tuple[SourceMap, ...]
    evidence: AttentionReference

    @classmethod
    def measure(
        cls,
        specification: AttentionSpecification,
        model: ExplainableModel[Any],
        images: ImageSet,
        on_done: OnDone,
    ) -> SourceAttention:
        """Make the maps of the source.

        Args:
            specification: how.
            model: the source.
            images: the evaluation set, of which a sample is drawn.
            on_done: called after each image.

        Raises:
            InputError: an image cannot be read.
            OptionError: no image has a map that says something.
        """
        sample = images.sample(int(specification.images), int(specification.seed))
        maps, others = list[SourceMap](), list[Floats]()
        left_out = Counter[str]()
        for place, image in enumerate(sample):
            settings = _settings(specification, place)
            try:
                explained = ExplainedInput.of(model, as_frame(image), None, settings)
            except OptionError:
                left_out[NOTHING_FOUND] += 1
            else:
                found = explained.map(settings)
                if (found.reliability or 0.0) < specification.least_reliability:
                    left_out[NOISE] += 1
                else:
                    maps.append(_source_map(place, explained, found, settings))
                    other = _settings(specification, place + len(sample), found.samples)
                    others.append(explained.map(other).map.astype(np.float32))
            on_done(place + 1)
        if not maps:
            reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
            raise OptionError(
                f"attention drift cannot be measured on the {len(sample)} images of the sample: {reasons}; "
                "raise the budget of the maps, or leave out --attention and --max-attention-drift"
            )
        pairs = [(one.map, other) for one, other in zip(maps, others, strict=True)]
        correlations, overlaps = _alike(pairs)
        groups = _groups(sample, maps)
        evidence = AttentionReference(
            sampled=len(sample),
            images=len(maps),
            left_out=dict(left_out),
            runs=float(np.mean([one.samples for one in maps])),
            cells=int(specification.cells),
            seed=int(specification.seed),
            fill=ExplainSettings.fill,
            noise=_drift(correlations, groups),
            noise_overlap=_mean(overlaps, groups),
        )
        return cls(specification, sample, tuple(maps), evidence)

    def drift(
        self, model: ExplainableModel[Any], on_done: OnDone
    ) -> tuple[AttentionDrift, tuple[MapPair, ...]]:
        """Make the maps of an artifact with the same masks, and compare them.

        Args:
            model: the artifact.
            on_done: called after each image.

        Returns:
            The drift, and the maps, largest drift first.

        Raises:
            InputError: an image can no longer be read.
            InferenceError: a runtime failed.
        """
        sample = self.sample.at([one.place for one in self.maps])
        pairs, scores = list[tuple[Floats, Floats | None]](), list[float]()
        for number, (image, source) in enumerate(zip(sample, self.maps, strict=True), 1):
            settings = _settings(self.specification, source.place, source.samples)
            try:
                explained = ExplainedInput.of(model, as_frame(image), source.target, settings)
            except OptionError:  # the artifact does not find this class at all
                pairs.append((source.map, None))
                scores.append(0.0)
            else:
                found = explained.map(settings)
                pairs.append((source.map, found.map.astype(np.float32)))
                scores.append(found.score)
            on_done(number)
        correlations, overlaps = _alike(pairs)
        groups = _groups(self.sample, self.maps)
        worst = np.argsort(correlations, kind="stable")
        names = self.sample.shown_names
        rows = tuple(
            MovedAttention(
                names[self.maps[place].place],
                self.maps[place].label,
                float(correlations[place]),
                float(overlaps[place]),
                self.maps[place].score,
                scores[place],
            )
            for place in worst[:_MOST_WORST]
        )
        kept = tuple(MapPair(self.maps[place], _reduced(pairs[place][1])) for place in worst)
        return AttentionDrift(_drift(correlations, groups), _mean(overlaps, groups), rows), kept


def _settings(
    specification: AttentionSpecification, number: int, samples: int | None = None
) -> ExplainSettings:
    """Of an image: each has masks of its own, and with `samples` as many as another map of it."""
    return ExplainSettings(
        budget=specification.budget if samples is None else samples,
        seed=int(specification.seed) + number,
        cells=specification.cells,
        reliability=specification.reliability if samples is None else 1.0,
    )


def _source_map(
    place: int, explained: ExplainedInput, found: Attribution, settings: ExplainSettings
) -> SourceMap:
    target = explained.target_of(explained.explanation(found, settings))
    aim = explained.aim
    return SourceMap(
        *(place, target, aim.label, found.score, found.samples, found.map.astype(np.float32)),
        *(aim.box_xyxy, aim.preprocess),
    )


def _reduced(found: Floats | None) -> Floats | None:
    if found is None or max(found.shape) <= _KEPT_SIDE:
        return found
    factor = _KEPT_SIDE / max(found.shape)
    size_wh = max(1, round(found.shape[1] * factor)), max(1, round(found.shape[0] * factor))
    return np.asarray(cv2.resize(found, size_wh, interpolation=cv2.INTER_AREA), np.float32)


def _alike(
    pairs: Sequence[tuple[Floats, Floats | None]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rank correlation and overlap of each pair of maps; both 0 where there is no second one."""
    correlations = [0.0 if other is None else rank_correlation(one, other) for one, other in pairs]
    overlaps = [0.0 if other is None else top_overlap(one, other) for one, other in pairs]
    return np.array(correlations), np.array(overlaps)


def _groups(sample: ImageSet, maps: Sequence[SourceMap]) -> Groups | None:
    return None if sample.groups is None else sample.groups[[one.place for one in maps]]


def _drift(correlations: NDArray[np.float64], groups: Groups | None) -> MeanOfImages:
    drifts = np.clip(1.0 - correlations, 0.0, 1.0)
    return _mean(np.round(drifts, _DIGITS), groups)  # two equal maps differ by rounding


def _mean(values: NDArray[np.float64], groups: Groups | None) -> MeanOfImages:
    return MeanOfImages(float(values.mean()), share_by_image(values, groups=groups))
