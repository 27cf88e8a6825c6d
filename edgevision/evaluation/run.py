"""Runs models over the same examples: a source and its artifacts, or the artifact of a bundle."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

from edgevision.backend import SessionSettings
from edgevision.datasets.groups import GroupSource
from edgevision.datasets.image_sets import ImageSet
from edgevision.datasets.seed_sets import SeedSet
from edgevision.errors import InputError, OptionError
from edgevision.evaluation.evaluator import Evaluator
from edgevision.execution.thread_shares import shared_out, turn_on
from edgevision.imaging.blocks import read_block
from edgevision.imaging.find import LeftOut
from edgevision.system.arguments import one_path
from edgevision.system.cores import cores
from edgevision.system.in_order import in_blocks, in_order
from edgevision.tasks.batches import BATCH, TINY, pays

#: An evaluation set or a calibration set.
Examples = ImageSet | SeedSet

#: An image set, as a caller names it.
Images = str | os.PathLike[str] | ImageSet

_Read = Callable[[], Any]


def measure(
    evaluator: Evaluator,
    models: Sequence[Any],
    examples: Examples,
    on_done: Callable[[int], None],
    workers: int = 1,
) -> list[list[Any]]:
    """Run every model over the same examples, a block at a time.

    Images are read on all cores; tiny ones by the calling thread (see `edgevision.imaging.blocks`). Which
    images share a batch depends only on their places in the set, or makes no difference to the network, so
    that any number of workers gives the same answers.

    Args:
        evaluator: the task's evaluator.
        models: results of its `model`.
        examples: one or more.
        on_done: called after each block, with the number of examples done so far.
        workers: blocks that run at once; with one, the calling thread runs them.

    Returns:
        For each model its answers, one per example, in the order of the set.

    Raises:
        InputError: an image cannot be read.
        InferenceError: a runtime failed.
    """
    answer = answers_of_all(evaluator, models)
    if workers > 1 and _are_tiny(models, examples):
        readers = examples.readers()
        read = iter(lambda: read_block(readers), [])
        with in_order(lambda block: [answer(block)], read, workers) as answers:
            return _gather(answers, len(models), on_done)
    blocks = in_blocks(examples.readers(), _block_size(examples))
    if workers > 1:
        with in_order(lambda block: [answer(_read(block))], blocks, workers) as answers:
            return _gather(answers, len(models), on_done)
    with in_order(lambda block: [_read(block)], blocks, cores()) as read:
        return _gather(map(answer, read), len(models), on_done)


def readable(images: ImageSet) -> ImageSet:
    """The images of a set that can be decoded; the others are among its `left_out`. All cores decode."""

    def error_of(block: Iterable[_Read]) -> list[str | None]:
        return [_error_of(read) for read in block]

    with in_order(lambda block: [error_of(block)], in_blocks(images.readers(), BATCH), cores()) as blocks:
        errors = [error for block in blocks for error in block]
    return without_unusable(images, errors)


def without_unusable(images: ImageSet, errors: Sequence[str | None]) -> ImageSet:
    """The images of a set that can be used; the others are among its `left_out`.

    Args:
        images: the set.
        errors: one per image: why it cannot be used; `None` if it can.
    """
    broken = [
        LeftOut(Path(name), f"cannot be used: {error.rpartition(f'{name}: ')[2]}")
        for name, error in zip(images.image_names, errors, strict=True)
        if error is not None
    ]
    kept = images.at([place for place, error in enumerate(errors) if error is None])
    return replace(kept, left_out=(*images.left_out, *broken))


def _error_of(read: _Read) -> str | None:
    try:
        read()
    except InputError as error:
        return str(error)
    return None


def workers_on(examples: Examples, settings: SessionSettings) -> tuple[int, SessionSettings]:
    """The number of workers for these examples, and the settings of their session; as `shared_out`."""
    return shared_out(settings, ceil(len(examples) / _block_size(examples)))


def open_images(images: Images, groups: GroupSource | None = None) -> ImageSet:
    """The image set that a caller named: a folder, a zip of one, or an `ImageSet` as it is.

    Args:
        images: the set.
        groups: which of its images belong together, as for `ImageSet.grouped`; `None` leaves the groups that
            an `ImageSet` has.

    Raises:
        InputError: it cannot be read, has no images, or an image has no group.
        OptionError: `images` or `groups` is something else.
    """
    opened = _opened(images)
    return opened if groups is None else opened.grouped(groups)


def stated_images(images: Images) -> str | Path | ImageSet:
    """`images` with Python's own types, before anything is opened.

    Raises:
        OptionError: it is neither a path nor an `ImageSet`.
    """
    if isinstance(images, ImageSet):
        return images
    if not isinstance(images, (str, os.PathLike)):
        raise OptionError(
            f"expected a folder of images, a zip of one, or an ImageSet, got {type(images).__name__}; "
            f"for arrays use ImageSet.from_arrays"
        )
    # The text may be a word that stands for no path, such as "synthetic".
    return str.__str__(images) if isinstance(images, str) else one_path(images, "images")


def _opened(images: Images) -> ImageSet:
    stated = stated_images(images)
    return stated if isinstance(stated, ImageSet) else ImageSet.open(one_path(stated, "images"))


def _block_size(examples: Examples) -> int:
    """Examples that one worker holds at a time: images that fill a batch, or four batches of seeds."""
    return BATCH if isinstance(examples, ImageSet) else 4 * BATCH


def _are_tiny(models: Sequence[Any], examples: Examples) -> bool:
    """True if the first image is tiny, and all networks run faster on a batch of such images."""
    return (
        isinstance(examples, ImageSet)
        and all(pays(model.session, model.preprocessing.size_wh) for model in models)
        and next(iter(examples)).nbytes <= TINY * 3
    )


def _read(block: Iterable[_Read]) -> list[Any]:
    return [read() for read in block]


def answers_of_all(
    evaluator: Evaluator, models: Sequence[Any]
) -> Callable[[Sequence[Any]], list[Sequence[Any]]]:
    """A function from examples to the answers of each model, for several threads."""
    turns = [turn_on(model.session.device) for model in models]

    def answer(examples: Sequence[Any]) -> list[Sequence[Any]]:
        answers = []
        for model, turn in zip(models, turns, strict=True):
            with turn:
                answers.append(evaluator.answers(model, examples))
        return answers

    return answer


def _gather(
    blocks: Iterable[list[Sequence[Any]]], models: int, on_done: Callable[[int], None]
) -> list[list[Any]]:
    """For each model its answers to all blocks."""
    rows: list[list[Any]] = [[] for _ in range(models)]
    for block in blocks:
        for row, answers in zip(rows, block, strict=True):
            row.extend(answers)
        on_done(len(rows[0]))
    return rows
