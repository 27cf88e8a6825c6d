"""One description from several sources of metadata in one artifact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from edgevision.backend import ArtifactDescription, UnsupportedMetadata

#: Deviation of two normalizations, relative to their range, that printing with few digits explains.
_TOLERANCE = 1e-3


def merged(
    first: ArtifactDescription, first_name: str, second: ArtifactDescription, second_name: str
) -> ArtifactDescription:
    """The description by two sources of metadata; the first is preferred where they say the same.

    Where they contradict each other, that field is refused.

    Args:
        first, second: what each of them says.
        first_name, second_name: their names for messages, such as ``metadata.yaml``.
    """
    found: dict[str, Any] = {}
    unsupported = [*first.unsupported, *second.unsupported]
    for field, (names, alike) in _GROUPS.items():
        ours, theirs = (tuple(getattr(each, name) for name in names) for each in (first, second))
        if ours[0] is None:
            found.update(zip(names, theirs, strict=True))
        elif theirs[0] is not None and not alike(ours, theirs):
            said = f"{first_name}: {_said(names, ours)}"
            reason = f"{second_name} says {_said(names, theirs)}"
            unsupported.append(UnsupportedMetadata(field, said, reason))
    return replace(
        first,
        **found,
        first_label=first.first_label or second.first_label,
        integers_as_pixels=first.integers_as_pixels or second.integers_as_pixels,
        decoders=first.decoders or second.decoders,
        output_places=first.output_places or second.output_places,
        thresholds={**first.thresholds, **second.thresholds},
        side_outputs=first.side_outputs or second.side_outputs,
        score_sigmoids=first.score_sigmoids or second.score_sigmoids,
        unsupported=tuple(unsupported),
    )


def _said(names: tuple[str, ...], values: tuple[Any, ...]) -> str:
    return ", ".join(f"{name} {value!s:.60}" for name, value in zip(names, values, strict=True))


def _same_labels(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> bool:
    """Some exporters write an underscore where a name has a space."""
    plain = [tuple(name.replace(" ", "_") for name in labels) for (labels,) in (ours, theirs)]
    return bool(plain[0] == plain[1])


def _same_values(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> bool:
    (lows, highs), (other_lows, other_highs) = _ends(*ours), _ends(*theirs)
    size = max(abs(high - low) for low, high in zip(lows, highs, strict=True))
    return all(
        abs(one - other) <= _TOLERANCE * size
        for ones, others in ((lows, other_lows), (highs, other_highs))
        for one, other in zip(ones, others, strict=True)
    )


def _ends(
    value_range: tuple[float, float], mean: tuple[float, ...], scale: tuple[float, ...]
) -> tuple[list[float], list[float]]:
    """The values of black and of white for each of three channels."""
    channels = [(mean[n % len(mean)], scale[n % len(scale)]) for n in range(3)]
    low, high = ([(end - m) / s for m, s in channels] for end in value_range)
    return low, high


def _same_resize(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> bool:
    return bool(ours[0] == theirs[0] and (ours[0] != "letterbox" or ours[1] == theirs[1]))


def _equal(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> bool:
    return bool(ours == theirs)


#: The caller's statement -> the fields that it stands for, and whether two statements are the same.
_GROUPS: dict[str, tuple[tuple[str, ...], Callable[[tuple[Any, ...], tuple[Any, ...]], bool]]] = {
    "labels": (("labels",), _same_labels),
    "values": (("value_range", "mean", "scale"), _same_values),
    "color": (("color",), _equal),
    "resize": (("resize", "pad_value"), _same_resize),
    "interpolation": (("interpolation",), _equal),
    "size": (("size_wh",), _equal),
    "scores": (("score_kind",), _equal),
    "task": (("task",), _equal),
}
