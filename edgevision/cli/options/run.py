"""Options that choose the artifact of a bundle, and how a backend runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgevision.backend import SessionSettings
from edgevision.cli.options.completion import complete_backend, complete_precision_of_bundle
from edgevision.cli.options.groups import option
from edgevision.cli.options.values import named_values
from edgevision.errors import OptionError

if TYPE_CHECKING:
    from edgevision.tasks.base import TaskModel

ARTIFACT_OPTIONS = (
    option(
        "--backend",
        metavar="NAME",
        shell_complete=complete_backend,
        help="Run on this backend only, such as tflite.",
    ),
    option("--device", metavar="NAME", help="Run on this device only, such as cpu or cuda:0."),
    option(
        "--precision",
        metavar="NAME",
        shell_complete=complete_precision_of_bundle,
        help="Run the bundle's artifact of this precision, such as int8.",
    ),
)
THREADS_OPTION = option(
    "--threads", metavar="N", type=click.IntRange(min=1), help="CPU threads per inference."
)
BACKEND_OPTION = option(
    "--backend-option",
    "backend_options",
    metavar="NAME=VALUE",
    multiple=True,
    callback=named_values,
    help="Option of the backend's own; VALUE is JSON or a word. Repeatable.",
)
SESSION_OPTIONS = (
    option(
        "--compute-precision",
        metavar="NAME",
        help="Precision in which float operations are computed: float32, float16, bfloat16, or a word of the "
        "backend's own; float32 never runs lower. Default: the artifact's own.",
    ),
    THREADS_OPTION,
    option(
        "--delegate", metavar="LIBRARY", help="Shared library of a TFLite delegate, such as libedgetpu.so.1."
    ),
    BACKEND_OPTION,
)
SELFTEST_OPTION = option(
    "--selftest",
    type=click.Choice(["first-load", "always", "never"]),
    is_flag=False,
    flag_value="always",
    default="first-load",
    show_default=True,
    help="When to check the model on this machine, in a process of its own.",
)
NO_TUNE_OPTION = option(
    "--no-tune",
    is_flag=True,
    help="Run the first artifact that this machine supports, without measuring which is fastest.",
)
NO_GATE_OPTION = option(
    "--no-input-gate",
    is_flag=True,
    help="Answer also what is beyond the limits that edgevision gate set for the bundle.",
)
ABSTENTION_OPTIONS = (
    NO_GATE_OPTION,
    option(
        "--abstain-below-operating-point",
        is_flag=True,
        help="Abstain where the class of interest is below its operating point, instead of saying no.",
    ),
)


def set_abstentions(model: TaskModel, arguments: dict[str, Any]) -> None:
    """Let a model abstain as `ABSTENTION_OPTIONS` say.

    Raises:
        OptionError: it has no operating point.
    """
    if arguments["no_input_gate"]:
        model.input_gate = None
    if arguments["abstain_below_operating_point"]:
        from edgevision.tasks.classify import Classifier

        if not isinstance(model, Classifier) or model.score_calibration.operating_point is None:
            raise OptionError("--abstain-below-operating-point: this model has no operating point; remove it")
        model.abstain_below_operating_point = True


def session_settings_of(arguments: dict[str, Any]) -> SessionSettings:
    """The settings that `SESSION_OPTIONS` stand for, out of a command's arguments.

    Raises:
        OptionError: the delegate is stated twice.
    """
    options = dict(arguments["backend_options"])
    if arguments["delegate"] is not None:
        if "delegate" in options:
            raise OptionError("--backend-option delegate: --delegate states it, too; pass one of them")
        options["delegate"] = arguments["delegate"]
    return SessionSettings(
        precision=arguments["compute_precision"], threads=arguments["threads"], options=options
    )


def tune_of(arguments: dict[str, Any]) -> bool | None:
    """The argument `tune` of `edgevision.load` that `NO_TUNE_OPTION` stands for."""
    return False if arguments.get("no_tune") else None
