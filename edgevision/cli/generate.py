"""``edgevision generate``: images from images, or from a seed."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from edgevision.cli.options.completion import complete_label_of_bundle
from edgevision.cli.options.groups import GroupedCommand, option, under
from edgevision.cli.options.model import check_bundle
from edgevision.cli.options.path import PATH
from edgevision.cli.options.run import ARTIFACT_OPTIONS, NO_TUNE_OPTION, SELFTEST_OPTION, tune_of
from edgevision.cli.options.verbosity import verbosity_options
from edgevision.cli.output.left_out import echo_left_out
from edgevision.cli.output.terminal import progress_on
from edgevision.errors import OptionError
from edgevision.imaging.find import find
from edgevision.imaging.write import check_suffix, write_image
from edgevision.loading.load import load
from edgevision.system.files import make_folder
from edgevision.tasks.base import TaskModel
from edgevision.tasks.generation.diffusion import DiffusionGenerator
from edgevision.tasks.generation.image_to_image import ImageToImage
from edgevision.tasks.generation.images import GeneratedImages
from edgevision.tasks.generation.latent import LatentGenerator
from edgevision.tasks.generation_settings import SAMPLERS


@click.command("generate", cls=GroupedCommand)
@click.argument("bundle", type=PATH)
@under(
    "Image-to-image models",
    option(
        "--input",
        "inputs",
        type=PATH,
        multiple=True,
        help="Image or folder of images. Repeatable.",
    ),
    option(
        "--ensemble", is_flag=True, help="Average the outputs for rotated and mirrored copies of the input."
    ),
)
@under(
    "Models that generate images from a seed",
    option(
        "--seed",
        metavar="N",
        type=click.IntRange(min=0),
        help="Seed of the first image. Default: drawn at random.",
    ),
    option(
        "--count", metavar="N", type=click.IntRange(min=1), help="Number of images to generate. Default: 1."
    ),
    option(
        "--condition",
        metavar="CLASS",
        shell_complete=complete_label_of_bundle,
        help="Label or number of the class to generate.",
    ),
    option(
        "--steps", metavar="N", type=click.IntRange(min=1), help="Diffusion steps. Default: the bundle's."
    ),
    option(
        "--sampler", metavar="NAME", help=f"Diffusion sampler: {', '.join(SAMPLERS)}. Default: the bundle's."
    ),
    option(
        "--guidance", metavar="X", type=float, help="Scale of classifier-free guidance; 1 means no guidance."
    ),
)
@under("Model to run", *ARTIFACT_OPTIONS, NO_TUNE_OPTION, SELFTEST_OPTION)
@under(
    "Output",
    option(
        "-o",
        "--output",
        type=PATH,
        required=True,
        metavar="DIR",
        help="Folder for the PNG files.",
    ),
    option("--grid", type=PATH, help="Image file for a contact sheet of all images."),
    option("--json", "as_json", is_flag=True, help="Print one JSON object per image and line."),
)
@verbosity_options
def command(bundle: Path, inputs: tuple[Path, ...], output: Path, as_json: bool, **arguments: Any) -> None:
    """Generate images with BUNDLE, and write them to a folder as PNG."""
    check_bundle(bundle)
    if arguments["grid"] is not None:
        check_suffix(arguments["grid"])
    make_folder(output)
    with load(
        bundle,
        arguments["backend"],
        arguments["device"],
        precision=arguments["precision"],
        selftest=arguments["selftest"],
        tune=tune_of(arguments),
    ) as model:
        if isinstance(model, ImageToImage):
            unused = ("seed", "count", "steps", "sampler", "condition", "guidance")
            _check_unused(arguments, unused, "an image")
            images = _from_images(model, inputs, output, arguments["ensemble"], as_json)
        elif isinstance(model, (LatentGenerator, DiffusionGenerator)):
            images = [_from_seeds(model, inputs, output, arguments, as_json)]
        else:
            raise OptionError(
                f"{bundle}: this model does not generate images; run edgevision predict {bundle} IMAGE"
            )
    if arguments["grid"] is not None:
        _write_grid(images, arguments["grid"])


def _from_images(
    model: ImageToImage, inputs: tuple[Path, ...], output: Path, ensemble: bool, as_json: bool
) -> list[GeneratedImages]:
    if not inputs:
        raise OptionError("this model generates an image from an image; pass --input IMAGE")
    images = []
    found = find(inputs)
    for place, file in enumerate(found.images):
        images.append(model(file.read(), ensemble=ensemble))
        (saved,) = images[-1].save(output, f"{file.path.stem}-{place:04d}")
        _echo({"input": file.name, "image": str(saved), **_digest(model), **images[-1].settings}, as_json)
    if as_json:
        for path, reason in found.left_out:
            _echo({"input": str(path), "left_out": reason}, as_json)
    echo_left_out(found.left_out)
    return images


def _from_seeds(
    model: LatentGenerator | DiffusionGenerator,
    inputs: tuple[Path, ...],
    output: Path,
    arguments: dict[str, Any],
    as_json: bool,
) -> GeneratedImages:
    if inputs:
        raise OptionError("this model generates images from a seed; remove --input")
    count, condition = arguments["count"] or 1, arguments["condition"]
    if isinstance(model, LatentGenerator):
        _check_unused(arguments, ("steps", "sampler", "guidance", "ensemble"), "a vector")
        images = model.sample(count, arguments["seed"], condition)
    else:
        _check_unused(arguments, ("ensemble",), "noise")
        with progress_on(sys.stderr) as progress:
            images = model.sample(
                count,
                arguments["seed"],
                condition,
                steps=arguments["steps"],
                guidance=arguments["guidance"],
                sampler=arguments["sampler"],
                progress=None if progress is None else partial(progress, "generating"),
            )
    for seed, saved in zip(images.seeds, images.save(output), strict=True):
        _echo({"seed": seed, "image": str(saved), **_digest(model), **images.settings}, as_json)
    return images


def _check_unused(arguments: dict[str, Any], names: tuple[str, ...], origin: str) -> None:
    for name in names:
        # A flag that was not passed is False; 0 is a valid seed and guidance.
        if arguments[name] is not None and arguments[name] is not False:
            raise OptionError(
                f"--{name}: not supported by a model that generates images from {origin}; remove it"
            )


def _digest(model: TaskModel) -> dict[str, str]:
    return {} if model.bundle_digest is None else {"bundle_digest": model.bundle_digest}


def _echo(facts: dict[str, Any], as_json: bool) -> None:
    click.echo(json.dumps(facts) if as_json else facts["image"])


def _write_grid(results: list[GeneratedImages], path: Path) -> None:
    sizes = {result.images.shape[1:] for result in results}
    if len(sizes) > 1:
        raise OptionError(
            f"--grid {path}: the images differ in size; a contact sheet needs images of one size"
        )
    images = [image for result in results for image in result]
    write_image(path, GeneratedImages(np.stack(images)).grid())
