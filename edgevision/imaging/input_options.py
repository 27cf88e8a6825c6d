"""A network's image input: read from the model, or else stated by the caller, and never guessed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

from edgevision.errors import MissingOptionError, OptionError
from edgevision.imaging.levels import MAPPING_FIELDS, ValueMapping
from edgevision.imaging.preprocess import (
    INTERPOLATIONS,
    LAYOUTS,
    Preprocessing,
    check_fields,
    keras_applications_preprocessing,
)
from edgevision.system.arguments import optional_text
from edgevision.system.missing_options import MissingOptions
from edgevision.system.numeric import plain_fields
from edgevision.tensors import Quantization, TensorSpec


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
        resize, interpolation, pad_value: as in `Preprocessing`. Where the model does not say them either:
            as all networks with its decoder are trained, such as ``letterbox`` and 114 for YOLO; else
            ``stretch``, ``bilinear`` and 0.
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
    pad_value: int | None = None
    size_wh: tuple[int, int] | None = None
    bit_depth: int | None = None
    pixel_range: tuple[float, float] | None = None
    window: tuple[float, float] | str | None = None
    window_percentiles: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "applications", optional_text(self.applications, "applications"))
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
        pad_value: as in `Preprocessing`; `None` if it does not say.
        integers_as_pixels: an integer input takes the pixel values as they are, whatever the rest says.
    """

    value_range: tuple[float, float] | None
    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    color: str | None = None
    resize: str | None = None
    interpolation: str | None = None
    pad_value: int | None = None
    integers_as_pixels: bool = False


def resolve_preprocessing(
    spec: TensorSpec,
    options: InputOptions,
    stated: StatedNormalization | None,
    where: str,
    family_resize: tuple[str, int] | None = None,
) -> Preprocessing:
    """The preprocessing of a network: from the caller's options, else from the model itself.

    Args:
        spec: the network's image input.
        options: the caller's statements.
        stated: the model's own.
        where: the model's name, for errors.
        family_resize: `edgevision.decoder.family_resize` of the model's decoder; `None` without one.

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
    missing = MissingOptions(where)
    with missing.collected():
        value_range, mean, scale = (
            (family["value_range"], family["mean"], family["scale"])
            if family
            else _normalization(options, stated, spec, where)
        )
    with missing.collected():
        interpolation = options.interpolation or _stated_interpolation(stated, where)
    missing.check()
    family_mode, family_pad = family_resize or ("stretch", 0)
    pads = (options.pad_value, stated.pad_value if stated else None, family_pad)
    return Preprocessing(
        size_wh=size_wh,
        value_range=value_range,
        resize=options.resize or (stated and stated.resize) or family_mode,
        interpolation=interpolation,
        color=color,
        mean=mean,
        scale=scale,
        layout=layout,
        pad_value=next(value for value in pads if value is not None),
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
        raise MissingOptionError(
            where,
            f"the model was trained on images resized by {name}, which is none of "
            f"{', '.join(INTERPOLATIONS)}; pass the one that your images are to be resized by, "
            f"such as --interpolation area",
        )
    return name


def _normalization(
    options: InputOptions, stated: StatedNormalization | None, spec: TensorSpec, where: str
) -> tuple[tuple[float, float], tuple[float, ...], tuple[float, ...]]:
    """(value range, mean, scale)."""
    if stated and options.value_range is None and _enters_as_pixels(spec, stated):
        stated = StatedNormalization(_pixel_range(spec))
    value_range = options.value_range or (stated.value_range if stated else None)
    if value_range is None and spec.dtype == "uint8" and spec.quantization is None:
        value_range = (0.0, 255.0)
    if value_range is None:
        raise MissingOptionError(
            where,
            "the model does not say which value range its input expects; pass "
            "--input-range 0..255, --input-range 0..1 or --input-range=-1..1, or --preprocess with the "
            "keras.applications family that it was trained with, such as --preprocess mobilenet_v2",
        )
    keep = stated if stated and options.value_range is None else StatedNormalization(value_range)
    return value_range, options.mean or keep.mean, options.scale or keep.scale


def _enters_as_pixels(spec: TensorSpec, stated: StatedNormalization) -> bool:
    """True if an integer input takes the pixel values, whatever its own quantization would make of them.

    Readers of TFLite Metadata feed integer inputs the pixels, and its writers knew it: a mean of 0 and a
    scale of 1, the identity, says so too, also for an input whose integers stand for other numbers.
    """
    if spec.dtype not in ("uint8", "int8"):
        return False
    identity = stated.value_range == (0.0, 255.0) and set(stated.mean) == {0.0} and set(stated.scale) == {1.0}
    return identity or (stated.integers_as_pixels and spec.dtype == "uint8")


def _pixel_range(spec: TensorSpec) -> tuple[float, float]:
    """The real numbers that the lowest and the highest integer of an input stand for."""
    lowest = -128 if spec.dtype == "int8" else 0
    affine = spec.quantization or Quantization(1.0, 0)
    low, high = ((lowest + pixel - affine.zero_point) * affine.scale for pixel in (0, 255))
    return low, high
