"""Options of commands that measure bundles: images, their ground truth, and the artifact that runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevision.cli.options.groups import option
from edgevision.cli.options.model import bare_of
from edgevision.cli.options.path import PATH
from edgevision.cli.options.run import session_settings_of, tune_of

if TYPE_CHECKING:  # `convert` has some of these options, and evaluates no bundle
    from edgevision.datasets.image_sets import ImageSet
    from edgevision.evaluation.open_model import RunSettings

GROUND_TRUTH_OPTIONS = (
    option(
        "--annotations",
        type=PATH,
        help="Ground-truth boxes for a detector: a COCO JSON file or a folder of Pascal VOC XML.",
    ),
    option(
        "--truth",
        type=PATH,
        help="Ground-truth images for an image-to-image model: a folder or zip with the same file names.",
    ),
)
SAMPLES_OPTION = option(
    "--samples",
    metavar="N",
    type=click.IntRange(min=1),
    help="Maximum number of images to use. Default: all.",
)


def run_settings_of(arguments: dict[str, Any]) -> RunSettings:
    """Which artifact runs, and how, out of a command's arguments."""
    from edgevision.evaluation.open_model import RunSettings

    return RunSettings(
        arguments["backend"],
        arguments["device"],
        arguments["precision"],
        session_settings_of(arguments),
        tune_of(arguments),
        bare_of(arguments),
    )


def sampled_images(data: Path, samples: int | None) -> ImageSet:
    """The images of a folder or zip, at most `samples` of them, with the classes in proportion."""
    from edgevision.datasets.image_sets import ImageSet

    images = ImageSet.open(data)
    return images if samples is None else images.sample(samples)
