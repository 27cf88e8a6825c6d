"""The border that a decoder implements: a detection network's outputs in, candidates out.

A decoder knows one kind of detection head. Thinning, clipping, labels and the way back to the
caller's image are the core's, written once (`edgevision.tasks.detect`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InferenceError
from edgevision.tensors import TensorSpec, all_finite

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Boxes that may be objects, before non-maximum suppression; in any order.

    Attributes:
        boxes_xyxy: float32 ``(n, 4)``: left, top, right, bottom in pixels of the network's input,
            which spans 0…width and 0…height; they may stick out.
        scores: float32 ``(n,)``, each 0…1.
        class_ids: int64 ``(n,)``, counted from 0.
    """

    boxes_xyxy: Floats
    scores: Floats
    class_ids: Ints


class Head(Protocol):
    """A decoder made ready for one network: settings checked, all computed that no image changes.

    Attributes:
        classes: how many the network tells apart; ``None`` where its outputs do not tell.
    """

    @property
    def classes(self) -> int | None: ...

    def __call__(self, outputs: Mapping[str, Floats], score_threshold: float) -> Candidates:
        """Decode the outputs for one image. Safe to call from several threads.

        Args:
            outputs: name -> float32 array without the batch, dequantized; only read.
            score_threshold: 0…1; what scores less is not decoded further.

        Raises:
            InferenceError: what is read holds NaN or infinity, or no score can be right.
        """
        ...


class Decoder(Protocol):
    """A kind of detection head, as a plugin provides it.

    A decoder may also have an attribute ``nms_applied``: true if such networks apply NMS themselves.
    `nms_applied` reads it; a decoder without it counts as false.

    Attributes:
        name: its name in manifests and for ``--decoder``.
    """

    @property
    def name(self) -> str: ...

    def recognise(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int]
    ) -> Mapping[str, Any] | None:
        """Whether outputs are of this kind, told by their names and shapes; never guessed.

        Args:
            outputs: the network's, for one image: their shapes without the batch.
            input_size_wh: width and height of the network's input.

        Returns:
            The settings that names and shapes tell beyond doubt, or ``None`` if the outputs may
            be of another kind.
        """
        ...

    def prepare(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], settings: Mapping[str, Any]
    ) -> Head:
        """Make ready for one network.

        Args:
            outputs, input_size_wh: as in `recognise`.
            settings: JSON values, as a manifest holds them.

        Raises:
            OptionError: a setting is missing, unknown or wrong, or the outputs do not fit; names it.
        """
        ...


def nms_applied(decoder: Decoder) -> bool:
    """Return whether networks of this kind apply NMS themselves, so that it need not be applied again."""
    return bool(getattr(decoder, "nms_applied", False))


def finite(name: str, values: Floats) -> Floats:
    """The values of an output, checked.

    Raises:
        InferenceError: one is NaN or infinite: the network is broken, and no box is right.
    """
    if not all_finite(values):
        raise InferenceError(f"output '{name}' holds NaN or infinity; expected finite numbers")
    return values
