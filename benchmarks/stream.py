"""Streams of frames, beside the loop over ``cv2.VideoCapture`` that everybody writes first.

    python benchmarks/stream.py --frames 600 --rounds 5

On the same file and model: frames per second of decoding alone, of inference alone, of the plain loop (read,
then predict), of the same with supervision's frames, of MediaPipe's LIVE_STREAM, and of a stream; with one,
and with four of each at a time. The bound of any implementation is the slower of decoding and inference.
Then the age of results on a source at 30 frames per second, beside one frame period and one inference. All in
turn; the medians are shown as ratios. supervision and MediaPipe (extra ``benchmarks``, in an environment of
its own) are left out where they are not installed.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
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


def with_supervision(model: Any, path: Path) -> None:
    """The plain loop over supervision's frames, which are BGR."""
    import supervision

    for frame in supervision.get_video_frames_generator(str(path)):
        model(frame, color="bgr")


class MediaPipe:
    """An image classifier of MediaPipe in LIVE_STREAM, which drops frames while it is busy.

    Args:
        artifact: the model.

    Attributes:
        ages_ms: of each result, from before its frame was handed over.
    """

    def __init__(self, artifact: Path) -> None:
        import mediapipe

        self.ages_ms: list[float] = []
        self._given: dict[int, float] = {}
        self._mediapipe: Any = mediapipe
        vision = self._mediapipe.tasks.vision
        options = vision.ImageClassifierOptions(
            base_options=self._mediapipe.tasks.BaseOptions(model_asset_path=str(artifact)),
            running_mode=vision.RunningMode.LIVE_STREAM,
            result_callback=self._take,
            max_results=5,
        )
        self._classifier = vision.ImageClassifier.create_from_options(options)

    def give(self, frame: NDArray[np.uint8]) -> None:
        """Hand a BGR frame over; returns before it is answered, or dropped."""
        now = time.monotonic()
        rgb = np.ascontiguousarray(frame[..., ::-1])
        image = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=rgb)
        at_ms = len(self._given) + 1
        self._given[at_ms] = now
        self._classifier.classify_async(image, at_ms)

    def close(self) -> None:
        """Wait for the last results."""
        self._classifier.close()

    def _take(self, result: Any, image: Any, at_ms: int) -> None:
        self.ages_ms.append((time.monotonic() - self._given[at_ms]) * 1000)


def with_mediapipe(artifact: Path, path: Path) -> int:
    """Frames of a file as fast as they are read; the number that was answered."""
    live = MediaPipe(artifact)
    for frame in read(path):
        live.give(frame)
    live.close()
    return len(live.ages_ms)


def at_once(work: Callable[[], int | None], count: int, frames: int) -> int:
    """Run `work` on several threads; the frames that were answered, `frames` each unless it says another."""
    with ThreadPoolExecutor(count) as pool:
        answered = [pool.submit(work) for _ in range(count)]
    return sum(frames if one.result() is None else one.result() or 0 for one in answered)


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
            predict: Any = model
            kept = [frame for frame, _ in zip(read(path), range(60), strict=False)]

            def infer() -> None:
                for index in range(frames):
                    predict(kept[index % len(kept)], color="bgr")

            def decode() -> None:
                for _ in read(path):
                    pass

            paths: dict[str, Callable[[], int | None]] = {
                "decode": decode,
                "inference": infer,
                "plain loop": lambda: plain_loop(model, path),
                "stream": lambda: streamed(model, path),
            }
            if find_spec("supervision"):
                paths["supervision"] = lambda: with_supervision(model, path)
            if find_spec("mediapipe"):
                paths["MediaPipe"] = lambda: with_mediapipe(SHARED / "models" / artifact, path)
            one, four = measure(paths, frames, rounds, 1), measure(paths, frames, rounds, 4)
            report("one", one)
            report("four", four)
            ages(model, kept, age_seconds, 1000 / one["inference"])
            if find_spec("mediapipe"):
                ages_of_mediapipe(SHARED / "models" / artifact, kept, age_seconds)


def measure(
    paths: dict[str, Callable[[], int | None]], frames: int, rounds: int, count: int
) -> dict[str, float]:
    """Path -> frames that were answered per second by `count` at a time, the median of the rounds."""
    found: dict[str, list[float]] = defaultdict(list)
    for run in paths.values():
        run()  # warm
    for turn in range(rounds):
        names = list(paths)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            began = time.perf_counter()
            answered = at_once(paths[name], count, frames)
            found[name].append(answered / (time.perf_counter() - began))
    return {name: statistics.median(values) for name, values in found.items()}


def report(count: str, fps: dict[str, float]) -> None:
    """Print frames per second, and what they are of the slower of decoding and inference."""
    bound = min(fps["decode"], fps["inference"])
    for name, value in fps.items():
        click.echo(
            f"{count} x {name:12} {value:8.1f} fps, of the slower of decode and inference {value / bound:.3f}"
        )


def ages_of_mediapipe(artifact: Path, frames: list[NDArray[np.uint8]], seconds: float) -> None:
    """Print the age of MediaPipe's results on the same source, as its callback gets them."""
    live, given = MediaPipe(artifact), 0
    for frame in camera(frames, seconds):
        live.give(frame)
        given += 1
    live.close()
    middle, high = np.percentile(live.ages_ms, (50, 99))
    click.echo(
        f"age at 30 fps, MediaPipe LIVE_STREAM: p50 {middle:6.1f} p99 {high:6.1f} ms; "
        f"{len(live.ages_ms)} of {given} answered"
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
