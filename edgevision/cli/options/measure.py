"""Options of commands that measure bundles: images, their ground truth, and the artifact that runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevision.cli.options.groups import option
from edgevision.cli.options.model import bare_of
from edgevision.cli.options.path import PATH
from edgevision.cli.options.run import session_settings_of, tune_of
from edgevision.errors import OptionError

if TYPE_CHECKING:  # `convert` has some of these options, and evaluates no bundle
    from edgevision.datasets.image_sets import ImageSet
    from edgevision.evaluation.open_model import RunSettings
    from edgevision.evaluation.run import Images

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
GROUPS_OPTION = option(
    "--groups",
    metavar="SPEC",
    help="Images that belong together (patient, video, site): folder:LEVEL, such as folder:1; "
    "pattern:PATTERN, such as pattern:{group}_*; file; or a CSV file with the columns image,group.",
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


def sampled_images(data: Path, samples: int | None, groups: str | None = None) -> ImageSet:
    """The images of a folder or zip, at most `samples` of them, with the classes in proportion."""
    from edgevision.datasets.image_sets import ImageSet

    images = ImageSet.open(data, groups)
    return images if samples is None else images.sample(samples)


def calibration_images(data: str | None, groups: str | None) -> Images | None:
    """The calibration images as they were named, with their groups if these were stated apart.

    Raises:
        OptionError: there are groups, but no images of the caller's.
        InputError: the set cannot be read, or an image has no group.
    """
    if groups is None:
        return data
    from edgevision.calibration.synthetic import SYNTHETIC
    from edgevision.datasets.image_sets import ImageSet

    if data is None or data == SYNTHETIC:
        raise OptionError(
            f"--calibration-groups {groups}: there are no calibration images of yours; pass "
            "--calibration FOLDER, or remove it"
        )
    return ImageSet.open(data, groups)
