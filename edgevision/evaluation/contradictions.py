"""Options about the input that contradict what the model itself contains."""

from __future__ import annotations

import numpy as np

from edgevision.calibration.findings import Finding
from edgevision.converter import Source
from edgevision.errors import OptionError
from edgevision.imaging.input_options import InputOptions
from edgevision.imaging.preprocess import Preprocessing

#: Difference of black and white from the values that the model expects, as a share of their range. Some
#: models divide by 256 or 127 where others divide by 255 or 127.5.
_TOLERANCE = 0.02


def check_input_options(
    source: Source, options: InputOptions, preprocessing: Preprocessing, force_input: bool
) -> tuple[Finding, ...]:
    """A warning per option that contradicts the model, where `force_input` accepts it.

    Args:
        source: the trained model, with the facts that were inferred from it.
        options: the caller's statements.
        preprocessing: what follows from both.
        force_input: accept a contradiction.

    Raises:
        OptionError: an option contradicts the model, and `force_input` is false.
    """
    contradictions = [
        text
        for text in (_of_values(source, options, preprocessing), _of_color(source, options, preprocessing))
        if text is not None
    ]
    if contradictions and not force_input:
        raise OptionError(
            f"{source.path}: {'; '.join(contradictions)}. Remove the option, because the model does this "
            f"itself, or pass --force-input (force_input=True) if it was trained like that"
        )
    return tuple(
        Finding("input-contradiction", "warning", f"{text}; --force-input was passed")
        for text in contradictions
    )


def contradicts(source: Source, preprocessing: Preprocessing) -> bool:
    """Return whether a model contains what tells that it expects other values or colours."""
    color = source.facts.color
    return _given_values(source, preprocessing) is not None or color not in (None, preprocessing.color)


def _of_values(source: Source, options: InputOptions, preprocessing: Preprocessing) -> str | None:
    stated, given = _stated(options), _given_values(source, preprocessing)
    if not stated or given is None or source.facts.pixel_range is None:
        return None
    low, high = source.facts.pixel_range
    return (
        f"{stated} gives the model values of {given[0]:.4g} to {given[1]:.4g}, but it expects "
        f"{low:g}…{high:g} ({source.facts.pixel_range_reason})"
    )


def _given_values(source: Source, preprocessing: Preprocessing) -> tuple[float, float] | None:
    """(lowest, highest) value that pixels become, if it is not what the model expects."""
    if source.facts.pixel_range is None:
        return None
    low, high = source.facts.pixel_range
    black, white = (
        (value - np.asarray(preprocessing.mean)) / np.asarray(preprocessing.scale)
        for value in preprocessing.value_range
    )
    allowed = _TOLERANCE * (high - low)
    if np.abs(black - low).max() <= allowed and np.abs(white - high).max() <= allowed:
        return None
    return float(np.minimum(black, white).min()), float(np.maximum(black, white).max())


def _of_color(source: Source, options: InputOptions, preprocessing: Preprocessing) -> str | None:
    color = source.facts.color
    if color is None or color == preprocessing.color or (options.color or options.applications) is None:
        return None
    option = f"--color {options.color}" if options.color else f"--preprocess {options.applications}"
    return (
        f"{option} gives the model {preprocessing.color.upper()} images, but it expects {color.upper()} "
        f"({source.facts.pixel_range_reason}: the means of ImageNet in that order)"
    )


def _stated(options: InputOptions) -> str:
    """The options that determine the values at the input, as they are typed."""
    parts = []
    if options.applications is not None:
        parts.append(f"--preprocess {options.applications}")
    if options.value_range is not None:
        low, high = options.value_range
        parts.append(f"--input-range {low:g}..{high:g}")
    for name in ("mean", "scale"):
        values = getattr(options, name)
        if values is not None:
            parts.append(f"--{name} {','.join(f'{value:g}' for value in values)}")
    return " ".join(parts)
