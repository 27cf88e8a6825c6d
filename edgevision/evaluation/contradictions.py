"""Options about the input that contradict what the model itself contains."""

from __future__ import annotations

import numpy as np

from edgevision.calibration.findings import Finding
from edgevision.converter import Source, SourceFacts
from edgevision.errors import OptionError
from edgevision.evaluation.source_model import stated_normalization
from edgevision.imaging.input_options import InputOptions, StatedNormalization
from edgevision.imaging.preprocess import INTERPOLATIONS, RESIZE_MODES, Preprocessing
from edgevision.tensors import Array

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
    stated = stated_normalization(source.facts)
    if stated is None:
        return ()
    found = (
        _of_values(stated, source.facts, options, preprocessing),
        _of_color(stated, source.facts, options, preprocessing),
        _of_word("resize", stated.resize, options.resize, source.facts),
        _of_word("interpolation", stated.interpolation, options.interpolation, source.facts),
    )
    contradictions = [text for text in found if text is not None]
    if contradictions and not force_input:
        raise OptionError(
            f"{source.path}: {'; '.join(contradictions)}. Remove the option, because the model says this "
            f"itself, or pass --force-input (force_input=True) if it was trained like that"
        )
    return tuple(
        Finding("input-contradiction", "warning", f"{text}; --force-input was passed")
        for text in contradictions
    )


def contradicts(source: Source, preprocessing: Preprocessing) -> bool:
    """True if the model itself says that it expects other values, colours or pixels."""
    stated = stated_normalization(source.facts)
    if stated is None:
        return False
    words = [(stated.color, preprocessing.color), (stated.interpolation, preprocessing.interpolation)]
    return _other_values(stated, preprocessing) is not None or any(a not in (None, b) for a, b in words)


def _of_values(
    stated: StatedNormalization, facts: SourceFacts, options: InputOptions, preprocessing: Preprocessing
) -> str | None:
    typed, given = _typed(options), _other_values(stated, preprocessing)
    if not typed or given is None or stated.value_range is None:
        return None
    low, high = _black_and_white(stated.value_range, stated)
    return (
        f"{typed} gives the model values of {given[0]:.4g} to {given[1]:.4g}, but it expects "
        f"{low.min():.4g}…{high.max():.4g} ({_reason(facts)})"
    )


def _of_color(
    stated: StatedNormalization, facts: SourceFacts, options: InputOptions, preprocessing: Preprocessing
) -> str | None:
    color = stated.color
    if color is None or color == preprocessing.color or (options.color or options.applications) is None:
        return None
    option = f"--color {options.color}" if options.color else f"--preprocess {options.applications}"
    return (
        f"{option} gives the model {preprocessing.color.upper()} images, but it expects {color.upper()} "
        f"({_reason(facts)}: the means of ImageNet in that order)"
    )


def _of_word(name: str, stated: str | None, typed: str | None, facts: SourceFacts) -> str | None:
    # What the model says in words of its own has no equal among the options, so that one must be chosen.
    if typed is None or stated in (None, typed) or stated not in (*RESIZE_MODES, *INTERPOLATIONS):
        return None
    where = "its first layers" if facts.preprocessing is None else facts.preprocessing.reason
    return f"--{name} {typed} is not the model's own '{stated}' ({where})"


def _other_values(stated: StatedNormalization, preprocessing: Preprocessing) -> tuple[float, float] | None:
    """(lowest, highest) value that pixels become, if they are not what the model expects."""
    if stated.value_range is None:
        return None
    low, high = _black_and_white(stated.value_range, stated)
    black, white = _black_and_white(preprocessing.value_range, preprocessing)
    allowed = _TOLERANCE * np.abs(high - low).max()
    if np.abs(black - low).max() <= allowed and np.abs(white - high).max() <= allowed:
        return None
    return float(np.minimum(black, white).min()), float(np.maximum(black, white).max())


def _black_and_white(
    value_range: tuple[float, float], values: StatedNormalization | Preprocessing
) -> tuple[Array, Array]:
    """The values that the pixels 0 and 255 become, per channel or for all."""
    mean, scale = np.asarray(values.mean), np.asarray(values.scale)
    low, high = value_range
    return (low - mean) / scale, (high - mean) / scale


def _reason(facts: SourceFacts) -> str:
    return facts.pixel_range_reason if facts.preprocessing is None else facts.preprocessing.reason


def _typed(options: InputOptions) -> str:
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
