"""Options that state the task of a model, and the options of that task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgevision.cli.options.detect import named_settings
from edgevision.cli.options.groups import option

_TASK_OPTION = option(
    "--task-option",
    metavar="NAME=VALUE",
    multiple=True,
    callback=named_settings("values=probabilities"),
    help="Option of the task that --task names; VALUE is JSON, a word, or @FILE. Repeatable.",
)
TASK_OPTIONS = (
    option(
        "--task",
        metavar="NAME",
        help="Task of the model, where it does not say: classify, detect, or that of a plugin.",
    ),
    _TASK_OPTION,
)
SOURCE_TASK_OPTIONS = (
    option(
        "--task",
        metavar="NAME|FILE",
        help="Task of the model, where it does not say: classify, detect, or that of a plugin; or the JSON "
        "description of a model that generates images from a seed; see examples/digits.",
    ),
    _TASK_OPTION,
)


def source_task_of(arguments: dict[str, Any]) -> dict[str, Any]:
    """The fields of `TaskOptions` that `SOURCE_TASK_OPTIONS` stand for.

    Raises:
        OptionError: ``--task`` is neither a task nor a file that describes one.
    """
    from edgevision.tasks.description import read_generation
    from edgevision.tasks.kind import task_kinds

    task = arguments["task"]
    if task is None or (task in task_kinds() and not Path(task).is_file()):
        return {"task": task, "task_options": arguments["task_option"]}
    return {"generation": read_generation(Path(task)), "task_options": arguments["task_option"]}
