"""Images of an evaluation set that depend on each other: copies, frames of one file, near-duplicates."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgevision.calibration.dependent_images import check_groups, dependence_findings
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError

SCENES = [
    cv2.resize(np.random.default_rng(n).integers(0, 256, (6, 6, 3), np.uint8), (48, 48)) for n in range(20)
]


def _video(frames: int) -> list[np.ndarray]:
    """The same scenes with the noise of a camera."""
    noise = np.random.default_rng(99)
    return [
        np.clip(scene.astype(int) + noise.integers(-3, 4, scene.shape), 0, 255).astype(np.uint8)
        for scene in SCENES
        for _ in range(frames)
    ]


def test_images_of_different_scenes_have_no_finding() -> None:
    assert dependence_findings(ImageSet.from_arrays(SCENES)) == ()


def test_images_without_contrast_are_not_alike_for_that() -> None:
    """Fine noise is grey all over in a thumbnail."""
    noise = np.random.default_rng(1)
    textures = [noise.integers(0, 256, (256, 256, 3), np.uint8) for _ in range(20)]
    assert dependence_findings(ImageSet.from_arrays(textures)) == ()


def test_near_duplicates_suggest_groups_that_were_not_given() -> None:
    (finding,) = dependence_findings(ImageSet.from_arrays(_video(3)))
    assert (finding.check, finding.severity) == ("near-duplicates-in-evaluation", "warning")
    assert finding.subject == "evaluation set"
    assert finding.text.startswith("40 of 60 evaluation images are near-duplicates of another one; intervals")
    assert "pass --groups: arrays[" in finding.text
    assert len(finding.images) == 10


def test_near_duplicates_within_their_groups_are_what_groups_are_for() -> None:
    assert dependence_findings(ImageSet.from_arrays(_video(3), groups=np.arange(60) // 3)) == ()


def test_near_duplicates_in_several_groups_question_the_groups() -> None:
    (finding,) = dependence_findings(ImageSet.from_arrays(_video(2), groups=[n % 2 for n in range(40)]))
    assert "20 of 40 evaluation images are near-duplicates of another one in another group" in finding.text
    assert "check the groups" in finding.text


def test_a_single_pair_is_a_note() -> None:
    (finding,) = dependence_findings(ImageSet.from_arrays([*SCENES, _video(1)[0]]))
    assert finding.severity == "note"


@pytest.mark.parametrize(("copies", "severity"), [(1, "note"), (19, "warning")])
def test_copies_are_told(copies: int, severity: str) -> None:
    images = ImageSet.from_arrays([*SCENES, *[SCENES[0]] * copies]).distinct()
    (finding,) = dependence_findings(images)
    assert (finding.check, finding.severity) == ("copies-in-evaluation", severity)
    assert finding.text.startswith(f"{copies} of {20 + copies} evaluation images are byte-identical copies")
    assert "arrays[20] (copy of arrays[0])" in finding.text


def test_frames_of_one_file_are_no_independent_images(tmp_path: Path) -> None:
    for name, pages in {"a.tif": SCENES[:3], "b.tif": SCENES[3:6], "c.tif": SCENES[6:7]}.items():
        assert cv2.imwritemulti(str(tmp_path / name), pages)
    (finding,) = dependence_findings(ImageSet.open(tmp_path))
    assert (finding.check, finding.severity) == ("frames-of-one-file", "warning")
    assert finding.text.startswith("6 evaluation images are frames of 2 files")
    assert dependence_findings(ImageSet.open(tmp_path, groups="file")) == ()


def test_no_group_may_be_in_both_sets() -> None:
    calibration = ImageSet.from_arrays(SCENES[:4], groups=["p1", "p1", "p2", "p3"], name="own")
    evaluation = ImageSet.from_arrays(SCENES[4:8], groups=["p3", "p4", "p5", "p2"], name="other")
    with pytest.raises(
        InputError, match="2 groups have images in both own and other: p2, p3; .*split the sets"
    ):
        check_groups(calibration, evaluation)
    assert check_groups(calibration, evaluation.at([1, 2])) == ()


def test_groups_of_one_set_alone_are_noted() -> None:
    grouped, plain = ImageSet.from_arrays(SCENES[:2], groups=[1, 2]), ImageSet.from_arrays(SCENES[2:4])
    (first,), (second,) = check_groups(plain, grouped), check_groups(grouped, plain)
    assert "the calibration images have no groups" in first.text
    assert "pass --calibration-groups" in first.text
    assert "the evaluation images have no groups" in second.text
    assert check_groups(plain, plain) == ()
