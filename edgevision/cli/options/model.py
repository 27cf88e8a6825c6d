"""The model that a command's arguments ask for: a bundle, or a bare file and its options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.backend import SessionSettings
from edgevision.bundle.layout import is_bundle
from edgevision.cli.options.detect import decoder_settings_of
from edgevision.cli.options.image import input_options_of
from edgevision.cli.options.run import tune_of
from edgevision.errors import OptionError
from edgevision.loading.bare import BareModel
from edgevision.loading.load import load

if TYPE_CHECKING:
    from edgevision.tasks.kinds import Model


def load_from_arguments(
    path: Path, arguments: dict[str, Any], settings: SessionSettings, selftest: bool = False
) -> Model:
    """Load a model with the backend, device, precision and options for bare files that were passed.

    Args:
        path: a bundle, or a bare file.
        arguments: the command's arguments.
        settings: threads and other settings of the session.
        selftest: check the bundle's known answers first.

    Raises:
        EdgeVisionError: as `load`, also where options for bare files were passed for a bundle.
    """
    bare = BareModel(
        image=input_options_of(arguments),
        labels=arguments["labels"],
        score_kind=arguments["score_kind"],
        output=arguments["output_name"],
        decoder=arguments["decoder"],
        decoder_settings=decoder_settings_of(arguments),
    )
    return load(
        path,
        arguments["backend"],
        arguments["device"],
        precision=arguments["precision"],
        settings=settings,
        selftest=selftest,
        bare=None if bare == BareModel() else bare,
        tune=tune_of(arguments),
    )


def check_bundle(path: Path) -> None:
    """Refuse a bare model file, for commands that need a bundle's preprocessing and labels.

    Raises:
        OptionError: `path` is a file that is not a bundle.
    """
    if path.is_file() and not is_bundle(path):
        raise OptionError(
            f"{path}: expected a bundle, got a bare model file without preprocessing and labels; "
            "run edgevision convert to get a bundle"
        )
