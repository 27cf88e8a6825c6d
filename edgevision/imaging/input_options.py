"""What a network takes: found where it says so itself, said by the caller otherwise, never guessed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from edgevision.errors import OptionError
from edgevision.imaging.preprocess import LAYOUTS, Preprocessing, keras_applications_preprocessing
from edgevision.numeric import plain_fields
from edgevision.tensors import TensorSpec


@dataclass(frozen=True)
class InputOptions:
    """What the caller says of a network's image input. `None` leaves a field to what is found.

    Attributes:
        value_range: (low, high): the values that black and white have at the input.
        applications: a family of ``keras.applications``, such as ``mobilenet_v2``, whose
            ``preprocess_input`` the network was trained with.
        mean, scale: subtracted from, and divided by, after `value_range`; one a channel or one
            for all.
        color: order of the channels: ``rgb``, ``bgr`` or ``gray``.
        resize, interpolation, pad_value: as in `Preprocessing`.
        size_wh: width and height, for a source that leaves them open.
    """

    value_range: tuple[float, float] | None = None
    applications: str | None = None
    mean: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None
    color: str | None = None
    resize: str = "stretch"
    interpolation: str = "bilinear"
    pad_value: int = 0
    size_wh: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        plain_fields(self, "value_range", "mean", "scale", "pad_value", "size_wh")
        said = [name for name in ("value_range", "mean", "scale") if getattr(self, name) is not None]
        if self.applications is not None and said:
            raise OptionError(
                f"--preprocess {self.applications} says the values of the input already; "
                f"leave out {', '.join(said)}"
            )


class StatedNormalization(NamedTuple):
    """The values at a network's input, as the network itself tells them.

    Attributes:
        value_range, mean, scale: as in `Preprocessing`.
    """

    value_range: tuple[float, float]
    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)


def resolve_preprocessing(
    spec: TensorSpec, options: InputOptions, found: StatedNormalization | None, where: str
) -> Preprocessing:
    """The preprocessing of a network: what the caller says, else what was found in it.

    Args:
        spec: its image input.
        options: what the caller says.
        found: what the network says.
        where: the network, for errors.

    Raises:
        OptionError: neither tells, and guessing would be silently wrong; or the input is no image.
    """
    layout, size_wh, channels = image_layout(spec, where)
    family = None if options.applications is None else keras_applications_preprocessing(options.applications)
    color = options.color or ("gray" if channels == 1 else family["color"] if family else "rgb")
    if (color == "gray") != (channels == 1):
        raise OptionError(
            f"{where}: input '{spec.name}' has {channels} channels; color '{color}' does not fit"
        )
    values = (
        StatedNormalization(family["value_range"], family["mean"], family["scale"])
        if family
        else _normalization(options, found, spec, where)
    )
    return Preprocessing(
        size_wh=size_wh,
        value_range=values.value_range,
        resize=options.resize,
        interpolation=options.interpolation,
        color=color,
        mean=values.mean,
        scale=values.scale,
        layout=layout,
        pad_value=options.pad_value,
    )


def image_layout(spec: TensorSpec, where: str) -> tuple[str, tuple[int, int], int]:
    """(layout, (width, height), channels) of an image input.

    Raises:
        OptionError: it is not ``(batch, height, width, 1 or 3)`` or ``(batch, 1 or 3, height, width)``.
    """
    shape = spec.shape
    if len(shape) == 4:
        for layout, (height, width, channels) in zip(
            LAYOUTS, ((shape[1], shape[2], shape[3]), (shape[2], shape[3], shape[1])), strict=True
        ):
            if channels in (1, 3) and height and width:
                return layout, (width, height), channels
    raise OptionError(
        f"{where}: input '{spec.name}' is {spec.describe()}; expected an image, "
        f"(batch, height, width, 1 or 3) or (batch, 1 or 3, height, width)"
    )


def _normalization(
    options: InputOptions, found: StatedNormalization | None, spec: TensorSpec, where: str
) -> StatedNormalization:
    value_range = options.value_range or (found.value_range if found else None)
    if value_range is None and spec.dtype == "uint8" and spec.quantization is None:
        value_range = (0.0, 255.0)
    if value_range is None:
        raise OptionError(
            f"{where}: nothing in it tells which values its input takes; type --input-range 0..255, "
            f"--input-range 0..1 or --input-range=-1..1, or --preprocess with the keras.applications family "
            f"that it was trained with, such as --preprocess mobilenet_v2"
        )
    keep = found if found and options.value_range is None else StatedNormalization(value_range)
    return StatedNormalization(value_range, options.mean or keep.mean, options.scale or keep.scale)
