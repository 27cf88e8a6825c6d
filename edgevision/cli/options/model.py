"""The model that a command's arguments ask for: a bundle, or a bare file and its options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.backend import SessionSettings
from edgevision.bundle.layout import is_bundle
from edgevision.cli.options.detect import DECODER_OPTIONS, decoder_settings_of
from edgevision.cli.options.image import INPUT_OPTIONS, OUTPUT_OPTIONS, input_options_of
from edgevision.cli.options.isolation import isolation_of
from edgevision.cli.options.run import tune_of
from edgevision.cli.options.task import TASK_OPTIONS
from edgevision.errors import OptionError
from edgevision.health import HealthChecks
from edgevision.loading.bare import BareModel
from edgevision.loading.load import load

if TYPE_CHECKING:
    from edgevision.tasks.model_types import Model


#: Options that describe a bare file, the same in every command, under this heading.
BARE_HEADING = "Bare model files (a bundle defines these itself)"
BARE_OPTIONS = (*INPUT_OPTIONS, *OUTPUT_OPTIONS, *DECODER_OPTIONS, *TASK_OPTIONS)


def load_from_arguments(path: Path, arguments: dict[str, Any], settings: SessionSettings) -> Model:
    """Load a model with the backend, device, precision and options for bare files that were passed.

    Args:
        path: a bundle, or a bare file.
        arguments: the command's arguments.
        settings: threads and other settings of the session.

    Raises:
        EdgeVisionError: as `load`, also where options for bare files were passed for a bundle.
    """
    return load(
        path,
        arguments["backend"],
        arguments["device"],
        precision=arguments["precision"],
        settings=settings,
        selftest=arguments["selftest"],
        bare=bare_of(arguments),
        tune=tune_of(arguments),
        **isolation_of(arguments),
        health_every_s=_health_checks_of(arguments),
        fallback=arguments.get("fallback", ()),
    )


def _health_checks_of(arguments: dict[str, Any]) -> HealthChecks | None:
    """The schedule that a command's arguments ask for, if it has such options."""
    every_s = arguments.get("health_every_s")
    if every_s:
        return HealthChecks(every_s, return_after=arguments["return_after"])
    for name in ("fallback", "return_after"):
        if arguments.get(name):
            stated = name.replace("_", "-")
            raise OptionError(f"--{stated}: requires checks of the model's health; remove --health-every-s 0")
    return None


def bare_of(arguments: dict[str, Any]) -> BareModel | None:
    """The description of a bare file that `BARE_OPTIONS` stand for; `None` where none was passed."""
    bare = BareModel(
        image=input_options_of(arguments),
        labels=arguments["labels"],
        score_kind=arguments["score_kind"],
        output=arguments["output_name"],
        decoder=arguments["decoder"],
        decoder_settings=decoder_settings_of(arguments),
        task=arguments["task"],
        task_options=arguments["task_option"],
    )
    return None if bare == BareModel() else bare


def check_bundle(path: Path) -> None:
    """Refuse a bare model file, for commands that need what only a bundle describes.

    Raises:
        OptionError: `path` is a file that is not a bundle.
    """
    if path.is_file() and not is_bundle(path):
        raise OptionError(
            f"{path}: expected a bundle, got a bare model file without preprocessing and labels; "
            "run edgevision convert to get a bundle"
        )
