"""A model as a command's arguments ask for it: a bundle, or a bare file with what it does not say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.backend import SessionSettings
from edgevision.bundle.layout import is_bundle
from edgevision.cli.options.detect import given_settings
from edgevision.cli.options.image import input_options
from edgevision.cli.options.tune import asked_tune
from edgevision.errors import OptionError
from edgevision.imaging.input_options import InputOptions
from edgevision.loading.bare import BareModel
from edgevision.loading.load import load
from edgevision.tasks.labels import read_labels

if TYPE_CHECKING:
    from edgevision.tasks.kinds import Model


def load_as_asked(
    path: Path, given: dict[str, Any], settings: SessionSettings, selftest: bool = False
) -> Model:
    """Load with the backend, device, precision and options for bare files that were given.

    Args:
        path: a bundle, or a bare file.
        given: the command's arguments.
        settings: threads, and what else the command lets its caller say of the session.
        selftest: check the bundle's known answers first.

    Raises:
        OptionError: options for bare files are given for a bundle.
        EdgeVisionError: as `load`.
    """
    labels = given["labels"]
    bare = BareModel(
        image=input_options(given),
        labels=None if labels is None else read_labels(labels),
        score_kind=given["score_kind"],
        output=given["output_name"],
        decoder=given["decoder"],
        decoder_settings=given_settings(given),
    )
    is_bare = not is_bundle(path)
    if not is_bare and bare != BareModel(InputOptions()):
        raise OptionError(
            f"{path}: a bundle says itself what its input takes; leave out the options for bare files"
        )
    return load(
        path,
        given["backend"],
        given["device"],
        precision=given["precision"],
        settings=settings,
        selftest=selftest,
        bare=bare if is_bare else None,
        tune=asked_tune(given),
    )
