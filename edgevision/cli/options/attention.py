"""Options for the attention drift of artifacts."""

from __future__ import annotations

from typing import Any

import click

from edgevision.cli.options.groups import option
from edgevision.errors import OptionError
from edgevision.evidence.attention import AttentionSpecification

ATTENTION_OPTIONS = (
    option(
        "--attention",
        metavar="N",
        type=click.IntRange(min=1),
        help="Measure on N evaluation images whether the answers of each artifact rest on the same parts as "
        "the source's. Takes minutes: about a thousand runs per image and model.",
    ),
    option(
        "--max-attention-drift",
        metavar="X",
        type=click.FloatRange(0, 1, min_open=True),
        help="Largest allowed drift: 1 minus the rank correlation of the two maps, averaged over the images "
        f"and judged by the end of its 95 % interval. On {AttentionSpecification.images} images without "
        "--attention.",
    ),
    option(
        "--attention-runs",
        metavar="N",
        type=click.IntRange(min=32),
        help=f"Runs per image and model at most. Default: {AttentionSpecification.budget}.",
    ),
)


def attention_of(arguments: dict[str, Any]) -> AttentionSpecification | None:
    """The specification of attention drift, out of a command's arguments; `None` without one.

    Raises:
        OptionError: a number of runs without images.
    """
    images, limit, runs = (arguments[name] for name in ("attention", "max_attention_drift", "attention_runs"))
    if images is None and limit is None:
        if runs is not None:
            raise OptionError(f"--attention-runs {runs}: no attention drift is measured; pass --attention 32")
        return None
    stated = {"images": images, "max_drift": limit, "budget": runs}
    return AttentionSpecification(**{name: value for name, value in stated.items() if value is not None})
