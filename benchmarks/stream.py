"""Streams of frames, beside the loop over ``cv2.VideoCapture`` that everybody writes first.

    python benchmarks/stream.py --frames 600 --rounds 5

On the same file and model: frames per second of decoding alone, of inference alone, of the plain loop (read,
then predict), and of a stream; with one, and with four of each at a time on one model. The bound of any
implementation is the slower of decoding and inference. Then the age of results on a source at 30 frames
per second, beside one frame period and one inference. All in turn; the medians are shown as ratios.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from networks import SHARED
from numpy.typing import NDArray

import edgevision
from edgevision import SessionSettings

FPS = 30.0


def write_video(path: Path, frames: int, size_wh: tuple[int, int]) -> None:
    """A video that moves, and takes as long to decode as one of a camera."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (24, 32, 3), np.uint8)
    picture = cv2.resize(coarse, (size_wh[0] + frames, size_wh[1]), interpolation=cv2.INTER_CUBIC)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, size_wh)
    for index in range(frames):
        grain = random.integers(0, 12, (size_wh[1], size_wh[0], 3), np.uint8)
        writer.write(cv2.add(np.ascontiguousarray(picture[:, index : index + size_wh[0]]), grain))
    writer.release()


def read(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The frames, BGR, as the plain loop reads them."""
    capture = cv2.VideoCapture(str(path))
    while True:
        read, frame = capture.read()
        if not read:
            return
        yield np.asarray(frame, np.uint8)


def plain_loop(model: Any, path: Path) -> None:
    """Read a frame, predict, and again."""
    for frame in read(path):
        model(frame, color="bgr")


def streamed(model: Any, path: Path) -> None:
    """The same as a stream."""
    for _, result in model.stream(path):
        result.value  # noqa: B018 - raises if a frame failed


def at_once(work: Callable[[], None], count: int) -> None:
    """Run `work` on several threads."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def camera(frames: list[NDArray[np.uint8]], seconds: float) -> Iterator[NDArray[np.uint8]]:
    """The frames again and again, 30 per second."""
    start = time.monotonic()
    for index in range(round(seconds * FPS)):
        time.sleep(max(0.0, start + (index + 1) / FPS - time.monotonic()))
        yield frames[index % len(frames)]


@click.command()
@click.option("--frames", default=600, show_default=True, help="Of the video.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--size", default="640x480", show_default=True, help="Of the frames.")
@click.option("--artifact", default="mobilenet_v1_0.25_224_quant_metadata.tflite", show_default=True)
@click.option("--backend", default="tflite", show_default=True)
@click.option("--threads", type=int, help="Of the runtime, per call.")
@click.option("--age-seconds", default=20.0, show_default=True)
def main(
    frames: int, rounds: int, size: str, artifact: str, backend: str, threads: int | None, age_seconds: float
) -> None:
    """Print ratios of frames per second, and percentiles of the age of results."""
    width, height = (int(part) for part in size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "video.mp4")
        write_video(path, frames, (width, height))
        settings = SessionSettings(threads=threads)
        with edgevision.load(SHARED / "models" / artifact, backend, settings=settings, tune=False) as model:
            kept = [frame for frame, _ in zip(read(path), range(60), strict=False)]

            def infer() -> None:
                for index in range(frames):
                    model(kept[index % len(kept)], color="bgr")

            def decode() -> None:
                for _ in read(path):
                    pass

            paths: dict[str, tuple[Callable[[], None], int]] = {
                "decode alone": (decode, 1),
                "inference alone": (infer, 1),
                "plain loop": (lambda: plain_loop(model, path), 1),
                "stream": (lambda: streamed(model, path), 1),
                "four decoders": (lambda: at_once(decode, 4), 4),
                "four inferences": (lambda: at_once(infer, 4), 4),
                "four plain loops": (lambda: at_once(lambda: plain_loop(model, path), 4), 4),
                "four streams": (lambda: at_once(lambda: streamed(model, path), 4), 4),
            }
            fps = measure(paths, frames, rounds)
            report(fps)
            ages(model, kept, age_seconds, 1000 / fps["inference alone"])


def measure(paths: dict[str, tuple[Callable[[], None], int]], frames: int, rounds: int) -> dict[str, float]:
    """Path -> frames per second, the median of the rounds."""
    found: dict[str, list[float]] = defaultdict(list)
    for name, (run, _) in paths.items():
        if "four" not in name:
            run()  # warm
    for turn in range(rounds):
        names = list(paths)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            run, streams = paths[name]
            began = time.perf_counter()
            run()
            found[name].append(frames * streams / (time.perf_counter() - began))
    return {name: statistics.median(values) for name, values in found.items()}


def report(fps: dict[str, float]) -> None:
    """Print frames per second and what they are of others."""
    for name, value in fps.items():
        click.echo(f"{name:18} {value:8.1f} fps")
    bound = min(fps["decode alone"], fps["inference alone"])
    four = min(fps["four decoders"], fps["four inferences"])
    click.echo(f"stream / the slower of decode and inference: {fps['stream'] / bound:.3f}")
    click.echo(f"stream / plain loop:                         {fps['stream'] / fps['plain loop']:.3f}")
    click.echo(f"four streams / the slower of four:           {fps['four streams'] / four:.3f}")
    click.echo(
        f"four streams / four plain loops:             {fps['four streams'] / fps['four plain loops']:.3f}"
    )


def ages(model: Any, frames: list[NDArray[np.uint8]], seconds: float, inference_ms: float) -> None:
    """Print the age of results on a source at 30 frames per second, for consumers that take their time."""
    settings = edgevision.StreamSettings(color="bgr")
    for pause_ms in (0, 20, 200):
        stream = model.stream(camera(frames, seconds), "latest", settings=settings)
        found = []
        for _, result in stream:
            found.append(result.age_ms)
            time.sleep(pause_ms / 1000)
        middle, high = np.percentile(found, (50, 99))
        counters = stream.counters
        click.echo(
            f"age at 30 fps, consumer of {pause_ms:3} ms: p50 {middle:6.1f} p99 {high:6.1f} ms; "
            f"one frame period and one inference: {1000 / FPS + inference_ms:.1f} ms; "
            f"{counters.answered} of {counters.captured} given, dropped {counters.dropped}"
        )


if __name__ == "__main__":
    main()
