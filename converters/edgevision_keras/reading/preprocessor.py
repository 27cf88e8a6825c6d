"""The preprocessing that a model's file describes beside its layers: KerasHub's preprocessors do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edgevision.converter import StatedPreprocessing
from edgevision_keras.reading.safety import entries

#: Fields of KerasHub's ``ImageConverter``, which no other object of its preprocessors has together.
_CONVERTER_FIELDS = frozenset({"image_size", "scale", "offset", "interpolation"})
_WHITE = 255.0


def stated_preprocessing(config: Any) -> StatedPreprocessing | None:
    """The preprocessing in the configuration of a task model, beside its graph; `None` without one.

    Args:
        config: the parsed configuration of a model file, from anyone: fields of other types than KerasHub
            writes are passed over.
    """
    model = config.get("config") if isinstance(config, Mapping) else None
    preprocessor = model.get("preprocessor") if isinstance(model, Mapping) else None
    for entry in entries(preprocessor):
        converter = entry.get("config")
        if isinstance(converter, Mapping) and converter.keys() >= _CONVERTER_FIELDS:
            return _of_converter(converter, str(entry["class_name"]))
    return None


def _of_converter(converter: Mapping[str, Any], name: str) -> StatedPreprocessing | None:
    """Its pixels are ``value * scale + offset``, of each channel or of all."""
    scales, offsets = _numbers(converter["scale"], 1.0), _numbers(converter["offset"], 0.0)
    if scales is None or offsets is None or min(scales) <= 0:
        return None
    size_wh = _size_wh(converter["image_size"])
    reason = f"the model's preprocessor ({name}) multiplies by {_listed(scales)} and adds {_listed(offsets)}"
    stated = StatedPreprocessing(
        reason=reason,
        value_range=(offsets[0], _WHITE * scales[0] + offsets[0]),
        size_wh=size_wh,
        resize=None if size_wh is None else _resize(converter),
        interpolation=None if size_wh is None else _interpolation(converter),
    )
    if len(set(scales)) == len(set(offsets)) == 1:
        return stated
    channels = max(len(scales), len(offsets))
    scales, offsets = (many * (channels // len(many)) for many in (scales, offsets))
    return replace(
        stated,
        value_range=(0.0, _WHITE),
        mean=tuple(-offset / scale for offset, scale in zip(offsets, scales, strict=True)),
        scale=tuple(1 / scale for scale in scales),
    )


def _numbers(value: Any, otherwise: float) -> tuple[float, ...] | None:
    """One number, or one per channel; `None` if it is anything else."""
    values = value if isinstance(value, (list, tuple)) else [otherwise if value is None else value]
    if len(values) not in (1, 3) or not all(type(number) in (int, float) for number in values):
        return None
    return tuple(map(float, values))


def _size_wh(size: Any) -> tuple[int, int] | None:
    if not isinstance(size, (list, tuple)) or len(size) != 2:
        return None
    height, width = size
    return (width, height) if all(type(side) is int and side > 0 for side in size) else None


def _resize(converter: Mapping[str, Any]) -> str:
    if converter.get("crop_to_aspect_ratio"):
        return "center-crop"
    return "letterbox" if converter.get("pad_to_aspect_ratio") else "stretch"


def _interpolation(converter: Mapping[str, Any]) -> str:
    name = str(converter["interpolation"])
    return f"{name} with antialiasing" if converter.get("antialias") and name != "nearest" else name


def _listed(numbers: tuple[float, ...]) -> str:
    return ", ".join(f"{number:.4g}" for number in dict.fromkeys(numbers))
