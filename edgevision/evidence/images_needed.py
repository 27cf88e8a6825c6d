"""How many images, and groups of images, would show what a set does not."""

from __future__ import annotations

import math

from edgevision.datasets.image_sets import SetFacts


def images_text(images: int | None, facts: SetFacts) -> str:
    """Such as ``about 3838 images``, or with groups ``about 3838 images in 384 groups``; empty for `None`.

    Args:
        images: how many images like those of the set are needed.
        facts: of the set. Groups of a larger set are taken to be of the same mean size: more images per group
            would not replace more groups.
    """
    if images is None:
        return ""
    if facts.groups is None:
        return f"about {images} images"
    groups = math.ceil(images * facts.groups.groups / facts.images)
    return f"about {images} images in {groups} groups"


def groups_text(facts: SetFacts) -> str:
    """Such as `` in 40 groups``; empty without groups."""
    return "" if facts.groups is None else f" in {facts.groups.groups} groups"
