"""Other ways to prepare the images that a model may have been trained with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from edgevision.imaging.preprocess import INTERPOLATIONS, Preprocessing, keras_applications_preprocessing


@dataclass(frozen=True)
class Alternative:
    """Another way to prepare the images.

    Attributes:
        check: ``colour-order``, ``value-range`` or ``interpolation``.
        description: in words, such as ``as BGR``.
        option: as it is typed, such as ``--color bgr``.
        preprocessing: from an image to the model's input.
    """

    check: str
    description: str
    option: str
    preprocessing: Preprocessing


def alternatives(current: Preprocessing) -> Iterator[Alternative]:
    """The other channel order, and the usual ranges and normalizations."""
    if current.color != "gray":
        swapped = "bgr" if current.color == "rgb" else "rgb"
        other = replace(current, color=swapped, mean=current.mean[::-1], scale=current.scale[::-1])
        yield Alternative("colour-order", f"as {swapped.upper()}", f"--color {swapped}", other)
    for low, high in ((0, 255), (0, 1), (-1, 1)):
        other = replace(current, value_range=(float(low), float(high)), mean=(0.0,), scale=(1.0,))
        option = f"--input-range={low}..{high}"
        yield Alternative("value-range", f"with values of {low}…{high}", option, other)
    if current.color != "gray":
        for family in ("resnet50", "densenet"):
            other = replace(current, **keras_applications_preprocessing(family))
            description = f"with the preprocessing of keras.applications.{family}"
            yield Alternative("value-range", description, f"--preprocess {family}", other)


def other_interpolations(current: Preprocessing) -> Iterator[Alternative]:
    """The other ways to resample pixels."""
    for name in INTERPOLATIONS:
        if name != current.interpolation:
            other = replace(current, interpolation=name)
            yield Alternative("interpolation", f"resized with {name}", f"--interpolation {name}", other)
