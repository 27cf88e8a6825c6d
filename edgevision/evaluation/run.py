"""Runs a source and all artifacts made of it over the same images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from edgevision.artifact import Artifact
from edgevision.backend import Session, SessionSettings
from edgevision.bundle.selftest import Selftest, run_selftest
from edgevision.conversion.plan import Bench, PlannedArtifact
from edgevision.datasets.image_sets import ImageSet
from edgevision.datasets.seed_sets import SeedSet
from edgevision.evaluation.evaluator import TaskProof
from edgevision.evidence.records import Measured
from edgevision.evidence.requirements import Budget
from edgevision.execution.pipeline import in_blocks, in_order, shared_out, turn_on
from edgevision.imaging.blocks import read_block
from edgevision.session import CheckedSession
from edgevision.system.cores import cores
from edgevision.tasks.batches import BATCH, TINY, pays
from edgevision.tasks.score_reading import ScoreReading

#: Known answers: so many images; where there are more classes, one for each, up to the second number.
_KNOWN_ANSWERS = 8, 64
#: Of the images of all known answers together, before they are compressed.
_KNOWN_ANSWERS_BYTES = 8_000_000


#: What artifacts are measured on.
Examples = ImageSet | SeedSet

_Read = Callable[[], Any]


@dataclass(frozen=True)
class Candidate:
    """An artifact that was made, loaded where it is measured.

    Attributes:
        planned: what it was to be.
        artifact: what was made.
        bench, session: where it is measured.
        score_reading: how its scores are to be read, of a classifier, where that was asked for.
    """

    planned: PlannedArtifact
    artifact: Artifact
    bench: Bench
    session: CheckedSession
    score_reading: ScoreReading | None = None


def measure(
    proof: TaskProof,
    models: Sequence[Any],
    examples: Examples,
    tell: Callable[[int], None],
    workers: int = 1,
) -> list[list[Any]]:
    """Run every model over the same examples, a block at a time.

    Images are read on all cores; tiny ones by the calling thread, for which see `edgevision.imaging.blocks`.
    Which images go through a network together depends on their places in the set alone, or is all the same
    to the network, so that any number of workers gives the same answers.

    Args:
        proof: the task's.
        models: what its `model` gave.
        examples: one or more.
        tell: told how many examples are done.
        workers: blocks that go through the models at once; with one, the calling thread runs them.

    Returns:
        For each model its answers, one an example, in the set's order.

    Raises:
        InputError: an image cannot be read.
        InferenceError: a runtime failed.
    """
    look = _look(proof, models)
    if workers > 1 and _are_tiny(models, examples):
        readers = examples.readers()
        read = iter(lambda: read_block(readers), [])
        with in_order(lambda block: [look(block)], read, workers) as found:
            return _gathered(found, len(models), tell)
    blocks = in_blocks(examples.readers(), _block(examples))
    if workers > 1:
        with in_order(lambda block: [look(_read(block))], blocks, workers) as found:
            return _gathered(found, len(models), tell)
    with in_order(lambda block: [_read(block)], blocks, cores()) as read:
        return _gathered(map(look, read), len(models), tell)


def workers_on(examples: Examples, settings: SessionSettings) -> tuple[int, SessionSettings]:
    """How many workers measure on these examples, and with which settings of a session; as `shared_out`."""
    return shared_out(settings, ceil(len(examples) / _block(examples)))


def judge(
    proof: TaskProof,
    candidate: Candidate,
    answers: Sequence[Any],
    source_answers: Sequence[Any],
    budget: Budget,
) -> Measured:
    """Hold one candidate's answers against the source's.

    Args:
        proof: the task's.
        candidate: the artifact.
        answers, source_answers: what `measure` gave.
        budget: what it may lose; what its targets allow is held against it elsewhere.
    """
    planned, session = candidate.planned, candidate.session
    comparison = proof.compare(source_answers, answers)
    demands = budget.demands(comparison, proof.least_agreement[planned.precision])
    return Measured(
        artifact=planned.id,
        sha256=candidate.artifact.sha256,
        size_bytes=candidate.artifact.size_bytes,
        backend=session.backend,
        version=candidate.bench.backend.version(),
        device=session.device,
        precision=session.precision,
        on_target=candidate.bench.on_target,
        comparison=comparison,
        demands=demands,
        float_layers=planned.float_layers,
    )


def known_answers(
    proof: TaskProof,
    source: Session,
    candidates: Sequence[Candidate],
    examples: Examples,
    source_answers: Sequence[Any],
) -> Selftest:
    """What the network is asked for a few of the examples, and what each candidate answers.

    About an image for each class that the set has, 8 at least and 64 at most, or what 8 MB hold.

    Args:
        proof: the task's.
        source: as a session.
        candidates: the artifacts.
        examples: the evaluation set.
        source_answers: what `measure` gave.
    """
    places = proof.telling(source_answers, _count_of_known_answers(proof))
    questions = proof.questions(source, examples, places)
    return Selftest(questions, {one.planned.id: run_selftest(one.session, questions) for one in candidates})


def _count_of_known_answers(proof: TaskProof) -> int:
    least, most = _KNOWN_ANSWERS
    if proof.preprocessing is None:
        return least
    width, height = proof.preprocessing.size_wh
    return max(1, min(max(least, len(proof.labels)), most, _KNOWN_ANSWERS_BYTES // (width * height * 3)))


def _block(examples: Examples) -> int:
    """Examples that one worker holds at a time: images that fill a batch, or four batches of seeds."""
    return BATCH if isinstance(examples, ImageSet) else 4 * BATCH


def _are_tiny(models: Sequence[Any], examples: Examples) -> bool:
    """Whether images are, by the first, and go through all networks faster together."""
    return (
        isinstance(examples, ImageSet)
        and all(pays(model.session, model.preprocessing.size_wh) for model in models)
        and next(iter(examples)).nbytes <= TINY * 3
    )


def _read(block: Iterable[_Read]) -> list[Any]:
    return [read() for read in block]


def _look(proof: TaskProof, models: Sequence[Any]) -> Callable[[Sequence[Any]], list[Sequence[Any]]]:
    """From examples to the answers of each model."""
    turns = [turn_on(model.session.device) for model in models]

    def look(examples: Sequence[Any]) -> list[Sequence[Any]]:
        answers = []
        for model, turn in zip(models, turns, strict=True):
            with turn:
                answers.append(proof.answers(model, examples))
        return answers

    return look


def _gathered(
    found: Iterable[list[Sequence[Any]]], models: int, tell: Callable[[int], None]
) -> list[list[Any]]:
    """For each model its answers, of all blocks."""
    gathered: list[list[Any]] = [[] for _ in range(models)]
    for block in found:
        for row, answers in zip(gathered, block, strict=True):
            row.extend(answers)
        tell(len(gathered[0]))
    return gathered
