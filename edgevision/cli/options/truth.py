"""Options that say which images a bundle is measured on, and what is true in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from edgevision.datasets.image_sets import ImageSet

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--annotations",
        type=click.Path(path_type=Path),
        help="Of a detector: objects in the images, as COCO JSON or a folder of VOC XML.",
    ),
    click.option(
        "--truth",
        type=click.Path(path_type=Path),
        help="Of a network that makes images: those that it should make, by the same names.",
    ),
    click.option("--samples", type=click.IntRange(min=1), help="At most so many images. Default: all."),
)


def truth_options(command: CommandT) -> CommandT:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def images_of(data: Path, samples: int | None) -> ImageSet:
    """The images of a folder or zip, `samples` of them at most, of each class its share."""
    images = ImageSet.open(data)
    return images if samples is None else images.sample(samples)
