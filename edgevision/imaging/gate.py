"""Frames that a model should not be asked about: black, overexposed, blurred, or of a frozen camera."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple

import cv2
import numpy as np

from edgevision.errors import InputError, OptionError
from edgevision.imaging.frame import Frame
from edgevision.imaging.levels import ValueMapping
from edgevision.imaging.pixels import Pixels
from edgevision.imaging.view import viewable
from edgevision.system.arguments import real_number, whole_number
from edgevision.system.shown import shown

FROZEN, BLACK, OVEREXPOSED, BLURRED = "frozen", "black", "overexposed", "blurred"

#: Grey levels up to which a pixel is dark, and from which on it is saturated; of 255.
_DARK, _SATURATED = 16, 250
#: Pixels of the shorter side of the picture that is measured, about: what remains of a larger one when it is
#: reduced by a whole factor. Networks see no more.
_SIDE = 240
#: Added to the variance of grey levels: a wall of one colour has only noise, which is not sharp.
_LEAST_VARIANCE = 1.0
_MOST_FRAMES = 1_000_000
_GRAY = {"rgb": cv2.COLOR_RGB2GRAY, "bgr": cv2.COLOR_BGR2GRAY}


@dataclass(frozen=True)
class InputGate:
    """Limits beyond which a frame is not answered; each is off where it is `None`.

    All are measured on the grey levels of the frame, reduced to 240 to 480 pixels on the shorter side.

    Attributes:
        dark_share: ``black``: more than this share of the pixels, 0…1, has a level up to 16 of 255.
        saturated_share: ``overexposed``: more than this share of the pixels has a level of 250 or more.
        sharpness: ``blurred``: the energy of the Laplacian (Pech-Pacheco et al. 2000), divided by the
            variance of the levels, is less: a ratio without a unit, which neither brightness nor contrast
            changes; about 20 for white noise.
        frozen_frames: ``frozen``: so many frames of a stream in a row were the same, level for level; 2 or
            more. A camera's noise differs from frame to frame.

    Raises:
        OptionError: a field has an invalid value; names it.
    """

    dark_share: float | None = None
    saturated_share: float | None = None
    sharpness: float | None = None
    frozen_frames: int | None = None

    def __post_init__(self) -> None:
        for name in ("dark_share", "saturated_share", "sharpness"):
            value = getattr(self, name)
            if value is None:
                continue
            number = real_number(value, name)
            if number < 0 or (number >= 1 and name != "sharpness"):
                expected = "0 or more" if name == "sharpness" else "0 or more and below 1"
                raise OptionError(f"{name}: expected {expected}, got {number:g}")
            object.__setattr__(self, name, number)
        if self.frozen_frames is not None:
            count = whole_number(self.frozen_frames, "frozen_frames", least=2, most=_MOST_FRAMES)
            object.__setattr__(self, "frozen_frames", count)

    def to_dict(self) -> dict[str, float | int]:
        """JSON values of the limits that are set."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def measures(self, levels: Pixels) -> dict[str, float]:
        """The measures of reduced grey levels that have a limit, by its name."""
        found: dict[str, float] = {}
        if self.dark_share is not None:
            found["dark_share"] = dark_share(levels)
        if self.saturated_share is not None:
            found["saturated_share"] = saturated_share(levels)
        if self.sharpness is not None:
            found["sharpness"] = sharpness(levels)
        return found


def input_gate_from(document: object) -> InputGate | None:
    """The gate from its `InputGate.to_dict` as JSON; `None` from `None`.

    Raises:
        OptionError: a field is unknown or invalid; names the field.
    """
    if document is None:
        return None
    if not isinstance(document, Mapping):
        raise OptionError(f"expected an object with limits, got {shown(document)}")
    known = [field.name for field in fields(InputGate)]
    for name in document:
        if name not in known:
            raise OptionError(f"unknown limit '{name}'; known: {', '.join(known)}")
    return InputGate(**document)


def still_image_gate(gate: InputGate | None, mapping: ValueMapping) -> Callable[[Frame], str]:
    """Why an image is not answered, or an empty text: for images that do not follow each other.

    Args:
        gate: its limits, of which that for frozen cameras does not count; `None` answers all.
        mapping: of the network, for images with more than 8 bits.
    """
    if gate is None:
        return lambda frame: ""
    alone = replace(gate, frozen_frames=None)
    return lambda frame: FrameGate(alone, mapping).reason(frame)


class GateAnswer(NamedTuple):
    """The answer of a gate about one frame.

    Attributes:
        reason: why it should not be answered; empty if it should.
        measures: name of a limit -> what was measured.
    """

    reason: str
    measures: Mapping[str, float]


class FrameGate:
    """A gate for the frames of one source, in their order.

    Args:
        gate: its limits.
        mapping: of the network, for frames with more than 8 bits.
    """

    def __init__(self, gate: InputGate, mapping: ValueMapping) -> None:
        self._gate = gate
        self._mapping = mapping
        self._before: Pixels | None = None
        self._same = 1

    def reason(self, frame: Frame) -> str:
        """Why the frame should not be answered, such as ``black``; empty if it should."""
        return self.look_at(frame).reason

    def look_at(self, frame: Frame) -> GateAnswer:
        """As `reason`, with what was measured."""
        try:
            levels = grey_levels(frame, self._mapping)
        except InputError:  # the model refuses it, and says why
            return GateAnswer("", {})
        gate, measures = self._gate, self._gate.measures(levels)
        if gate.dark_share is not None and measures["dark_share"] > gate.dark_share:
            reason = BLACK
        elif gate.saturated_share is not None and measures["saturated_share"] > gate.saturated_share:
            reason = OVEREXPOSED
        elif self._is_frozen(levels):
            reason = FROZEN
        elif gate.sharpness is not None and measures["sharpness"] < gate.sharpness:
            reason = BLURRED
        else:
            reason = ""
        self._before = levels
        return GateAnswer(reason, measures)

    def _is_frozen(self, levels: Pixels) -> bool:
        if self._gate.frozen_frames is None:
            return False
        self._same = self._same + 1 if same_levels(self._before, levels) else 1
        return self._same >= self._gate.frozen_frames


def grey_levels(frame: Frame, mapping: ValueMapping) -> Pixels:
    """The grey levels that a gate measures: uint8 ``(h, w)``, reduced by a whole factor.

    Raises:
        InputError: the mapping does not cover the values of the frame.
    """
    pixels, color = frame.pixels, frame.color
    if not frame.is_plain:
        pixels, color = viewable(frame, mapping), "rgb"
    height, width = pixels.shape[:2]
    factor = max(1, min(height, width) // _SIDE)
    if factor > 1:
        whole = np.ascontiguousarray(pixels[: height // factor * factor, : width // factor * factor])
        size = width // factor, height // factor
        pixels = np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)
    if pixels.ndim == 2:
        return pixels.copy() if factor == 1 else pixels  # it is kept, and the caller's memory may be reused
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), _GRAY[color]), np.uint8)


def dark_share(levels: Pixels) -> float:
    """The share of the pixels that are dark, 0…1."""
    return cv2.countNonZero(cv2.inRange(levels, 0, _DARK)) / levels.size


def saturated_share(levels: Pixels) -> float:
    """The share of the pixels that are saturated, 0…1."""
    return cv2.countNonZero(cv2.inRange(levels, _SATURATED, 255)) / levels.size


def sharpness(levels: Pixels) -> float:
    """The energy of the Laplacian over the variance of the levels."""
    energy = cv2.norm(cv2.Laplacian(levels, cv2.CV_16S), cv2.NORM_L2SQR) / levels.size
    deviation: Any = cv2.meanStdDev(levels)[1]
    return float(energy / (float(deviation[0][0]) ** 2 + _LEAST_VARIANCE))


def same_levels(before: Pixels | None, levels: Pixels) -> bool:
    """True if two frames are the same, level for level."""
    return before is not None and before.shape == levels.shape and cv2.norm(before, levels, cv2.NORM_INF) == 0
