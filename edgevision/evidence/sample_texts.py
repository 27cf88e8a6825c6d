"""Numbers of images, and of groups of images, in words, the same in every message and report."""

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
    groups = None if facts.groups is None else facts.groups.groups
    return "" if images is None else f"about {in_groups(images, facts.images, groups)}"


def in_groups(needed: int, images: int, groups: int | None) -> str:
    """Such as ``3838 images``, or with groups ``3838 images in 384 groups``.

    Args:
        needed: images of a larger set.
        images, groups: of the set at hand, whose groups have the same mean size; `None` without groups.
    """
    return set_text(needed, None if groups is None else math.ceil(needed * groups / images))


def set_text(images: int, groups: int | None) -> str:
    """The size of a set, such as ``1 image`` or ``400 images in 40 groups``."""
    return _counted(images, "image") + ("" if groups is None else f" in {_counted(groups, 'group')}")


def groups_text(facts: SetFacts) -> str:
    """Such as `` in 40 groups``; empty without groups."""
    return "" if facts.groups is None else f" in {_counted(facts.groups.groups, 'group')}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
