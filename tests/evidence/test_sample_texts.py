"""Numbers of images in words."""

from __future__ import annotations

import pytest

from edgevision.evidence.sample_texts import in_groups, set_text


@pytest.mark.parametrize(
    ("images", "groups", "text"),
    [
        (1, None, "1 image"),
        (30, None, "30 images"),
        (1, 1, "1 image in 1 group"),
        (400, 40, "400 images in 40 groups"),
    ],
)
def test_the_size_of_a_set_is_written_as_people_write_it(images: int, groups: int | None, text: str) -> None:
    assert set_text(images, groups) == text


def test_needed_images_come_in_groups_of_the_same_size() -> None:
    assert in_groups(1000, 100, 11) == "1000 images in 110 groups"
