"""``edgevision generate``: images out of images, or out of nothing but a seed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

from edgevision.cli.options.tune import asked_tune, tune_option
from edgevision.cli.output.terminal import progress_on
from edgevision.errors import OptionError
from edgevision.imaging.decode import find_images
from edgevision.imaging.write import check_suffix, write_image
from edgevision.loading.load import load
from edgevision.system.files import make_folder
from edgevision.tasks.generation.diffusion import DiffusionGenerator
from edgevision.tasks.generation.image_to_image import ImageToImage
from edgevision.tasks.generation.images import GeneratedImages
from edgevision.tasks.generation.latent import LatentGenerator


@click.command("generate")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--input", "inputs", type=click.Path(path_type=Path), multiple=True, help="Image or folder.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="DIR")
@click.option("--seed", type=click.IntRange(min=0), help="Of the first image. Default: drawn, and told.")
@click.option("--count", type=click.IntRange(min=1), help="Images to make. Default: 1.")
@click.option("--steps", type=click.IntRange(min=1), help="Of diffusion. Default: the bundle's.")
@click.option("--sampler", help="Of diffusion: ddim, ddpm or euler.")
@click.option("--condition", help="Label or number of the class to make.")
@click.option("--guidance", type=float, help="Scale of classifier-free guidance; 1 is none.")
@click.option("--ensemble", is_flag=True, help="Mean over turned and mirrored runs; for --input.")
@click.option("--grid", type=click.Path(path_type=Path), help="A contact sheet of all images as well.")
@click.option("--backend", help="Backend that must run it.")
@click.option("--device", help="Device that it must run on.")
@click.option("--precision", help="Of the bundle's artifact, such as int8.")
@tune_option
@click.option("--json", "as_json", is_flag=True, help="For programs: a JSON object a line, one an image.")
def command(bundle: Path, inputs: tuple[Path, ...], output: Path, as_json: bool, **given: Any) -> None:
    """Make images with BUNDLE, and write them to DIR as PNG."""
    if given["grid"] is not None:
        check_suffix(given["grid"])
    make_folder(output)
    wish = given["backend"], given["device"]
    with load(bundle, *wish, precision=given["precision"], tune=asked_tune(given)) as model:
        if isinstance(model, ImageToImage):
            _check_unused(given, ("seed", "count", "steps", "sampler", "condition", "guidance"), "an image")
            made = _of_images(model, inputs, output, given["ensemble"], as_json)
        elif isinstance(model, (LatentGenerator, DiffusionGenerator)):
            made = [_of_seeds(model, inputs, output, given, as_json)]
        else:
            raise OptionError(f"{bundle}: makes no images; type: edgevision predict {bundle} IMAGE")
    if given["grid"] is not None:
        _write_grid(made, given["grid"])


def _of_images(
    model: ImageToImage, inputs: tuple[Path, ...], output: Path, ensemble: bool, as_json: bool
) -> list[GeneratedImages]:
    if not inputs:
        raise OptionError("this network makes an image of an image; type --input IMAGE")
    made = []
    for place, path in enumerate(find_images(inputs)):
        made.append(model(path, ensemble=ensemble))
        (saved,) = made[-1].save(output, f"{path.stem}-{place:04d}")
        _show({"input": str(path), "image": str(saved), **made[-1].settings}, as_json)
    return made


def _of_seeds(
    model: LatentGenerator | DiffusionGenerator,
    inputs: tuple[Path, ...],
    output: Path,
    given: dict[str, Any],
    as_json: bool,
) -> GeneratedImages:
    if inputs:
        raise OptionError("this network makes images of a seed; leave out --input")
    count, condition = given["count"] or 1, given["condition"]
    if isinstance(model, LatentGenerator):
        _check_unused(given, ("steps", "sampler", "guidance", "ensemble"), "a vector")
        made = model.sample(count, given["seed"], condition)
    else:
        _check_unused(given, ("ensemble",), "noise")
        with progress_on(sys.stderr) as tell:
            made = model.sample(
                count,
                given["seed"],
                condition,
                steps=given["steps"],
                guidance=given["guidance"],
                sampler=given["sampler"],
                progress=lambda done, steps: tell("generating", done, steps),
            )
    for seed, saved in zip(made.seeds, made.save(output), strict=True):
        _show({"seed": seed, "image": str(saved), **made.settings}, as_json)
    return made


def _check_unused(given: dict[str, Any], names: tuple[str, ...], what: str) -> None:
    for name in names:
        # A flag that is not given is False; 0 is a seed and a guidance.
        if given[name] is not None and given[name] is not False:
            raise OptionError(
                f"--{name}: this network makes images of {what}, and does not take it; leave it out"
            )


def _show(facts: dict[str, Any], as_json: bool) -> None:
    click.echo(json.dumps(facts) if as_json else facts["image"])


def _write_grid(made: list[GeneratedImages], path: Path) -> None:
    sizes = {one.images.shape[1:] for one in made}
    if len(sizes) > 1:
        raise OptionError(f"--grid {path}: the images differ in size; make a sheet of images of one size")
    images = [image for one in made for image in one]
    write_image(path, GeneratedImages(np.stack(images)).grid())
