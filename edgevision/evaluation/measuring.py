"""Runs a source and all artifacts made of it over the same images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from edgevision.artifact import Artifact
from edgevision.evaluation.comparison import Decisions, compare_scores
from edgevision.evaluation.evidence import LEAST_AGREEMENT, Measured
from edgevision.evaluation.image_sets import ImageSet
from edgevision.images import as_image
from edgevision.plan import Bench, PlannedArtifact
from edgevision.selftest import Selftest, choose_images
from edgevision.tasks.classify import Classifier, Scores
from edgevision.tensors import Array

#: Images that are decoded at a time: what bounds the memory, however large a set is.
BLOCK = 64


@dataclass(frozen=True)
class Candidate:
    """An artifact that was made, loaded where it is measured."""

    planned: PlannedArtifact
    artifact: Artifact
    bench: Bench
    model: Classifier


@dataclass(frozen=True)
class Measurement:
    """The scores of the source and of every candidate, a row an image, in the set's order.

    Attributes:
        source: the source's scores.
        candidates: artifact id -> its scores.
    """

    source: Scores
    candidates: Mapping[str, Scores]


def measure(
    source: Classifier, candidates: Sequence[Candidate], images: ImageSet, tell: Callable[[int], None]
) -> Measurement:
    """Run the source and every candidate over the same images, a block at a time.

    Args:
        source: the source itself.
        candidates: artifacts made of it.
        images: one or more.
        tell: told how many images are done.

    Raises:
        InputError: an image cannot be read.
        InferenceError: a runtime failed.
    """
    models = [source, *(candidate.model for candidate in candidates)]
    rows: list[list[Scores]] = [[] for _ in models]
    done = 0
    for block in _blocks(images):
        for parts, model in zip(rows, models, strict=True):
            parts.append(model.scores(block))
        done += len(block)
        tell(done)
    scores = [np.concatenate(parts) for parts in rows]
    ids = (candidate.planned.id for candidate in candidates)
    return Measurement(scores[0], dict(zip(ids, scores[1:], strict=True)))


def judge(
    candidate: Candidate, measurement: Measurement, labels: Decisions | None, min_agreement: float | None
) -> Measured:
    """Hold one candidate's scores against the source's.

    Args:
        candidate: the artifact.
        measurement: what was measured.
        labels: int64 ``(images,)``, the class of each image, where known.
        min_agreement: what is demanded; `None` is what suits the artifact's precision.
    """
    planned, session = candidate.planned, candidate.model.session
    multi_label = candidate.model.multi_label
    return Measured(
        artifact=planned.id,
        sha256=candidate.artifact.sha256,
        size_bytes=candidate.artifact.size_bytes,
        backend=session.backend,
        version=candidate.bench.backend.version(),
        device=session.device,
        precision=session.precision,
        on_target=candidate.bench.on_target,
        comparison=compare_scores(
            measurement.source, measurement.candidates[planned.id], labels, multi_label
        ),
        min_agreement=LEAST_AGREEMENT[planned.precision] if min_agreement is None else min_agreement,
    )


def known_answers(candidates: Sequence[Candidate], images: ImageSet, measurement: Measurement) -> Selftest:
    """A few of the images, at the network's own size, and what each candidate answers to them."""
    chosen = set(choose_images(measurement.source))
    preprocessing = candidates[0].model.preprocessing
    sized = np.stack(
        [preprocessing.resized(as_image(image)) for n, image in enumerate(images) if n in chosen]
    )
    return Selftest(sized, {candidate.planned.id: candidate.model.scores(sized) for candidate in candidates})


def _blocks(images: Iterable[Array]) -> Iterator[list[Array]]:
    iterator = iter(images)
    while block := list(islice(iterator, BLOCK)):
        yield block
