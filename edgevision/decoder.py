"""The interface of a decoder: from the outputs of a detection network to candidate boxes.

A decoder implements one kind of detection head. Non-maximum suppression, clipping, labels, and the mapping
back to the caller's image are implemented once, in the core (`edgevision.tasks.detect`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InferenceError
from edgevision.tensors import TensorSpec, all_finite

#: Deviation of a class from a whole number that half precision explains.
_ROUNDING = 0.1
_LARGEST_CLASS = 2**31

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Candidate boxes before non-maximum suppression, in any order.

    Attributes:
        boxes_xyxy: float32 ``(n, 4)``: left, top, right, bottom in pixels of the network's input,
            which spans 0…width and 0…height; boxes may extend beyond it.
        scores: float32 ``(n,)``, each 0…1.
        class_ids: int64 ``(n,)``, from 0.
    """

    boxes_xyxy: Floats
    scores: Floats
    class_ids: Ints


class Head(Protocol):
    """A decoder prepared for one network: settings checked, everything independent of the image computed.

    Attributes:
        classes: number of classes; ``None`` if the outputs do not determine it.
    """

    @property
    def classes(self) -> int | None: ...

    def __call__(self, outputs: Mapping[str, Floats], score_threshold: float) -> Candidates:
        """Decode the outputs for one image. Safe to call from several threads.

        Args:
            outputs: name -> float32 array without the batch dimension, dequantized. Not modified.
            score_threshold: 0…1; candidates with a lower score are skipped.

        Raises:
            InferenceError: an output contains NaN or infinity, or scores outside 0…1.
        """
        ...


class Decoder(Protocol):
    """A kind of detection head, provided by a plugin.

    A decoder may also have these attributes, which the functions of the same names read:
    ``nms_applied``: true if such networks apply NMS themselves; ``family_resize``: how the images of such
    networks are fitted to the input, and the value of the borders, where the whole family agrees;
    ``extra_tasks``: words for which metadata may name a network of this kind, besides ``detect``.

    Attributes:
        name: its name in manifests and for ``--decoder``.
    """

    @property
    def name(self) -> str: ...

    def recognise(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int]
    ) -> Mapping[str, Any] | None:
        """Recognise this kind of head by the names and shapes of a network's outputs, without guessing.

        Args:
            outputs: the network's outputs for one image, with shapes without the batch dimension.
            input_size_wh: width and height of the network's input.

        Returns:
            The settings that follow from names and shapes without doubt; ``None`` if the outputs may
            belong to another kind of head.
        """
        ...

    def prepare(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], settings: Mapping[str, Any]
    ) -> Head:
        """Prepare for one network.

        Args:
            outputs, input_size_wh: as in `recognise`.
            settings: JSON values, as in a manifest.

        Raises:
            OptionError: a setting is missing, unknown, or invalid, or the outputs are not compatible;
                the message names the setting or output.
        """
        ...


@runtime_checkable
class DescribedDecoder(Protocol):
    """A decoder that needs less to recognise a network whose metadata says that it is of its kind."""

    def recognise_described(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], classes: int | None
    ) -> Mapping[str, Any] | None:
        """As `Decoder.recognise`, for a network that is known to be of this kind.

        Args:
            outputs, input_size_wh: as in `Decoder.recognise`.
            classes: number of the network's classes; ``None`` if unknown.
        """
        ...


def nms_applied(decoder: Decoder) -> bool:
    """Return whether networks of this kind apply NMS themselves, so that it need not be applied again."""
    return bool(getattr(decoder, "nms_applied", False))


def family_resize(decoder: Decoder) -> tuple[str, int] | None:
    """How images are fitted to networks of this kind, such as ``letterbox``, and the pixel value of borders.

    Returns:
        `None` if networks of this kind differ.
    """
    found = getattr(decoder, "family_resize", None)
    return None if found is None else (str(found[0]), int(found[1]))


def extra_tasks(decoder: Decoder) -> tuple[str, ...]:
    """Words for the task of networks that a decoder reads, besides ``detect``, such as ``pose``."""
    return tuple(getattr(decoder, "extra_tasks", ()))


def recognised(
    decoder: Decoder,
    outputs: Sequence[TensorSpec],
    input_size_wh: tuple[int, int],
    classes: int | None = None,
) -> Mapping[str, Any] | None:
    """The settings of a decoder that a network's metadata or the caller names, as far as they follow.

    Args:
        decoder: the decoder.
        outputs, input_size_wh: as in `Decoder.recognise`.
        classes: number of the network's classes, if known.

    Returns:
        `None` if the outputs cannot be those of such a network, or may be.
    """
    if isinstance(decoder, DescribedDecoder):
        return decoder.recognise_described(outputs, input_size_wh, classes)
    return decoder.recognise(outputs, input_size_wh)


def class_numbers(name: str, values: Floats) -> Ints:
    """Class ids from an output that holds the number of a class for each box.

    Args:
        name: of the output, for errors.
        values: (n,): whole numbers, up to what rounding explains.

    Returns:
        int64 ``(n,)``.

    Raises:
        InferenceError: a value is NaN or infinite, or is no whole number: the output, or this column of it,
            holds something else.
    """
    numbers = np.rint(finite(name, values))
    if len(numbers) == 0 or ((numbers == values).all() and np.abs(numbers).max() <= _LARGEST_CLASS):
        return numbers.astype(np.int64)
    wrong = (np.abs(values - numbers) > _ROUNDING) | (np.abs(numbers) > _LARGEST_CLASS)
    if wrong.any():
        value = float(values[int(wrong.argmax())])
        raise InferenceError(
            f"output '{name}' gave the class {value:.6g}; expected a whole number; "
            "choose another decoder, or another output for the classes"
        )
    return numbers.astype(np.int64)


def finite(name: str, values: Floats) -> Floats:
    """The values of an output, if all are finite.

    Raises:
        InferenceError: a value is NaN or infinite, so no box can be right.
    """
    if not all_finite(values):
        raise InferenceError(f"output '{name}' contains NaN or infinity; expected finite numbers")
    return values
