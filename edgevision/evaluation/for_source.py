"""The evaluator for a trained model: its task is found in the model, or stated by the caller."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from edgevision.converter import Source
from edgevision.errors import MissingOptionError
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.run import Examples
from edgevision.evaluation.source_model import SourceModel
from edgevision.evaluation.task_evaluation import TaskEvaluation
from edgevision.plugins import Registry
from edgevision.system.missing_options import MissingOptions
from edgevision.tasks.options import TaskOptions
from edgevision.tasks.task_choice import TaskChoice, choose_task


def evaluator_for_source(
    source: Source, options: TaskOptions, examples: Examples, plugins: Registry
) -> Evaluator:
    """The evaluator for artifacts of `source`, on images, or on seeds with `options.generation`.

    Args:
        source: the trained model.
        options: the task, where the model itself does not say.
        examples: the evaluation set.
        plugins: provide decoders.

    Raises:
        OptionError: the task cannot be inferred and is not stated, or the options contradict the model.
        InputError: the ground truth cannot be used.
        SourceError: the model takes something else than an image.
    """
    model = SourceModel(source, options, plugins)
    choice = choose_task(model.facts)
    with _other_tasks_named(choice):
        return _evaluation(choice).for_source(model, examples)


def check_stated(
    source: Source, options: TaskOptions, folders: Sequence[str] | None, plugins: Registry
) -> None:
    """Check that all that a model on images does not say is stated.

    Args:
        source: the trained model.
        options: the caller's statements.
        folders: names of the class folders of the evaluation set; `None` if that is not known yet.
        plugins: provide decoders.

    Raises:
        MissingOptionError: names everything that is missing.
        OptionError: the options contradict the model.
        SourceError: the model takes something else than an image.
    """
    model = SourceModel(source, options, plugins)
    missing = MissingOptions(model.where)
    with missing.collected():
        choice = choose_task(model.facts)
        with _other_tasks_named(choice):
            _evaluation(choice).check_stated(model, folders)
        return
    # The task is not known, so that nothing has asked for the rest.
    unknown = MissingOptions(model.where)
    with unknown.collected():
        model.preprocessing()
    with unknown.collected():
        missing.check()
    unknown.check()


def _evaluation(choice: TaskChoice) -> TaskEvaluation:
    evaluation: TaskEvaluation = choice.kind.evaluation()
    return evaluation


@contextmanager
def _other_tasks_named(choice: TaskChoice) -> Iterator[None]:
    """Add the other tasks that such a network may be of to what a caller is asked."""
    try:
        yield
    except MissingOptionError as error:
        if not choice.others:
            raise
        *others, last = error.questions
        raise MissingOptionError(error.where, *others, f"{last}; {choice.hint}") from None
