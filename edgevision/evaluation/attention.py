"""Attention drift: maps of the source and of its artifacts over a sample of the evaluation images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.datasets.image_sets import ImageSet
from edgevision.decoder import Floats
from edgevision.errors import NothingFoundError, OptionError
from edgevision.evaluation.attention_checks import OtherMaps, gains
from edgevision.evidence.attention import (
    AttentionDrift,
    AttentionReference,
    AttentionSpecification,
    Faithfulness,
    MeanOfImages,
    MovedAttention,
)
from edgevision.explaining.attribution import Attribution
from edgevision.explaining.faithfulness import rank_correlation, top_overlap
from edgevision.explaining.settings import ExplainSettings
from edgevision.imaging.decode import as_frame
from edgevision.imaging.preprocess import Preprocessor
from edgevision.metrics.intervals import (
    Groups,
    Interval,
    interval_of,
    mean_method,
    share_by_image,
    share_mean,
)
from edgevision.tasks.explainable_model import ExplainableModel
from edgevision.tasks.explained_input import ExplainedInput

#: Called after each image, with the number of those that are done.
OnDone = Callable[[int], None]

NOTHING_FOUND = "in which the source finds nothing"
NOISE = "whose map of the source is mostly noise"
_MOST_WORST = 20
#: Images of which a network with shuffled weights makes maps: whether these differ is seen on few.
_MOST_SHUFFLED = 8
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
        gradients: method -> map from the gradients of the source, as `map`.
    """

    place: int
    target: Any
    label: str
    score: float
    samples: int
    map: Floats
    box_xyxy: tuple[float, float, float, float] | None
    preprocess: Preprocessor
    gradients: Mapping[str, Floats]


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
        others: OtherMaps,
        on_done: OnDone,
    ) -> SourceAttention:
        """Make the maps of the source.

        Args:
            specification: how.
            model: the source.
            images: the evaluation set, of which a sample is drawn.
            others: maps of the source by other means.
            on_done: called after each image.

        Raises:
            InputError: an image cannot be read.
            OptionError: no image has a map that says something.
        """
        sample = images.sample(int(specification.images), int(specification.seed))
        maps, checks = list[SourceMap](), list[_Checks]()
        left_out = Counter[str]()
        for place, image in enumerate(sample):
            settings = _settings(specification, place)
            try:
                explained = ExplainedInput.of(model, as_frame(image), None, settings)
            except NothingFoundError:
                left_out[NOTHING_FOUND] += 1
            else:
                found = explained.map(settings)
                if (found.reliability or 0.0) < specification.least_reliability:
                    left_out[NOISE] += 1
                else:
                    maps.append(_source_map(place, explained, found, settings, others))
                    second = _settings(specification, place + len(sample), found.samples)
                    shuffled = others.shuffled if len(maps) <= _MOST_SHUFFLED else None
                    checks.append(_checked(maps[-1], explained, found, (settings, second), shuffled))
            on_done(place + 1)
        if not maps:
            reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
            raise OptionError(
                f"attention drift cannot be measured on the {len(sample)} images of the sample: {reasons}; "
                "raise --attention-runs, or remove --attention and --max-attention-drift"
            )
        groups = _groups(sample, maps)
        evidence = AttentionReference(
            sampled=len(sample),
            images=len(maps),
            left_out=dict(left_out),
            runs=float(np.mean([one.samples for one in maps])),
            cells=int(specification.cells),
            seed=int(specification.seed),
            fill=ExplainSettings.fill,
            noise=_drift([one.noise.correlation for one in checks], groups),
            noise_overlap=_mean([one.noise.overlap for one in checks], groups),
            faithfulness=_faithfulness([one.gains for one in checks], groups),
            shuffled=_drift_of_some([one.shuffled for one in checks], groups),
            gradients={
                name: _drift([rank_correlation(one.map, one.gradients[name]) for one in maps], groups)
                for name in maps[0].gradients
            },
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
        names = self.sample.shown_names
        rows = list[tuple[MovedAttention, MapPair]]()
        ahead = list[tuple[float, float]]()
        for number, (image, source) in enumerate(zip(sample, self.maps, strict=True), 1):
            settings = _settings(self.specification, source.place, source.samples)
            try:
                explained = ExplainedInput.of(model, as_frame(image), source.target, settings)
            except NothingFoundError:  # the artifact does not find this class at all
                found, score, alike = None, 0.0, _Alike(0.0, 0.0)
                ahead.append((0.0, 0.0))
            else:
                attribution = explained.map(settings)
                found, score = attribution.map.astype(np.float32), attribution.score
                alike = _Alike.of(source.map, found)
                ahead.append(gains(explained, attribution, settings))
            scores = source.score, score
            moved = MovedAttention(names[source.place], source.label, *alike, *scores)
            rows.append((moved, MapPair(source, _reduced(found))))
            on_done(number)
        groups = _groups(self.sample, self.maps)
        evidence = AttentionDrift(
            _drift([moved.correlation for moved, _ in rows], groups),
            _mean([moved.overlap for moved, _ in rows], groups),
            _faithfulness(ahead, groups),
            (),
        )
        rows.sort(key=lambda row: row[0].correlation)
        worst = tuple(moved for moved, _ in rows[:_MOST_WORST])
        return replace(evidence, worst=worst), tuple(pair for _, pair in rows)


class _Alike(NamedTuple):
    """How alike two maps of an image are.

    Attributes:
        correlation: of their ranks, -1…1.
        overlap: of the tenth of the pixels that matters most to each, 0…1.
    """

    correlation: float
    overlap: float

    @classmethod
    def of(cls, one: Floats, other: Floats) -> _Alike:
        return cls(round(rank_correlation(one, other), _DIGITS), top_overlap(one, other))


class _Checks(NamedTuple):
    """Checks of the map of one image by the source.

    Attributes:
        noise: likeness to a second map, with other masks.
        gains: by insertion and deletion, over a random map.
        shuffled: rank correlation with the map of the network with shuffled weights; `None` if not made.
    """

    noise: _Alike
    gains: tuple[float, float]
    shuffled: float | None


def _checked(
    source: SourceMap,
    explained: ExplainedInput,
    found: Attribution,
    settings: tuple[ExplainSettings, ExplainSettings],
    shuffled: ExplainableModel[Any] | None,
) -> _Checks:
    """The checks of a map that was made with the first settings; the second are of another one."""
    first, second = settings
    noise = _Alike.of(source.map, explained.map(second).map.astype(np.float32))
    correlation = None
    if shuffled is not None:
        same = replace(first, budget=found.samples, reliability=1.0)
        correlation = _shuffled_correlation(source, explained, same, shuffled)
    return _Checks(noise, gains(explained, found, first), correlation)


def _shuffled_correlation(
    source: SourceMap, explained: ExplainedInput, settings: ExplainSettings, model: ExplainableModel[Any]
) -> float:
    try:
        other = ExplainedInput.of(model, explained.frame, source.target, settings)
    except NothingFoundError:  # it finds nothing
        return 0.0
    return rank_correlation(source.map, other.map(settings).map.astype(np.float32))


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
    place: int, explained: ExplainedInput, found: Attribution, settings: ExplainSettings, others: OtherMaps
) -> SourceMap:
    target = explained.target_of(explained.explanation(found, settings))
    aim = explained.aim
    return SourceMap(
        *(place, target, aim.label, found.score, found.samples, found.map.astype(np.float32)),
        *(aim.box_xyxy, aim.preprocess, others.gradients(explained, int(settings.cells))),
    )


def _reduced(found: Floats | None) -> Floats | None:
    if found is None or max(found.shape) <= _KEPT_SIDE:
        return found
    factor = _KEPT_SIDE / max(found.shape)
    size_wh = max(1, round(found.shape[1] * factor)), max(1, round(found.shape[0] * factor))
    return np.asarray(cv2.resize(found, size_wh, interpolation=cv2.INTER_AREA), np.float32)


def _groups(sample: ImageSet, maps: Sequence[SourceMap]) -> Groups | None:
    return None if sample.groups is None else sample.groups[[one.place for one in maps]]


def _drift(correlations: Sequence[float], groups: Groups | None) -> MeanOfImages:
    return _mean([min(1.0, 1.0 - one) for one in correlations], groups)


def _drift_of_some(correlations: Sequence[float | None], groups: Groups | None) -> MeanOfImages | None:
    """Of the images that have a correlation; `None` if none has."""
    places = [place for place, one in enumerate(correlations) if one is not None]
    some = [one for one in correlations if one is not None]
    return _drift(some, None if groups is None else groups[places]) if some else None


def _mean(values: Sequence[float], groups: Groups | None) -> MeanOfImages:
    shares = np.round(np.clip(values, 0.0, 1.0), _DIGITS)  # two equal maps differ by rounding
    return MeanOfImages(float(shares.mean()), share_by_image(shares, groups=groups))


def _faithfulness(ahead: Sequence[tuple[float, float]], groups: Groups | None) -> Faithfulness:
    return Faithfulness(*(_mean_difference(values, groups) for values in np.array(ahead).T))


def _mean_difference(values: NDArray[np.float64], groups: Groups | None) -> MeanOfImages:
    differences = np.clip(values, -1.0, 1.0)
    mean = share_mean(differences, np.ones(len(differences)), groups, lowest=-1.0)
    interval = interval_of(mean, groups) or Interval(-1.0, 1.0, mean_method(groups))
    return MeanOfImages(float(differences.mean()), interval)
