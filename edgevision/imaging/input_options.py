"""A network's image input: read from the model, or else stated by the caller, and never guessed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

from edgevision.errors import OptionError
from edgevision.imaging.levels import MAPPING_FIELDS, ValueMapping
from edgevision.imaging.preprocess import (
    INTERPOLATIONS,
    LAYOUTS,
    Preprocessing,
    check_fields,
    keras_applications_preprocessing,
)
from edgevision.system.numeric import plain_fields
from edgevision.tensors import TensorSpec


@dataclass(frozen=True)
class InputOptions:
    """The caller's statements about a network's image input. `None` leaves a field to the model.

    Attributes:
        value_range: (low, high): the values of black and white at the input.
        applications: a family of ``keras.applications``, such as ``mobilenet_v2``, whose
            ``preprocess_input`` the network was trained with.
        mean, scale: subtracted and divided by, after the conversion to `value_range`; one per channel
            or one for all.
        color: channel order: ``rgb``, ``bgr`` or ``gray``.
        resize, interpolation: as in `Preprocessing`; ``stretch`` and ``bilinear`` where the model does not
            say them either.
        pad_value: as in `Preprocessing`.
        size_wh: width and height, for a source that leaves them open.
        bit_depth, pixel_range, window, window_percentiles: as in `Preprocessing`: how the values of images
            with more than 8 bits become black and white; one of them at most.

    Raises:
        OptionError: a field has an invalid value, or two contradict each other; names the field.
    """

    value_range: tuple[float, float] | None = None
    applications: str | None = None
    mean: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None
    color: str | None = None
    resize: str | None = None
    interpolation: str | None = None
    pad_value: int = 0
    size_wh: tuple[int, int] | None = None
    bit_depth: int | None = None
    pixel_range: tuple[float, float] | None = None
    window: tuple[float, float] | str | None = None
    window_percentiles: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        plain_fields(self, "value_range", "mean", "scale", "pad_value", "size_wh", *MAPPING_FIELDS)
        checked = [field.name for field in fields(self) if field.name != "applications"]
        check_fields({name: getattr(self, name) for name in checked if getattr(self, name) is not None})
        stated = [name for name in ("value_range", "mean", "scale") if getattr(self, name) is not None]
        if self.applications is not None and stated:
            raise OptionError(
                f"--preprocess {self.applications} determines the input values already; "
                f"remove {', '.join(stated)}"
            )

    @property
    def mapping(self) -> ValueMapping:
        """How the stored values of an image become black and white."""
        return ValueMapping(self.bit_depth, self.pixel_range, self.window, self.window_percentiles)


class StatedNormalization(NamedTuple):
    """The values at a network's input, as the model itself states them.

    Attributes:
        value_range, mean, scale: as in `Preprocessing`; `None` if the model does not say its range.
        color: channel order; `None` if the model does not say.
        resize, interpolation: as in `Preprocessing`, or in the model's own words; `None` if it does not say.
    """

    value_range: tuple[float, float] | None
    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    color: str | None = None
    resize: str | None = None
    interpolation: str | None = None


def resolve_preprocessing(
    spec: TensorSpec, options: InputOptions, stated: StatedNormalization | None, where: str
) -> Preprocessing:
    """The preprocessing of a network: from the caller's options, else from the model itself.

    Args:
        spec: the network's image input.
        options: the caller's statements.
        stated: the model's own.
        where: the model's name, for errors.

    Raises:
        OptionError: neither states the value range, and a guess would be silently wrong; the model states an
            interpolation that devices do not have; or the input is not an image.
    """
    layout, size_wh, channels = image_layout(spec, where)
    family = None if options.applications is None else keras_applications_preprocessing(options.applications)
    stated_color = family["color"] if family else stated.color if stated else None
    color = options.color or ("gray" if channels == 1 else stated_color or "rgb")
    if (color == "gray") != (channels == 1):
        raise OptionError(
            f"{where}: input '{spec.name}' has {channels} channels, which cannot hold color '{color}'"
        )
    value_range, mean, scale = (
        (family["value_range"], family["mean"], family["scale"])
        if family
        else _normalization(options, stated, spec, where)
    )
    return Preprocessing(
        size_wh=size_wh,
        value_range=value_range,
        resize=options.resize or (stated and stated.resize) or "stretch",
        interpolation=options.interpolation or _stated_interpolation(stated, where),
        color=color,
        mean=mean,
        scale=scale,
        layout=layout,
        pad_value=options.pad_value,
        **options.mapping._asdict(),
    )


def image_layout(spec: TensorSpec, where: str) -> tuple[str, tuple[int, int], int]:
    """(layout, (width, height), channels) of an image input.

    Raises:
        OptionError: not ``(batch, height, width, 1 or 3)`` or ``(batch, 1 or 3, height, width)``.
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


def _stated_interpolation(stated: StatedNormalization | None, where: str) -> str:
    name = (stated and stated.interpolation) or "bilinear"
    if name not in INTERPOLATIONS:
        raise OptionError(
            f"{where}: the model was trained on images resized by {name}, which is none of "
            f"{', '.join(INTERPOLATIONS)}; pass the one that your images are to be resized by, "
            f"such as --interpolation area"
        )
    return name


def _normalization(
    options: InputOptions, stated: StatedNormalization | None, spec: TensorSpec, where: str
) -> tuple[tuple[float, float], tuple[float, ...], tuple[float, ...]]:
    """(value range, mean, scale)."""
    value_range = options.value_range or (stated.value_range if stated else None)
    if value_range is None and spec.dtype == "uint8" and spec.quantization is None:
        value_range = (0.0, 255.0)
    if value_range is None:
        raise OptionError(
            f"{where}: the model does not say which value range its input expects; pass "
            f"--input-range 0..255, --input-range 0..1 or --input-range=-1..1, or --preprocess with the "
            f"keras.applications family that it was trained with, such as --preprocess mobilenet_v2"
        )
    keep = stated if stated and options.value_range is None else StatedNormalization(value_range)
    return value_range, options.mean or keep.mean, options.scale or keep.scale
