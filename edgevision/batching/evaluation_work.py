"""Answers for an evaluation as work for an executor: those of `evaluate`, image by image and bit by bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from edgevision.batching.answer_store import AnswerStore
from edgevision.batching.units import running
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError, OptionError, ProcessError
from edgevision.evaluation.evaluator import MeasuringEvaluator
from edgevision.evaluation.open_model import ArtifactRun, OpenModel, RunSettings, open_model
from edgevision.evaluation.run import answers_of_all, without_unusable
from edgevision.executor import Executor, Unit
from edgevision.plugins import registry
from edgevision.tasks.batches import BATCH


class BlockAnswer(NamedTuple):
    """The answers about a block of images, or why there are none.

    Attributes:
        answers: one per image; empty if an image cannot be used.
        unusable: place in the block -> why the image cannot be used.
    """

    answers: Sequence[Any]
    unusable: dict[int, str]


@dataclass(frozen=True)
class EvaluationWork:
    """Answers about blocks of images; see `edgevision.executor.Work`.

    A block is one entry: which images share a batch must not depend on who works on them.

    Attributes:
        path: of the bundle.
        digests: of the bundle and of its artifact: one artifact may be in bundles with other scores.
        on: what of it runs, with backend, device, precision and settings.
        evaluator: of the model.
        none: the set without any image.
        workers: threads that one process works with.
    """

    path: Path
    digests: tuple[str, str]
    on: RunSettings
    evaluator: MeasuringEvaluator
    none: ImageSet
    workers: int

    divisible = False

    @classmethod
    def of(cls, opened: OpenModel, evaluator: MeasuringEvaluator, images: ImageSet) -> EvaluationWork:
        """The work that runs an open bundle elsewhere, with the same choice."""
        run = opened.run
        pinned = RunSettings(run.backend, run.device, run.precision, opened.settings, tune=False)
        none = _alone(images, [])
        return cls(
            Path(run.bundle).absolute(),
            _digests(run),
            pinned,
            evaluator,
            none,
            opened.workers,
        )

    @contextmanager
    def open(self) -> Iterator[Callable[[Unit], Sequence[BlockAnswer]]]:
        """As `Work.open`."""
        with open_model(self.path, self.none, self.on, registry()) as opened:
            found = _digests(opened.run)
            if found != self.digests:
                raise OptionError(
                    f"{self.path}: a worker opened {opened.run.artifact} of a bundle with the digests "
                    f"{' and '.join(found)}, expected {' and '.join(self.digests)}; copy the same bundle to "
                    "this path on every machine, or pass --precision"
                )
            answer = answers_of_all(self.evaluator, [opened.model_for(self.evaluator)])

            def answers(unit: Unit) -> list[BlockAnswer]:
                return [_answered(answer, block) for block in unit]

            yield answers

    def lost(self, entry: ImageSet, reason: str) -> BlockAnswer:
        """As `Work.lost`: metrics without these images would be those of another set."""
        names = ", ".join(entry.image_names[:3])
        raise ProcessError(f"{self.path}: no answer about {names} and {len(entry)} images in all: {reason}")


class MeasuringOn:
    """As `edgevision.evaluation.open_model.Measuring`, on an executor, going on from what a killed run left.

    Args:
        executor: where the model runs.
        workers: how many work at a time; `None` leaves that to the executor.
        folder: where answers are kept meanwhile.

    Attributes:
        reused: images whose answers an earlier run left.
    """

    def __init__(self, executor: Executor, workers: int | None, folder: Path) -> None:
        self.reused = 0
        self._executor = executor
        self._workers = workers
        self._folder = folder
        self._stores: list[AnswerStore] = []
        self._unusable: dict[str, str] = {}

    def answers(
        self,
        opened: OpenModel,
        evaluator: MeasuringEvaluator,
        images: ImageSet,
        on_done: Callable[[int], None],
    ) -> Sequence[Any]:
        """As `Measuring.answers`."""
        opened.model_for(evaluator)  # which tells the evaluator of the network
        work = EvaluationWork.of(opened, evaluator, images)
        run = opened.run
        model = (*work.digests, run.backend, run.device)
        store = AnswerStore(self._folder, model, evaluator.labels)
        self._stores.append(store)
        blocks = list(blocks_of(images, BATCH))
        found = [store.find(block) for block in blocks]
        missing = [place for place, answers in enumerate(found) if answers is None]
        done = len(images) - sum(len(blocks[place]) for place in missing)
        self.reused = max(self.reused, done)  # without an image that cannot be used, blocks are others
        self._unusable = {}
        units = ([blocks[place]] for place in missing)
        try:
            with running(self._executor, work, units, self._workers) as answers_of_units:
                for place, (answer,) in zip(missing, answers_of_units, strict=True):
                    names = blocks[place].image_names
                    self._unusable |= {names[at]: reason for at, reason in answer.unusable.items()}
                    found[place] = answer.answers
                    if not answer.unusable:
                        store.add(blocks[place], answer.answers)
                    done += len(names)
                    on_done(done)
        finally:
            store.flush()
        if self._unusable:
            raise InputError(next(iter(self._unusable.values())))
        return [answer for answers in found if answers is not None for answer in answers]

    def forget(self) -> None:
        """Remove the answers that were kept."""
        for store in self._stores:
            store.remove()

    def readable(self, images: ImageSet) -> ImageSet:
        """As `Measuring.readable`: what the workers could not read."""
        return without_unusable(images, [self._unusable.get(name) for name in images.image_names])


def _digests(run: ArtifactRun) -> tuple[str, str]:
    return run.bundle_digest or "", run.sha256


def blocks_of(images: ImageSet, size: int) -> Iterator[ImageSet]:
    """The images in blocks, in their order, each with no more than what is needed to read its images."""
    for start in range(0, len(images), size):
        yield _alone(images, range(start, min(start + size, len(images))))


def _alone(images: ImageSet, places: Sequence[int]) -> ImageSet:
    return replace(images, left_out=(), copies=(), grouping=None).at(list(places))


def _answered(answer: Callable[[Sequence[Any]], list[Sequence[Any]]], block: ImageSet) -> BlockAnswer:
    examples, unusable = [], {}
    for place, read in enumerate(block.readers()):
        try:
            examples.append(read())
        except InputError as error:
            unusable[place] = str(error)
    if unusable:
        return BlockAnswer((), unusable)
    (answers,) = answer(examples)
    return BlockAnswer(list(answers), {})
