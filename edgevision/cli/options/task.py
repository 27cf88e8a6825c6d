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
        OptionError: ``--task`` is a file that describes no task.
        PluginError: it is the name of none.
    """
    from edgevision.tasks.description import read_generation
    from edgevision.tasks.kind import task_kind

    task, options = arguments["task"], arguments["task_option"]
    if task is not None:
        path = Path(task)
        if path.is_file() or path.suffix or path.name != task:
            return {"generation": read_generation(path), "task_options": options}
        task_kind(task)  # the error for a name that is misspelt
    return {"task": task, "task_options": options}
