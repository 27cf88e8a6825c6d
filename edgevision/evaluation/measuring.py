"""Runs a source and all artifacts made of it over the same images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from edgevision.artifact import Artifact
from edgevision.evaluation.evidence import Measured
from edgevision.evaluation.image_sets import ImageSet
from edgevision.evaluation.proof import TaskProof
from edgevision.images import as_image
from edgevision.plan import Bench, PlannedArtifact
from edgevision.selftest import Selftest, run_selftest
from edgevision.session import CheckedSession
from edgevision.tensors import Array

#: Images that are decoded at a time: what bounds the memory, however large a set is.
BLOCK = 64

#: Known answers: so many images; where there are more classes, one for each, up to the second number.
_KNOWN_ANSWERS = 8, 64
#: Of the images of all known answers together, before they are compressed.
_KNOWN_ANSWERS_BYTES = 8_000_000


@dataclass(frozen=True)
class Candidate:
    """An artifact that was made, loaded where it is measured."""

    planned: PlannedArtifact
    artifact: Artifact
    bench: Bench
    session: CheckedSession


def measure(
    proof: TaskProof, models: Sequence[Any], images: ImageSet, tell: Callable[[int], None]
) -> list[list[Any]]:
    """Run every model over the same images, a block at a time.

    Args:
        proof: the task's.
        models: what its `model` gave.
        images: one or more.
        tell: told how many images are done.

    Returns:
        For each model its answers, one an image, in the set's order.

    Raises:
        InputError: an image cannot be read.
        InferenceError: a runtime failed.
    """
    answers: list[list[Any]] = [[] for _ in models]
    done = 0
    for block in _blocks(images):
        for row, model in zip(answers, models, strict=True):
            row.extend(proof.answers(model, block))
        done += len(block)
        tell(done)
    return answers


def judge(
    proof: TaskProof,
    candidate: Candidate,
    answers: Sequence[Any],
    source_answers: Sequence[Any],
    min_agreement: float | None,
) -> Measured:
    """Hold one candidate's answers against the source's.

    Args:
        proof: the task's.
        candidate: the artifact.
        answers, source_answers: what `measure` gave.
        min_agreement: what is demanded; `None` is what suits the artifact's precision.
    """
    planned, session = candidate.planned, candidate.session
    return Measured(
        artifact=planned.id,
        sha256=candidate.artifact.sha256,
        size_bytes=candidate.artifact.size_bytes,
        backend=session.backend,
        version=candidate.bench.backend.version(),
        device=session.device,
        precision=session.precision,
        on_target=candidate.bench.on_target,
        comparison=proof.compare(source_answers, answers),
        min_agreement=proof.least_agreement[planned.precision] if min_agreement is None else min_agreement,
    )


def known_answers(
    proof: TaskProof, candidates: Sequence[Candidate], images: ImageSet, source_answers: Sequence[Any]
) -> Selftest:
    """A few of the images, at the network's own size, and what each candidate gives for them.

    An image for each class that the set has, 8 at least and 64 at most, or what 8 MB hold.
    """
    preprocessing = proof.preprocessing
    chosen = set(proof.telling(source_answers, _count_of_known_answers(proof)))
    sized = np.stack(
        [preprocessing.resized(as_image(image)) for place, image in enumerate(images) if place in chosen]
    )
    outputs = {one.planned.id: run_selftest(one.session, preprocessing, sized) for one in candidates}
    return Selftest(sized, outputs)


def _count_of_known_answers(proof: TaskProof) -> int:
    least, most = _KNOWN_ANSWERS
    width, height = proof.preprocessing.size_wh
    return max(1, min(max(least, len(proof.labels)), most, _KNOWN_ANSWERS_BYTES // (width * height * 3)))


def _blocks(images: Iterable[Array]) -> Iterator[list[Array]]:
    iterator = iter(images)
    while block := list(islice(iterator, BLOCK)):
        yield block
