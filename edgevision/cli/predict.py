"""``edgevision predict``: what is in images, each with its own lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from edgevision.backend import SessionSettings
from edgevision.cli.options.detect import decoder_options, given_thresholds, threshold_options
from edgevision.cli.options.image import image_options
from edgevision.cli.options.model import load_as_asked
from edgevision.cli.options.tune import tune_option
from edgevision.cli.output.annotated import annotated_paths, save_annotated
from edgevision.errors import InputError, OptionError
from edgevision.execution.pipeline import in_order, shared_out, turn_on
from edgevision.imaging.blocks import Read, image_blocks, read_or_error
from edgevision.imaging.decode import Pixels, find_images
from edgevision.tasks.batches import pays
from edgevision.tasks.classify import Classification, Classifier
from edgevision.tasks.detect import Detector
from edgevision.tasks.detections import Detections

Found = Classification | Detections
Network = Classifier | Detector
#: What is in an image, or why it cannot be read.
Seen = tuple[Path, Found | InputError]
#: From images to what is in each.
Look = Callable[[Sequence[Pixels]], Sequence[Found]]


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
@click.option("--top", type=click.IntRange(min=1), help="Classes to show, for a classifier; 1 unless said.")
@threshold_options
@click.option("--save", type=click.Path(path_type=Path), help="Folder for annotated copies of the images.")
@tune_option
@click.option("--selftest", is_flag=True, help="First check the bundle's known answers on this device.")
@click.option("--json", "as_json", is_flag=True, help="For programs: a JSON object a line, one an image.")
@image_options
@decoder_options
def command(model: Path, images: tuple[Path, ...], save: Path | None, as_json: bool, **given: Any) -> None:
    """Tell what is in IMAGES (files or folders) with MODEL: a bundle, or a bare .tflite, .xml or .onnx file.

    The options from --input-range on are for bare files, where the file itself does not tell.
    """
    paths = find_images(images)
    copies = {} if save is None else annotated_paths(save, paths)
    broken, top = 0, given["top"] or 1
    workers, settings = shared_out(_settings(given), len(paths))
    with _load(model, given, settings) as network:
        see = partial(_see, _looker(network, given), copies, top)
        tell = partial(_json_lines if as_json else _lines, network, top)
        blocks = image_blocks(paths, pays(network.session, network.preprocessing.size_wh))
        with in_order(see, blocks, workers) as seen:
            for block in seen:
                broken += _show(block, tell, as_json)
    if broken:
        raise InputError(f"{broken} of {len(paths)} images could not be used")


def _settings(given: dict[str, Any]) -> SessionSettings:
    options = {} if given["delegate"] is None else {"delegate": given["delegate"]}
    return SessionSettings(
        given["device"], given["compute_precision"], threads=given["threads"], options=options
    )


def _load(model: Path, given: dict[str, Any], settings: SessionSettings) -> Network:
    network = load_as_asked(model, given, settings, given["selftest"])
    if not isinstance(network, (Classifier, Detector)):
        network.close()
        raise OptionError(f"{model}: makes images; type: edgevision generate {model} -o DIR")
    return network


def _looker(network: Network, given: dict[str, Any]) -> Look:
    """The network with the options of its task; those of another task are refused."""
    thresholds = given_thresholds(given)
    if isinstance(network, Classifier):
        if thresholds:
            name = next(iter(thresholds)).replace("_", "-")
            raise OptionError(f"--{name} is for detectors, and this network classifies; leave it out")
    elif given["top"] is not None:
        raise OptionError("--top is for classifiers, and this network detects; use --max-detections")
    turn = turn_on(network.session.device)

    def look(images: Sequence[Pixels]) -> Sequence[Found]:
        with turn:
            found: Sequence[Found] = network(list(images), **thresholds)
        return found

    return look


def _see(look: Look, copies: Mapping[Path, Path], top: int, block: Sequence[Read]) -> Iterator[list[Seen]]:
    """What is in each image of a block, or why it cannot be read; those in `copies` are saved, drawn on."""
    images = [(path, read_or_error(path) if image is None else image) for path, image in block]
    found = iter(look([image for _, image in images if not isinstance(image, InputError)]))
    seen: list[Seen] = []
    for path, image in images:
        if isinstance(image, InputError):
            seen.append((path, image))
            continue
        one = next(found)
        seen.append((path, one))
        if path in copies:
            save_annotated(copies[path], image, one, top)
    yield seen


def _show(block: Sequence[Seen], tell: Callable[[Path, Found], Iterable[str]], as_json: bool) -> int:
    """Print what is in a block of images; how many could not be read."""
    lines: list[str] = []
    broken = 0
    for path, found in block:
        if not isinstance(found, InputError):
            lines += tell(path, found)
            continue
        broken += 1
        if as_json:
            lines.append(json.dumps({"image": str(path), "error": str(found)}))
            continue
        _echo(lines)
        lines = []
        click.echo(str(found), err=True)
    _echo(lines)
    return broken


def _echo(lines: Sequence[str]) -> None:
    """All at once: for tiny images each call costs as much as reading one."""
    if lines:
        click.echo("\n".join(lines))


def _json_lines(network: Network, top: int, path: Path, found: Found) -> Iterable[str]:
    session = network.session
    ran = {"backend": session.backend, "device": session.device, "precision": session.precision}
    told = found.to_dict() if isinstance(found, Detections) else found.to_dict(top)
    yield json.dumps({"image": str(path), **ran, **told})


def _lines(network: Network, top: int, path: Path, found: Found) -> Iterable[str]:
    if isinstance(found, Detections):
        yield from _lines_of_objects(path, found)
    else:
        best = "  ".join(f"{one.label} {one.score:.1%}" for one in found.top(top))
        yield f"{path}  {best}{_decision(found)}"


def _decision(found: Classification) -> str:
    """On the class of interest, if there is one, such as ``  [cat: yes, 31.0% ≥ 20.5%]``."""
    point = found.operating_point
    if point is None:
        return ""
    verdict, sign = ("yes", "≥") if found.positive else ("no", "<")
    score = float(found.scores[point.class_id])
    return f"  [{point.positive}: {verdict}, {score:.1%} {sign} {point.threshold:.1%}]"


def _lines_of_objects(path: Path, found: Detections) -> Iterable[str]:
    if len(found) == 0:
        yield f"{path}  nothing found"
    for one in found:
        corners = ",".join(f"{value:.0f}" for value in one.box)
        yield f"{path}  {one.label} {one.score:.1%}  {corners}"
