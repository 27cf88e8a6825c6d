"""Runs a source and all artifacts made of it over the same images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import ceil
from typing import Any

from edgevision.backend import SessionSettings
from edgevision.datasets.image_sets import ImageSet
from edgevision.datasets.seed_sets import SeedSet
from edgevision.evaluation.evaluator import Evaluator
from edgevision.execution.pipeline import in_blocks, in_order, shared_out, turn_on
from edgevision.imaging.blocks import read_block
from edgevision.system.cores import cores
from edgevision.tasks.batches import BATCH, TINY, pays

#: What artifacts are measured on.
Examples = ImageSet | SeedSet

_Read = Callable[[], Any]


def measure(
    evaluator: Evaluator,
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
        evaluator: the task's.
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
    look = _look(evaluator, models)
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


def _look(evaluator: Evaluator, models: Sequence[Any]) -> Callable[[Sequence[Any]], list[Sequence[Any]]]:
    """From examples to the answers of each model."""
    turns = [turn_on(model.session.device) for model in models]

    def look(examples: Sequence[Any]) -> list[Sequence[Any]]:
        answers = []
        for model, turn in zip(models, turns, strict=True):
            with turn:
                answers.append(evaluator.answers(model, examples))
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
