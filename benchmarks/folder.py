"""Folders of JPEGs with ``edgevision predict`` and an evaluation, beside the machine and MediaPipe Tasks.

    python benchmarks/folder.py --images 2000 --rounds 5

The ceiling is the throughput of all cores if only decode, resize and invoke took time: each stage is run
alone over the same images, with one thread per core, in the same rounds.
Needs the output of ``make_bundles.py``; includes MediaPipe Tasks if it is installed.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from networks import HERE, SHARED
from numpy.typing import NDArray

import edgevision
from edgevision import BareModel, InputOptions, SessionSettings
from edgevision.cli.predict import command as predict
from edgevision.datasets.image_sets import ImageSet
from edgevision.evaluation.classification import ClassificationEvaluator
from edgevision.evaluation.run import measure
from edgevision.system.cores import cores
from edgevision.system.in_order import in_blocks
from edgevision.tasks.batches import BATCH, pays
from edgevision.tasks.description import ClassifyTask

Pixels = NDArray[np.uint8]
STAGES = ("decode", "resize", "invoke")


@dataclass(frozen=True)
class Folder:
    """Images, and the network that classifies them."""

    name: str
    artifact: Path
    value_range: tuple[float, float]
    images: list[Path]

    def load(self) -> Any:
        """The network on LiteRT, one thread per call."""
        bare = BareModel(image=InputOptions(value_range=self.value_range), score_kind="softmax")
        return edgevision.load(self.artifact, "tflite", settings=SessionSettings(threads=1), bare=bare)


@click.command()
@click.option("--images", default=2000, show_default=True, help="In each folder.")
@click.option("--rounds", default=5, show_default=True, help="Runs of every path over every image.")
@click.option("--only", default="", help="Folders whose name contains this.")
@click.option(
    "--shared", type=click.Path(exists=True, path_type=Path), default=SHARED, help="Models, images."
)
def main(images: int, rounds: int, only: str, shared: Path) -> None:
    """Print the throughput and the CPU time per image of each path, and their share of the ceiling."""
    with tempfile.TemporaryDirectory(prefix="edgevision-") as place:
        for folder in _folders(Path(place), images, shared):
            if only in folder.name:
                _measure(folder, rounds)


def _folders(place: Path, count: int, shared: Path) -> list[Folder]:
    models = shared / "models"
    large, small = place / "large", place / "small"
    v2 = models / "mobilenet_v2_1.0_224_ptq_nometadata.tflite"
    return [
        Folder("MobileNet v2, 640x480", v2, (-1.0, 1.0), _photos(large, count, shared)),
        Folder("ResNet-8, 32x32", HERE / "resnet8-uint8.tflite", (0.0, 255.0), _small(small, count, shared)),
    ]


def _photos(folder: Path, count: int, shared: Path) -> list[Path]:
    """Crops of the shared photos, at 640x480."""
    photos = [cv2.imread(str(path)) for path in sorted((shared / "images").iterdir())]
    photos = [photo for photo in photos if photo is not None]
    rng = np.random.default_rng(0)
    parts = []
    for number in range(count):
        photo = photos[number % len(photos)]
        height = int(min(photo.shape[0], photo.shape[1] * 3 / 4) * rng.uniform(0.6, 1))
        width = height * 4 // 3
        top, left = (
            rng.integers(0, photo.shape[axis] - size + 1) for axis, size in enumerate((height, width))
        )
        part = photo[top : top + height, left : left + width]
        parts.append(np.asarray(cv2.resize(part, (640, 480), interpolation=cv2.INTER_CUBIC), np.uint8))
    return _written(folder, parts)


def _small(folder: Path, count: int, shared: Path) -> list[Path]:
    images = ImageSet.open(shared / "data" / "cifar10-test.zip").sample(count)
    return _written(folder, [np.asarray(image[..., ::-1]) for image in images])


def _written(folder: Path, images: Sequence[Pixels]) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{number:05}.jpg" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        cv2.imwrite(str(path), image)
    return paths


def _measure(folder: Folder, rounds: int) -> None:
    paths = _paths(folder)
    for run in paths.values():
        run()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in paths}
    for _ in range(rounds):
        for name, run in paths.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    _show(folder, {name: np.array(taken) for name, taken in times.items()})


def _show(folder: Folder, times: dict[str, NDArray[np.float64]]) -> None:
    """Print medians of the rounds; ``best`` compares the shortest wall times."""
    times[" + ".join(STAGES)] = np.sum([times[stage] for stage in STAGES], axis=0)
    *_, ceiling = times.values()
    wall_of_ceiling, cpu_of_ceiling = np.median(ceiling, axis=0)
    count = len(folder.images)
    print(
        f"{folder.name}: {count} images, {len(ceiling)} rounds, {cores()} cores; percentages of the ceiling"
    )
    for name, taken in times.items():
        wall, cpu = np.median(taken, axis=0)
        best = ceiling[:, 0].min() / taken[:, 0].min()
        print(
            f"    {name:26}{count / wall:8.0f} images/s {wall_of_ceiling / wall:8.0%} (best {best:.0%})"
            f"{cpu / count * 1e6:8.0f} us CPU per image {cpu_of_ceiling / cpu:8.0%}"
        )


def _paths(folder: Folder) -> dict[str, Callable[[], object]]:
    model = folder.load()
    paths = {"edgevision predict": partial(_predict, folder), "measuring": partial(_evidence, folder, model)}
    stages = dict(zip(STAGES, _stages(folder, model), strict=True))
    try:
        peer = _mediapipe(folder)
        peer()
    except Exception as error:  # an absent or failing peer is reported
        print(f"{folder.name}: no MediaPipe Tasks: {str(error).splitlines()[0][:120]}")
        return {**paths, **stages}
    return {**paths, **stages, "MediaPipe Tasks, a loop": peer}


def _predict(folder: Folder) -> None:
    """The command itself without its output; with loading, without the interpreter's start."""
    low, high = folder.value_range
    arguments = [str(folder.artifact), str(folder.images[0].parent), "--backend", "tflite"]
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        predict.main(
            [*arguments, f"--input-range={low:g}..{high:g}", "--scores=softmax"], standalone_mode=False
        )


def _evidence(folder: Folder, model: Any) -> None:
    """The evaluation of ``evaluate`` and ``convert``, without metrics and digests."""
    task = ClassifyTask(model.output, "softmax")
    evaluator = ClassificationEvaluator(task, model.labels, model.preprocessing, None)
    images = ImageSet.open(folder.images[0].parent)
    measure(evaluator, [model], images, lambda done: None, cores())


def _stages(folder: Folder, model: Any) -> list[Callable[[], object]]:
    """Decode, resize and invoke on their own: each over all images, on all cores."""
    encoded = [np.frombuffer(path.read_bytes(), np.uint8) for path in folder.images]
    pixels = [cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) for data in encoded[:64]]
    spec = model.session.inputs[0]
    rows = [np.empty(spec.with_batch(1)[1:], spec.dtype) for _ in range(cores())]
    batch = BATCH if pays(model.session, model.preprocessing.size_wh) else 1
    invokes = [_bare(folder.artifact, batch) for _ in range(cores())]
    count = len(encoded)

    def decode(worker: int) -> None:
        for data in encoded[worker :: cores()]:
            cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)

    def resize(worker: int) -> None:
        row = rows[worker]
        for place in range(worker, count, cores()):
            model.preprocess(pixels[place % len(pixels)], row)

    def invoke(worker: int) -> None:
        for _ in in_blocks(range(worker, count, cores()), batch):
            invokes[worker]()

    return [partial(_on_all_cores, stage) for stage in (decode, resize, invoke)]


def _on_all_cores(stage: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(stage, range(cores())))


def _bare(artifact: Path, batch: int) -> Callable[[], object]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(artifact), num_threads=1)
    details = interpreter.get_input_details()[0]
    shape = (batch, *details["shape"][1:])
    interpreter.resize_tensor_input(details["index"], shape)
    interpreter.allocate_tensors()
    picture = np.random.default_rng(0).integers(0, 120, shape).astype(details["dtype"])
    interpreter.set_tensor(details["index"], picture)
    return interpreter.invoke  # type: ignore[no-any-return]


def _mediapipe(folder: Folder) -> Callable[[], object]:
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageClassifierOptions(
        base_options=BaseOptions(model_asset_path=str(folder.artifact)), max_results=1
    )
    task = vision.ImageClassifier.create_from_options(options)
    names = [str(path) for path in folder.images]
    return lambda: [task.classify(mediapipe.Image.create_from_file(name)) for name in names]


if __name__ == "__main__":
    main()
