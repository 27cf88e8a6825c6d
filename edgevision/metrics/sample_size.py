"""How many images it takes to show that a limit is kept, from the formulas that the verdict is made with."""

from __future__ import annotations

from collections.abc import Callable

from edgevision.metrics.bounded_means import upper_limit_of_drop
from edgevision.metrics.intervals import clopper_pearson

#: Sets larger than this are not looked for.
_MOST_IMAGES = 100_000_000


def images_needed(bound: Callable[[int], float], limit: float, at_least: bool) -> int | None:
    """The fewest images whose unfavourable end keeps `limit`; `None` if no number of images does.

    Args:
        bound: number of images -> the unfavourable end of the interval that so many images have, if they
            look like those at hand. More images bring it nearer to the value itself.
        limit: required value.
        at_least: whether `limit` is a lower limit; otherwise it is an upper one.
    """

    def keeps(images: int) -> bool:
        return bound(images) >= limit if at_least else bound(images) <= limit

    return fewest(keeps, _MOST_IMAGES)


def fewest(
    are_enough: Callable[[int], bool], most: int, near: int = 1, parts: int | None = None
) -> int | None:
    """The fewest images that are enough; `None` if no number of them is.

    Args:
        are_enough: number of images -> True from that number on.
        most: sets larger than this are not looked for.
        near: a number to begin at.
        parts: the number may be too large by one of so many parts of it; `None`: it is exact.
    """
    too_few, enough = 0, near
    if are_enough(enough):
        while enough > 1 and are_enough(enough // 2):
            enough //= 2
        too_few = enough // 2
    else:
        while not are_enough(enough):
            if enough >= most:
                return None
            too_few, enough = enough, enough + max(1, enough // 2)
    while enough - too_few > (1 if parts is None else max(1, enough // parts)):
        middle = (enough + too_few) // 2
        too_few, enough = (too_few, middle) if are_enough(middle) else (middle, enough)
    return enough


def images_for_share(expected: float, limit: float, *, confidence: float = 0.95) -> int | None:
    """Images that show that a share, such as accuracy or agreement, is at least `limit`.

    Args:
        expected: the share that is expected, 0…1.
        limit: required share, 0…1.
        confidence: of the two-sided interval (`clopper_pearson`) whose lower limit must keep `limit`.
    """
    if expected <= limit:
        return None
    return images_needed(
        lambda images: clopper_pearson(expected * images, images, confidence=confidence).low, limit, True
    )


def positives_for_sensitivity(expected: float, limit: float, *, confidence: float = 0.95) -> int | None:
    """Images of the class of interest that show, at `confidence`, that a sensitivity is at least `limit`.

    With an expected sensitivity of 1 these are Wilks's (1941): 59 for 95 % at a confidence of 95 %.

    Args:
        expected: the sensitivity that is expected, 0…1.
        limit: required sensitivity, 0…1.
        confidence: of the lower limit alone.
    """
    return images_for_share(expected, limit, confidence=2 * confidence - 1)


def images_for_paired_drop(
    lost: float, gained: float, limit: float, *, confidence: float = 0.95
) -> int | None:
    """Images that show that the drop of a share of hits, such as accuracy, is at most `limit`.

    Args:
        lost: share of the images that only the source is expected to hit, 0…1.
        gained: share that only the artifact is expected to hit, 0…1.
        limit: largest drop, 0…1.
        confidence: of the two-sided interval whose upper limit must keep `limit`.
    """
    if lost - gained >= limit:
        return None
    return images_needed(
        lambda images: upper_limit_of_drop(lost * images, gained * images, images, confidence=confidence),
        limit,
        False,
    )
