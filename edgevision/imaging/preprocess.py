"""Preprocessing: one description, applied alike for every runtime and for the source model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InputError, OptionError
from edgevision.imaging.frame import Frame
from edgevision.imaging.levels import MAPPING_FIELDS, ValueMapping, check_mapping, levelled, plain_pixels
from edgevision.system.arguments import array, one_of, text
from edgevision.system.numeric import is_real, is_whole, plain_fields
from edgevision.system.shown import shown
from edgevision.tensors import MAX_SIDE, Array, Quantization, TensorSpec, is_size_wh

RESIZE_MODES = ("stretch", "letterbox", "corner-letterbox", "center-crop")
INTERPOLATIONS = ("nearest", "bilinear", "area")
COLORS = ("rgb", "bgr", "gray")
LAYOUTS = ("nhwc", "nchw")
#: Dtypes of input tensors that pixels can be written into.
DTYPES = ("float32", "float16", "int32", "int16", "uint16", "uint8", "int8")
#: Of the 256 pixel values, so many that become the same lose an image, and so few that stay different.
_TOO_MANY_ALIKE, _TOO_FEW_VALUES = 128, 16


@dataclass(frozen=True)
class Preprocessing:
    """From an image to a network's input tensor.

    A pixel p in 0…255 becomes ``(low + p / 255 * (high - low) - mean) / scale``, and then, for an
    integer tensor, is quantized with that tensor's own scale and zero point.

    For images with more than 8 bits, or with a window, one of `bit_depth`, `pixel_range`, `window` and
    `window_percentiles` says which values are black and white; without it they are refused. Such a value p
    becomes ``(low + (p - black) / (white - black) * (high - low) - mean) / scale``, and is resized in
    float32.

    Attributes:
        size_wh: width and height of the input tensor, in pixels.
        resize: ``stretch`` to the size; ``letterbox``: the whole image, aspect ratio kept, with borders
            of `pad_value`, as ``tf.image.resize_with_pad``; ``corner-letterbox``: the same with the image in
            the upper left corner, as YOLOX is trained; ``center-crop``: aspect ratio kept, the
            excess cut off, as Keras's ``Resizing(crop_to_aspect_ratio=True)``.
        interpolation: ``nearest``, ``bilinear`` or ``area``, with pixel centres at one half, as in
            ``tf.image.resize`` without antialiasing, rounded to whole pixel values.
        color: channel order of the input tensor: ``rgb``, ``bgr`` or ``gray``.
        value_range: (low, high): the values of pixels 0 and 255.
        mean: subtracted; one per channel (in the order of `color`) or one for all.
        scale: divisor; one per channel (in the order of `color`) or one for all.
        layout: of the tensor: ``nhwc`` or ``nchw``.
        pad_value: pixel value of letterbox borders, 0…255: 255 is white, whatever the bit depth.
        bit_depth: 8…16: black is 0, white is 2**bit_depth - 1. Other values are an error, and so is an image
            with fewer bits: an 8-bit picture where 12 are stated. By default 8.
        pixel_range: (black, white), for values of any kind, floats included; other values are an error.
        window: (centre, width) of DICOM's linear function (PS3.3, C.11.2.1.2.1), which clips, in the values
            that the file or array stores (DICOM: after the modality LUT); or ``file``: the window (VOI LUT)
            of each DICOM file.
        window_percentiles: (low, high), 0…100: black and white are these percentiles of each image's own
            values; it clips.

    Raises:
        OptionError: a field has an invalid value; names the field.
    """

    size_wh: tuple[int, int]
    value_range: tuple[float, float]
    resize: str = "stretch"
    interpolation: str = "bilinear"
    color: str = "rgb"
    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    layout: str = "nhwc"
    pad_value: int = 0
    bit_depth: int | None = None
    pixel_range: tuple[float, float] | None = None
    window: tuple[float, float] | str | None = None
    window_percentiles: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        plain_fields(self, "size_wh", "value_range", "mean", "scale", "pad_value", *MAPPING_FIELDS)
        check_fields({field.name: getattr(self, field.name) for field in fields(self)})

    @property
    def channels(self) -> int:
        """The number of channels of the tensor: 1 for grey, else 3."""
        return 1 if self.color == "gray" else 3

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """The shape of one image in the tensor: (h, w, c), or (c, h, w) for ``nchw``."""
        width, height = self.size_wh
        if self.layout == "nhwc":
            return height, width, self.channels
        return self.channels, height, width

    @property
    def mapping(self) -> ValueMapping:
        """How the stored values of an image become black and white."""
        return ValueMapping(self.bit_depth, self.pixel_range, self.window, self.window_percentiles)

    def resized(self, image: NDArray[np.uint8] | Frame) -> NDArray[np.uint8] | Frame:
        """An image at the network's size, before its colours and values change.

        Preprocessing the result gives the same tensor as preprocessing `image`.

        Args:
            image: (h, w, 3) or (h, w) uint8, or a frame.

        Returns:
            (height, width, 3) or (height, width) uint8, in the colour order of `image`; or, where a mapping
            of values is stated, a frame of that size with its levels.

        Raises:
            InputError: the image has values that the mapping does not cover.
        """
        if not isinstance(image, Frame):
            array(image, "image", axes=(2, 3))
        frame = image if isinstance(image, Frame) else Frame(image, "rgb" if image.ndim == 3 else "gray")
        if self.mapping.is_plain and not isinstance(image, Frame):
            return self.resized_pixels(image)
        return self.resized_frame(frame)

    def resized_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """As `resized`, for an 8-bit image where no other mapping is stated."""
        from edgevision.imaging.resize import resizer

        array(pixels, "pixels", "u", axes=(2, 3))
        _check_image(pixels, "gray" if pixels.ndim == 2 else "rgb")
        width, height = self.size_wh
        out = np.empty((height, width, *pixels.shape[2:]), np.uint8)
        resizer(self.resize, self.interpolation, self.pad_value)(pixels, out)
        return out

    def resized_frame(self, frame: Frame) -> Frame:
        """A frame at the network's size, float32, with its levels; raises as `resized`."""
        from edgevision.imaging.resize import resizer

        frame = levelled(frame, self.mapping)
        width, height = self.size_wh
        if frame.size_wh == self.size_wh:
            return frame
        black, white = frame.levels or (0.0, 255.0)
        out = np.empty((height, width, *frame.pixels.shape[2:]), np.float32)
        pad = black + self.pad_value / 255 * (white - black)
        resizer(self.resize, self.interpolation, pad)(frame.pixels, out)
        return replace(frame, pixels=out)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values; those of `mapping` only where they are stated."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values = {name: v for name, v in values.items() if v is not None or name not in MAPPING_FIELDS}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}

    @classmethod
    def from_dict(cls, data: object, where: str) -> Preprocessing:
        """Preprocessing from the result of `to_dict`.

        Args:
            data: the JSON object.
            where: its place for errors, such as ``model.evb/manifest.json: preprocessing``.

        Raises:
            OptionError: a field is missing, unknown or invalid; names the field.
        """
        where = text(where, "where")
        if not isinstance(data, Mapping):
            raise OptionError(f"{where}: expected an object with fields, got {shown(data)}")
        known = [field.name for field in fields(cls)]
        for name in data:
            if name not in known:
                raise OptionError(f"{where}: unknown field '{name}'; known fields: {', '.join(known)}")
        for name in known:
            if name not in data and name not in MAPPING_FIELDS:
                raise OptionError(f"{where}: field '{name}' is missing")
        try:
            values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
            return cls(**values)
        except OptionError as error:
            raise OptionError(f"{where}: {error}") from error


class Preprocessor:
    """Writes images into the input tensor of a session.

    Everything that does not depend on the image is computed once, by the constructor. Safe to share
    between threads: no state is kept between calls.

    Args:
        preprocessing: from an image to the tensor.
        spec: the tensor; its dtype is one of `DTYPES`.

    Raises:
        OptionError: the shape of `spec` does not match `preprocessing`, or its dtype cannot hold the
            values.
    """

    def __init__(self, preprocessing: Preprocessing, spec: TensorSpec) -> None:
        # Imported here: reading and checking a description must not need OpenCV.
        from edgevision.imaging.pixels import convert_into, is_identity, plane_writer, writer
        from edgevision.imaging.resize import resizer

        check_tensor(preprocessing, spec)
        self.preprocessing = preprocessing
        self.spec = spec
        table = pixel_table(preprocessing, spec)
        in_planes = preprocessing.layout == "nchw" and preprocessing.channels == 3
        self._write = plane_writer(table) if in_planes else writer(table)
        self._straight = not in_planes and table.dtype == np.uint8 and is_identity(table)
        self._in_place = not in_planes and table.itemsize == 1
        self._dtype = table.dtype
        self._shape = preprocessing.image_shape
        self._size_hw = preprocessing.size_wh[::-1]
        self._resize = resizer(preprocessing.resize, preprocessing.interpolation, preprocessing.pad_value)
        self._convert_into = convert_into
        self._in_color = self._in_place and preprocessing.channels == 3
        self._plain = preprocessing.mapping.is_plain

    def __call__(self, image: NDArray[np.uint8] | Frame, out: Array, color: str = "rgb") -> None:
        """Write one image into its row of the input tensor.

        Args:
            image: (h, w, 3) uint8, or (h, w) uint8 for grey; only read; or a frame, whose own colour order
                counts.
            out: the row, of shape `Preprocessing.image_shape` and the tensor's dtype, C-contiguous;
                overwritten completely.
            color: channel order of `image`: ``rgb``, ``bgr`` or ``gray``. Channels are swapped after
                the resize, so that a large BGR frame need not be converted first.

        Raises:
            InputError: `image` or `out` has another shape, dtype or memory layout, or the image has values
                that the preprocessing does not cover.
        """
        self._check_out(out)
        if not isinstance(image, Frame):
            _check_image(image, color)
            image = Frame(image, color)
        self.put(image, out)

    def put(self, frame: Frame, out: Array) -> None:
        """As a call, without its checks of shapes: for frames from `as_frame` and a row of a slot's input.

        Raises:
            InputError: the image has values that the preprocessing does not cover.
        """
        if self._plain and frame.is_plain:
            self.fill(frame.pixels, out, frame.color)
        elif self._plain and frame.pixels.dtype == np.uint8:
            self.fill(plain_pixels(frame, self.preprocessing.mapping), out, frame.color)
        else:
            self._put_levelled(self.preprocessing.resized_frame(frame), out)

    def _put_levelled(self, frame: Frame, out: Array) -> None:
        """Convert colours and values in float: a table would have 65536 rows."""
        pixels, wanted = frame.pixels, self.preprocessing.color
        if frame.color != wanted:
            converted = np.empty((*self._size_hw, *(() if wanted == "gray" else (3,))), np.float32)
            self._convert_into(pixels, frame.color, wanted, converted)
            pixels = converted
        values = tensor_values(self.preprocessing, self.spec, frame.levels or (0.0, 255.0), pixels)
        if self.preprocessing.layout == "nchw" and values.ndim == 3:
            values = values.transpose(2, 0, 1)
        out[...] = values.reshape(self._shape)

    def fill(self, image: NDArray[np.uint8], out: Array, color: str) -> None:
        """As a call, without its checks: for 8-bit pixels of a frame and a row of a slot's input."""
        if not self._in_color or color == "gray" or image.shape == out.shape:
            self.write(self.resize(image, out), out, color)
            return
        pixels = out.view(np.uint8)
        self._resize(image, pixels)
        if color != self.preprocessing.color:
            self._convert_into(pixels, color, self.preprocessing.color, pixels)
        if not self._straight:
            self._write(pixels, out)

    def in_one_step(self, color: str = "rgb") -> bool:
        """Return whether `write` leaves pixels of `color` as they come out of `resize`."""
        return self._straight and color == self.preprocessing.color

    def resize(self, image: NDArray[np.uint8], out: Array) -> NDArray[np.uint8]:
        """The first half of a call: the image at the network's size, with its colours and values unchanged.

        Args:
            image: as in a call.
            out: as in a call.

        Returns:
            (height, width, 3) or (height, width) uint8 for `write`: in the memory of `out` where that
            can hold them, or `image` itself if it has the size already.
        """
        if image.shape[:2] == self._size_hw:
            return image
        pixels = self._room(image.shape[2:], self._flat(out))
        self._resize(image, pixels)
        return pixels

    def write(self, pixels: NDArray[np.uint8], out: Array, color: str = "rgb") -> None:
        """The second half of a call: convert colours and values into `out`.

        Args:
            pixels: the result of `resize` for `out`.
            out: as in a call.
            color: as in a call.
        """
        out, wanted = self._flat(out), self.preprocessing.color
        if color != wanted:
            converted = self._room(() if wanted == "gray" else (3,), out)
            self._convert_into(pixels, color, wanted, converted)
            pixels = converted
        if not (self._straight and np.may_share_memory(pixels, out)):
            self._write(pixels, out)

    def _flat(self, out: Array) -> Array:
        """The row without its channel axis if it is grey: so are grey images and their tables."""
        return out.reshape(self._size_hw) if self.preprocessing.color == "gray" else out

    def _room(self, channels: tuple[int, ...], out: Array) -> NDArray[np.uint8]:
        """Memory for pixels: the row's own where it can hold them, for a new block costs page faults."""
        if self._in_place and out.ndim == 2 + len(channels):
            return out.view(np.uint8)
        return np.empty((*self._size_hw, *channels), np.uint8)

    def _check_out(self, out: Array) -> None:
        if out.shape != self._shape or out.dtype != self._dtype or not out.flags.c_contiguous:
            raise InputError(
                f"row of the input tensor: expected {self._shape} {self._dtype}, contiguous, "
                f"got {out.shape} {out.dtype}"
            )


def check_tensor(preprocessing: Preprocessing, spec: TensorSpec) -> None:
    """Check that a tensor has the shape and one of the dtypes that `preprocessing` writes.

    Raises:
        OptionError: it does not.
    """
    if spec.dtype not in DTYPES:
        raise OptionError(
            f"input '{spec.name}': expected one of {', '.join(DTYPES)} for pixels, got {spec.dtype}"
        )
    expected = preprocessing.image_shape
    if len(spec.shape) != 4 or spec.shape[1:] != expected:
        raise OptionError(
            f"input '{spec.name}': expected (batch, {', '.join(map(str, expected))}), from the size, layout "
            f"and colour of the preprocessing, got {spec.describe()}"
        )


def pixel_table(preprocessing: Preprocessing, spec: TensorSpec) -> Array:
    """The tensor's value for each pixel value.

    Returns:
        (256, 1), or (256, 3) if the channels differ, of the tensor's dtype; as `tensor_values`.

    Raises:
        OptionError: the values exceed the tensor's dtype, or most pixel values become the same.
    """
    pixels = np.arange(256, dtype=np.float64)[:, np.newaxis]
    values = _real_values(preprocessing, (0.0, 255.0), pixels)
    if (values == values[:, :1]).all():
        values = values[:, :1]
    table = _quantized(values, spec)
    _check_distinct(table, preprocessing, spec)
    return table


def tensor_values(
    preprocessing: Preprocessing, spec: TensorSpec, levels: tuple[float, float], pixels: Array
) -> Array:
    """The tensor's values for pixels in its colour order.

    Quantized as the runtimes do: rounded half to even, then clipped to the range of the dtype. The
    values of an integer tensor without quantization are its integers.

    Args:
        preprocessing: the values of black and white in the tensor, mean and scale.
        spec: the tensor.
        levels: the values of black and white in `pixels`.
        pixels: (…, c) or, for grey, of any shape.

    Raises:
        OptionError: the values exceed the tensor's dtype.
    """
    return _quantized(_real_values(preprocessing, levels, pixels), spec)


def _real_values(
    preprocessing: Preprocessing, levels: tuple[float, float], pixels: Array
) -> NDArray[np.float64]:
    (black, white), (low, high) = levels, preprocessing.value_range
    values = low + (pixels.astype(np.float64) - black) * (high - low) / (white - black)
    real: NDArray[np.float64] = (values - np.asarray(preprocessing.mean)) / np.asarray(preprocessing.scale)
    return real


def _quantized(values: NDArray[np.float64], spec: TensorSpec) -> Array:
    dtype = np.dtype(spec.dtype)
    if dtype.kind == "f":
        return _as_float(values, dtype, spec.name)
    quantization = spec.quantization or Quantization(1.0, 0)
    integers = np.rint(values / quantization.scale) + quantization.zero_point
    clipped: Array = integers.clip(np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)
    return clipped


def _check_distinct(table: Array, preprocessing: Preprocessing, spec: TensorSpec) -> None:
    """Refuse a table under which an image is lost: nobody means that most of its pixels become one value."""
    for channel in table.T:
        values, counts = np.unique(channel, return_counts=True)
        if counts.max() < _TOO_MANY_ALIKE and len(values) > _TOO_FEW_VALUES:
            continue
        lost = f"{counts.max()} of the 256 pixel values become {values[counts.argmax()]:g}"
        if counts.max() < _TOO_MANY_ALIKE:
            lost = f"the 256 pixel values become {len(values)} values"
        affine = spec.quantization
        quantized = "" if affine is None else f" with scale {affine.scale:g}, zero point {affine.zero_point}"
        low, high = preprocessing.value_range
        raise OptionError(
            f"input '{spec.name}': {lost} "
            f"by the normalization (value range {low:g}..{high:g}, mean {_listed(preprocessing.mean)}, scale "
            f"{_listed(preprocessing.scale)}) for this {spec.dtype} input{quantized}: the model's own "
            f"metadata, the manifest or an option cannot mean that; state the values that the network was "
            f"trained on with --input-range LOW..HIGH, --mean and --scale"
        )


def _listed(numbers: Sequence[float]) -> str:
    return ",".join(f"{number:g}" for number in numbers)


class PixelValues(TypedDict):
    """The fields of `Preprocessing` that determine the values of pixels, to be passed on with ``**``."""

    color: str
    value_range: tuple[float, float]
    mean: tuple[float, ...]
    scale: tuple[float, ...]


def keras_applications_preprocessing(name: str) -> PixelValues:
    """The preprocessing of ``keras.applications.NAME.preprocess_input``.

    Args:
        name: of the module, such as ``mobilenet_v2`` or ``resnet50``.

    Returns:
        Fields for ``Preprocessing(size_wh=…, **fields)``. Models with built-in preprocessing, such as
        ``efficientnet``, expect 0…255.

    Raises:
        OptionError: no such module; suggests the nearest and lists all.
    """
    if name not in _KERAS_APPLICATIONS:
        import difflib

        nearest = difflib.get_close_matches(name, _KERAS_APPLICATIONS, n=1)
        guess = f"did you mean '{nearest[0]}'? " if nearest else ""
        raise OptionError(
            f"keras.applications has no preprocessing '{name}'; {guess}it has: "
            + ", ".join(sorted(_KERAS_APPLICATIONS))
        )
    return _KERAS_APPLICATIONS[name].copy()


_WORDS = {"resize": RESIZE_MODES, "interpolation": INTERPOLATIONS, "color": COLORS, "layout": LAYOUTS}

_AS_THEY_ARE = PixelValues(color="rgb", value_range=(0.0, 255.0), mean=(0.0,), scale=(1.0,))
_TF = PixelValues(color="rgb", value_range=(-1.0, 1.0), mean=(0.0,), scale=(1.0,))
_TORCH = PixelValues(
    color="rgb", value_range=(0.0, 1.0), mean=(0.485, 0.456, 0.406), scale=(0.229, 0.224, 0.225)
)
_CAFFE = PixelValues(color="bgr", value_range=(0.0, 255.0), mean=(103.939, 116.779, 123.68), scale=(1.0,))

_KERAS_APPLICATIONS: dict[str, PixelValues] = {
    "convnext": _AS_THEY_ARE,
    "densenet": _TORCH,
    "efficientnet": _AS_THEY_ARE,
    "efficientnet_v2": _AS_THEY_ARE,
    "inception_resnet_v2": _TF,
    "inception_v3": _TF,
    "mobilenet": _TF,
    "mobilenet_v2": _TF,
    "mobilenet_v3": _AS_THEY_ARE,
    "nasnet": _TF,
    "resnet": _CAFFE,
    "resnet50": _CAFFE,
    "resnet_v2": _TF,
    "vgg16": _CAFFE,
    "vgg19": _CAFFE,
    "xception": _TF,
}


def _check_image(image: NDArray[np.uint8], color: str) -> None:
    if color not in COLORS:
        raise InputError(f"color: expected one of {', '.join(COLORS)}, got {shown(color)}")
    valid = image.ndim == 2 if color == "gray" else image.ndim == 3 and image.shape[2] == 3
    if not valid or image.dtype != np.uint8 or image.size == 0:
        expected = "(h, w)" if color == "gray" else "(h, w, 3)"
        raise InputError(f"{color} image: expected {expected} uint8, got {image.shape} {image.dtype}")


def _as_float(values: NDArray[np.float64], dtype: np.dtype[Any], name: str) -> Array:
    with np.errstate(over="ignore"):
        table = values.astype(dtype)
    if not np.isfinite(table).all():
        raise OptionError(
            f"input '{name}': pixels become {values.min():g}…{values.max():g}, which exceeds {dtype}; "
            f"pass another value range, mean or scale"
        )
    return table


def check_fields(values: Mapping[str, Any]) -> None:
    """Check some fields of a `Preprocessing`, or all.

    Args:
        values: name -> value, with tuples for sequences.

    Raises:
        OptionError: a field has an invalid value; names the field.
    """
    for name, known in _WORDS.items():
        if name in values:
            one_of(values[name], known, f"preprocessing: {name}")
    check_mapping(values)
    lengths = (1,) if values.get("color") == "gray" else (1, 3)
    numbers = f"{_or(lengths)} finite numbers"
    for name, value in values.items():
        if name == "size_wh":
            _check(name, value, is_size_wh(value), f"two whole numbers, 1 to {MAX_SIDE}")
        elif name == "value_range":
            _check(name, value, _are_finite(value, (2,)), "two finite numbers")
            _check(name, value, value[0] < value[1], "a low number, then a higher one")
        elif name == "pad_value":
            _check(name, value, is_whole(value) and value <= 255, "a whole number in 0…255")
        elif name not in MAPPING_FIELDS and name not in _WORDS:
            _check(name, value, _are_finite(value, lengths), numbers)
            _check(name, value, name != "scale" or 0 not in value, "no 0: pixels are divided by it")


def _check(name: str, value: object, valid: bool, expected: str) -> None:
    if not valid:
        raise OptionError(f"preprocessing: {name}: expected {expected}, got {shown(value, 200)}")


def _are_finite(values: object, lengths: Sequence[int]) -> bool:
    return isinstance(values, tuple) and len(values) in lengths and all(map(is_real, values))


def _or(lengths: Sequence[int]) -> str:
    return " or ".join(map(str, lengths))
