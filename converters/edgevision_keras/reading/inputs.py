"""The inputs of a model as the rest of the package sees them: images have a height, a width and channels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgevision.errors import OptionError, SourceError
from edgevision_keras.graph.trace import ModelInput

#: Shape with ``None`` for open sizes, the batch first.
Shape = tuple[int | None, ...]

_GREY, _COLOUR = 1, 3
#: Narrower inputs of two axes are tables, and not images.
_NARROWEST_IMAGE = 8
_MOST_VALUES = 2**31 - 1


def model_inputs(
    declared: Mapping[str, tuple[Shape, Any]], input_size_wh: tuple[int, int] | None, path: Path
) -> list[ModelInput]:
    """The inputs of a model.

    The only input of a model is an image if it has the axes (height, width), which stands for grey, or
    (height, width, channels), or (channels, height, width). With `input_size_wh`, a vector of as many
    values is an image as well, row by row.

    Args:
        declared: name -> (shape, TensorFlow's dtype).
        input_size_wh: width and height, where the model leaves them open.
        path: the source, for errors.

    Raises:
        SourceError: an input has open sizes besides those of an image, is neither float nor integer, or is
            larger than any runtime takes.
        OptionError: `input_size_wh` differs from the model's own size.
    """
    alone = len(declared) == 1
    inputs = [
        _input(name, shape, _numeric(name, dtype, path), input_size_wh, path, alone)
        for name, (shape, dtype) in declared.items()
    ]
    for each in inputs:
        if math.prod(each.shape) > _MOST_VALUES:
            sizes = " x ".join(map(str, each.shape))
            raise SourceError(
                f"{path}: input '{each.name}' takes {sizes} values; expected {_MOST_VALUES:,} at most, which "
                "a runtime can index; save the model with a smaller input"
            )
    return inputs


def _input(
    name: str, shape: Shape, dtype: Any, size_wh: tuple[int, int] | None, path: Path, alone: bool
) -> ModelInput:
    if len(shape) == 4:
        return ModelInput(name, _image_shape(name, shape, size_wh, path), dtype)
    if alone and len(shape) == 3 and _is_grey(shape, size_wh):
        image = _image_shape(name, (*shape, _GREY), size_wh, path)
        return ModelInput(name, image, dtype, image[:2])
    if alone and len(shape) == 2 and size_wh is not None and shape[1] is not None:
        return ModelInput(name, _flat_image(shape[1], size_wh, path), dtype, (shape[1],))
    return ModelInput(name, _fixed_shape(name, shape, path), dtype)


def _is_grey(shape: Shape, size_wh: tuple[int, int] | None) -> bool:
    sizes = [size for size in shape[1:] if size is not None]
    return min(sizes, default=_NARROWEST_IMAGE) >= _NARROWEST_IMAGE and (
        len(sizes) == 2 or size_wh is not None
    )


def _flat_image(values: int, size_wh: tuple[int, int], path: Path) -> tuple[int, int, int]:
    width, height = size_wh
    for channels in (_GREY, _COLOUR):
        if values == width * height * channels:
            return height, width, channels
    raise OptionError(
        f"--input-size {width}x{height}: the input of {path} has {values} values; expected "
        f"{width * height} (grey) or {width * height * _COLOUR} (colour); pass another size, or remove "
        "the option"
    )


def _numeric(name: str, dtype: Any, path: Path) -> Any:
    if not (dtype.is_floating or dtype.is_integer):
        raise SourceError(f"{path}: input '{name}' has type {dtype.name}; expected a float or integer type")
    return dtype


def _fixed_shape(name: str, shape: Shape, path: Path) -> tuple[int, ...]:
    if not shape or None in shape[1:]:
        sizes = ", ".join("any" if size is None else str(size) for size in shape)
        raise SourceError(
            f"{path}: input '{name}' has shape ({sizes}); expected a batch and fixed sizes after it"
        )
    return tuple(size for size in shape[1:] if size is not None)


def _image_shape(
    name: str, shape: Shape, size_wh: tuple[int, int] | None, path: Path
) -> tuple[int, int, int]:
    """The axes after the batch, with open sizes taken from `size_wh`."""
    _, first, second, third = shape
    if first in (_GREY, _COLOUR) and third not in (_GREY, _COLOUR):
        height, width = _image_size(name, second, third, size_wh, path)
        return first, height, width
    if third is None:
        raise SourceError(f"{path}: input '{name}' has no fixed number of channels; save the model with one")
    return (*_image_size(name, first, second, size_wh, path), third)


def _image_size(
    name: str, height: int | None, width: int | None, size_wh: tuple[int, int] | None, path: Path
) -> tuple[int, int]:
    if size_wh is None:
        if height is None or width is None:
            raise SourceError(
                f"{path}: input '{name}' accepts images of any size; choose one: pass --input-size WxH "
                "(input_size_wh=(width, height))"
            )
        return height, width
    wanted_width, wanted_height = size_wh
    if height not in (None, wanted_height) or width not in (None, wanted_width):
        raise OptionError(
            f"--input-size {wanted_width}x{wanted_height}: the input of {path} has the fixed size "
            f"{width}x{height}; remove the option"
        )
    return wanted_height, wanted_width
