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
    with _other_tasks_named(choice, model):
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
        model.preprocessing()
    choice = None
    with missing.collected():
        choice = choose_task(model.facts)
    if choice is None:  # what its task would ask is not known either
        return missing.check()
    with _other_tasks_named(choice, model):
        _evaluation(choice).check_stated(model, folders)
    return None


def _evaluation(choice: TaskChoice) -> TaskEvaluation:
    evaluation: TaskEvaluation = choice.kind.evaluation()
    return evaluation


@contextmanager
def _other_tasks_named(choice: TaskChoice, model: SourceModel) -> Iterator[None]:
    """Add the other tasks that such a network may be of to what a caller is asked of the task."""
    try:
        yield
    except MissingOptionError as error:
        of_input = _questions_of_input(model)
        of_task = [question for question in error.questions if question not in of_input]
        hint = choice.hint(model.facts) if of_task else ""
        if not hint:
            raise
        hinted = {of_task[-1]: f"{of_task[-1]}; {hint}"}
        questions = (hinted.get(question, question) for question in error.questions)
        raise MissingOptionError(error.where, *questions) from None


def _questions_of_input(model: SourceModel) -> tuple[str, ...]:
    try:
        model.preprocessing()
    except MissingOptionError as error:
        return error.questions
    return ()
