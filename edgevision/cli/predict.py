"""``edgevision predict``: classify images, each with its own line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from edgevision.backend import SessionSettings
from edgevision.bundle import is_bundle
from edgevision.cli.image_options import image_options, input_options
from edgevision.errors import InputError, OptionError
from edgevision.images import find_images
from edgevision.input_options import InputOptions
from edgevision.labels import read_labels
from edgevision.runtime import BareModel, load
from edgevision.tasks.classify import Classification, Classifier


@click.command("predict")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--backend", help="Backend that must run it.")
@click.option("--device", help="Device that it must run on, such as cpu or cuda:0.")
@click.option("--precision", help="Of the bundle's artifact, such as int8.")
@click.option(
    "--compute-precision",
    type=click.Choice(["float32", "float16", "bfloat16"]),
    help="In which float parts are computed. Default: the artifact's own; float32 never runs lower.",
)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.")
@click.option("--delegate", help="Library of a TFLite delegate, such as libedgetpu.so.1.")
@click.option("--top", default=1, show_default=True, type=click.IntRange(min=1), help="Classes to show.")
@click.option("--selftest", is_flag=True, help="First check the bundle's known answers on this device.")
@click.option("--json", "as_json", is_flag=True, help="For programs: a JSON object a line, one an image.")
@image_options
def command(model: Path, images: tuple[Path, ...], top: int, as_json: bool, **given: Any) -> None:
    """Classify IMAGES (files or folders) with MODEL: a bundle, or a bare .tflite, .xml or .onnx file.

    The options from --input-range on are for bare files, where the file itself does not tell.
    """
    paths = find_images(images)
    broken = 0
    with _load(model, given) as classifier:
        for path in paths:
            try:
                found = classifier(path)
            except InputError as error:
                broken += 1
                click.echo(
                    json.dumps({"image": str(path), "error": str(error)}) if as_json else f"{error}",
                    err=not as_json,
                )
                continue
            _show(path, found, classifier, top, as_json)
    if broken:
        raise InputError(f"{broken} of {len(paths)} images could not be used")


def _load(model: Path, given: dict[str, Any]) -> Classifier:
    options = {} if given["delegate"] is None else {"delegate": given["delegate"]}
    image, labels = input_options(given), given["labels"]
    bare = BareModel(
        image=image,
        labels=None if labels is None else read_labels(labels),
        score_kind=given["score_kind"],
        output=given["output_name"],
    )
    is_bare = not is_bundle(model)
    if not is_bare and bare != BareModel(InputOptions()):
        raise OptionError(
            f"{model}: a bundle says itself what its input takes; leave out the options for bare files"
        )
    return load(
        model,
        given["backend"],
        given["device"],
        precision=given["precision"],
        settings=SessionSettings(
            precision=given["compute_precision"], threads=given["threads"], options=options
        ),
        selftest=given["selftest"],
        bare=bare if is_bare else None,
    )


def _show(path: Path, found: Classification, classifier: Classifier, top: int, as_json: bool) -> None:
    if as_json:
        session = classifier.session
        ran = {"backend": session.backend, "device": session.device, "precision": session.precision}
        click.echo(json.dumps({"image": str(path), **ran, **found.to_dict(top)}))
        return
    best = "  ".join(f"{one.label} {one.score:.1%}" for one in found.top(top))
    click.echo(f"{path}  {best}")
