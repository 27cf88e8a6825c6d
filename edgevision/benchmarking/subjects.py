"""The calls that a benchmark times: the whole call of a model, and its stages that can run alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.backend import Slot, StagedSlot
from edgevision.errors import OptionError
from edgevision.imaging.decode import decode_image
from edgevision.imaging.frame import Frame
from edgevision.imaging.levels import ValueMapping, linear_window
from edgevision.session import CheckedSession
from edgevision.system.timing import Call
from edgevision.tasks.single_run import SingleRun
from edgevision.tensors import Array

Pixels = NDArray[np.uint8]

#: All stages, in the order in which a frame passes them.
STAGES = ("decode", "resize", "normalise", "copy", "invoke", "postprocess")


@dataclass(frozen=True)
class Subject:
    """A model with its input, ready to be timed.

    Attributes:
        whole: from the frame, or the seed, to the typed result.
        stages: each of `STAGES` alone, with its input prepared.
        fused: for each stage that is not in `stages`, the reason.
        bare: the bare runtime, called as often as `whole` calls it, on the last input.
        needed: the lower bound of any implementation: the resize, if there is one, and `bare`.
        calls: calls of the network in `whole`.
    """

    whole: Call
    stages: Mapping[str, Call]
    fused: Mapping[str, str]
    bare: Call
    needed: Call
    calls: int = 1


def smooth_frame(size_wh: tuple[int, int]) -> Pixels:
    """A smooth image, (h, w, 3) uint8, always the same, which takes as long to decode as a photo."""
    coarse = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, size_wh, interpolation=cv2.INTER_CUBIC), np.uint8)


def camera_frame(size_wh: tuple[int, int], mapping: ValueMapping) -> Pixels | Frame:
    """A smooth image, always the same, with values from black to white of a network's mapping."""
    pixels = smooth_frame(size_wh)
    if mapping.is_plain:
        return pixels
    low, high = 0.0, 65535.0
    if mapping.bit_depth is not None:
        high = 2.0**mapping.bit_depth - 1
    elif mapping.pixel_range is not None:
        low, high = mapping.pixel_range
    elif isinstance(mapping.window, tuple):
        low, high = linear_window(*mapping.window)
    values = low + pixels / 255 * (high - low)
    stored = np.rint(values).astype(np.uint16) if low >= 0 and high <= 65535 else values.astype(np.float32)
    return Frame(stored, window=lambda one: (one / np.float32(65535)).astype(np.float32))


def frame_subject(model: SingleRun, frame: Pixels | Frame, batch: int, slot: Slot) -> Subject:
    """A model on `batch` copies of a frame, with its stages on `slot`."""
    if isinstance(frame, Frame):
        return _deep_subject(model, frame, batch, slot)
    slots = list(next(iter(slot.inputs.values())))
    sizes_wh = [(frame.shape[1], frame.shape[0])] * batch
    jpeg = _jpeg(frame)
    pixels = [model.preprocess.resize(frame, slot) for slot in slots]
    _each(slots, lambda slot: model.preprocess(frame, slot))()
    outputs = slot.run()
    invoke, copying, fused = _parts(slot)

    def normalise() -> None:
        for image, row in zip(pixels, slots, strict=True):
            model.preprocess.write(image, row)

    resize = _each(slots, lambda slot: model.preprocess.resize(frame, slot))
    stages: dict[str, Call] = {
        "decode": _each(slots, lambda slot: decode_image(jpeg, "frame")),
        "resize": resize,
        "normalise": normalise,
        **copying,
        "invoke": invoke,
        "postprocess": lambda: model.read(outputs, sizes_wh),
    }
    if model.preprocess.in_one_step():
        del stages["normalise"]
        fused["normalise"] = "the network takes the pixels unchanged"

    def needed() -> None:
        resize()
        invoke()

    return Subject(_whole(model, frame, batch), stages, fused, invoke, needed)


def _deep_subject(model: SingleRun, frame: Frame, batch: int, slot: Slot) -> Subject:
    """As `frame_subject`, for a frame with more than 8 bits: black and white are found before the resize."""
    slots = list(next(iter(slot.inputs.values())))
    small = model.preprocessing.resized_frame(frame)
    _each(slots, lambda slot: model.preprocess.put(small, slot))()
    outputs = slot.run()
    invoke, copying, fused = _parts(slot)
    resize = _each(slots, lambda slot: model.preprocessing.resized_frame(frame))
    stages: dict[str, Call] = {
        "resize": resize,
        "normalise": _each(slots, lambda slot: model.preprocess.put(small, slot)),
        **copying,
        "invoke": invoke,
        "postprocess": lambda: model.read(outputs, [frame.size_wh] * batch),
    }
    fused["decode"] = "the network takes frames of a camera with more than 8 bits"

    def needed() -> None:
        resize()
        invoke()

    return Subject(_whole(model, frame, batch), stages, fused, invoke, needed)


def generator_subject(generate: Call, calls: int, slot: Slot) -> Subject:
    """A generator; what it computes between its calls of the network cannot be timed alone."""
    slot.run()
    invoke, copying, fused = _parts(slot)

    def repeated(call: Call) -> Call:
        def run() -> None:
            for _ in range(calls):
                call()

        return run

    bare = repeated(invoke)
    stages = {**{name: repeated(call) for name, call in copying.items()}, "invoke": bare}
    fused |= dict.fromkeys(("resize", "normalise", "postprocess"), "part of the loop around the network")
    return Subject(generate, stages, fused, bare, bare, calls)


def batches_of(session: CheckedSession, call: Call) -> list[int]:
    """Batch size of each call of the network in one `call` of the model.

    Raises:
        OptionError: the model does not call its network.
    """
    batches: list[int] = []
    with session.watched(lambda slot: _CountedSlot(slot, batches)):
        call()
    if not batches:
        raise OptionError("bench: the model does not call its network, so there is nothing to time")
    return batches


class _CountedSlot:
    def __init__(self, slot: Slot, batches: list[int]) -> None:
        self.inputs = slot.inputs
        self._slot = slot
        self._batches = batches

    def run(self) -> dict[str, Array]:
        first = next(iter(self.inputs.values()))
        self._batches.append(first.shape[0] if first.ndim else 1)
        return self._slot.run()


def _whole(model: SingleRun, frame: Pixels | Frame, batch: int) -> Call:
    if batch == 1:
        return lambda: model(frame)
    frames = [frame] * batch
    return lambda: model(frames)


def _parts(slot: Slot) -> tuple[Callable[[], Any], dict[str, Call], dict[str, str]]:
    """The call of the runtime, its copies as a stage, and the reason if they cannot be timed alone."""
    if not isinstance(slot, StagedSlot):
        return slot.run, {}, {"copy": "the backend does not separate it from invoke"}

    def copy() -> None:
        slot.feed()
        slot.fetch()

    return slot.invoke, {"copy": copy}, {}


def _each(slots: Sequence[Array], call: Callable[[Array], object]) -> Call:
    def run() -> None:
        for slot in slots:
            call(slot)

    return run


def _jpeg(frame: Pixels) -> bytes:
    done, content = cv2.imencode(".jpg", frame)
    if not done:
        raise OptionError(f"bench: a frame of {frame.shape} cannot be written as JPEG")
    return content.tobytes()
