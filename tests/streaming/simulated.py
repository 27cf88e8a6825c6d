"""Sources and models whose time is simulated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import StreamLostError
from edgevision.frame_source import CapturedImage, FrameReader, SourceSettings
from edgevision.testing import SimulatedClock, fake_classifier

Pixels = NDArray[np.uint8]
FRAMES_PER_S = 30


def numbered(index: int) -> Pixels:
    """An image that shows its number, up to 65535, in two channels."""
    return np.full((8, 8, 3), (index // 256, index % 256, 0), np.uint8)


def number_in(image: Pixels) -> int:
    return int(image[0, 0, 0]) * 256 + int(image[0, 0, 1])


def camera(clock: SimulatedClock, frames: int, fps: float = FRAMES_PER_S) -> Iterator[Pixels]:
    """Frames at a rate, as a camera whose driver keeps none for later: those that nobody fetched are lost."""
    start_ns = clock.monotonic_ns()
    for index in range(frames):
        due_s = (start_ns - clock.monotonic_ns()) / 1e9 + (index + 1) / fps
        clock.sleep(max(0.0, due_s))
        yield numbered(index)


def model_on(clock: SimulatedClock, inference_s: float, act: Callable[[int], object] | None = None) -> Any:
    """A classifier that takes this long; `act` is called with the number of each image."""

    def scores(image: Pixels) -> list[float]:
        clock.sleep(inference_s)
        number = number_in(image)
        if act is not None:
            act(number)
        return [number / 65535, 1 - number / 65535]

    return fake_classifier(["a", "b"], scores, size_wh=(8, 8))


def number_of(result: Any) -> int:
    """The number of the image that a result is about."""
    return round(float(result.value.scores[0]) * 65535)


def collect(stream: Any, act: Callable[[int], object] = lambda index: None) -> list[int]:
    """The numbers of all frames of a stream; `act` is called with each."""
    return collect_into([], stream, act)


def collect_into(
    numbers: list[int], stream: Any, act: Callable[[int], object] = lambda index: None
) -> list[int]:
    """As `collect`, into a list that is kept where the stream raises."""
    for frame, _ in stream:
        numbers.append(frame.index)
        act(frame.index)
    return numbers


class ScriptedSource:
    """A live source that opens and reads as a script says, with the counts of what was done.

    Args:
        clock: for its waits.
        attempts: one function per attempt to open, which yields frames; the last one is used again.
    """

    name = "scripted"
    accepts = "a ScriptedSource"

    def __init__(self, clock: SimulatedClock, *attempts: Callable[[], Iterator[Any]]) -> None:
        self.clock = clock
        self.attempts = attempts
        self.opened_at_s: list[float] = []
        self.closed = 0

    def recognises(self, source: Any) -> bool:
        return isinstance(source, ScriptedSource)

    def open(self, source: Any, settings: SourceSettings) -> FrameReader:
        own: ScriptedSource = source
        attempt = own.attempts[min(len(own.opened_at_s), len(own.attempts) - 1)]
        own.opened_at_s.append(own.clock.monotonic_ns() / 1e9)
        images = attempt()
        if images is None:
            raise StreamLostError("scripted: nobody there")
        return _ScriptedReader(own, images)


class _ScriptedReader:
    name = "scripted"
    live = True

    def __init__(self, source: ScriptedSource, images: Iterator[Any]) -> None:
        self._source = source
        self._images = images

    def read(self) -> CapturedImage | None:
        image = next(self._images, None)
        return image if image is None or isinstance(image, CapturedImage) else CapturedImage(image)

    def close(self) -> None:
        self._source.closed += 1
