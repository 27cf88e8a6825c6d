"""The sets of a conversion: copies count once, and no group is in both sets."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgevision.conversion.sets import ConversionSets, open_sets
from edgevision.conversion.settings import ConversionRequest, ConversionSettings
from edgevision.datasets.image_sets import ImageSet, SetFacts
from edgevision.errors import EdgeVisionError, InputError, OptionError
from edgevision.tasks.description import GenerateTask
from edgevision.tasks.generation_settings import LatentSettings
from edgevision.tasks.options import TaskOptions


def _write(folder: Path, names: list[str], seed: int = 0) -> Path:
    random = np.random.default_rng(seed)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        scene = cv2.resize(random.integers(0, 256, (6, 6, 3), np.uint8), (40, 40))
        cv2.imwrite(str(folder / name), scene)
    return folder


def _open(calibration: object, evaluation: object, groups: object = None) -> ConversionSets:
    request = ConversionRequest(
        *(Path("model.keras"), Path("model.evb"), ("raspberry-pi-5",), ("int8",)),
        evaluation=evaluation,  # type: ignore[arg-type]
        calibration=calibration,  # type: ignore[arg-type]
        settings=ConversionSettings(),
        groups=groups,  # type: ignore[arg-type]
    )
    return open_sets(request, ["tflite-int8"] if calibration is not None else [])


CALIBRATION = ["cat/p1/1.png", "cat/p2/1.png", "dog/p1/2.png", "dog/p3/1.png"]
EVALUATION = ["cat/p4/1.png", "cat/p5/1.png", "dog/p4/2.png", "dog/p6/1.png"]


def _checks(sets: ConversionSets) -> set[str]:
    return {finding.check for finding in sets.findings}


def test_groups_of_folders_hold_for_both_sets(tmp_path: Path) -> None:
    own, other = _write(tmp_path / "a", CALIBRATION), _write(tmp_path / "b", EVALUATION, 1)
    sets = _open(own, other, "folder:2")
    assert isinstance(sets.evaluation, ImageSet)
    assert isinstance(sets.calibration, ImageSet)
    assert sets.evaluation.grouping is not None
    assert sets.evaluation.grouping.names == ("p4", "p5", "p6")
    assert sets.calibration.grouping is not None
    assert "groups-of-one-set" not in _checks(sets)


def test_a_patient_in_both_sets_is_named(tmp_path: Path) -> None:
    own, other = _write(tmp_path / "a", CALIBRATION), _write(tmp_path / "b", [*EVALUATION, "cat/p3/9.png"], 1)
    with pytest.raises(InputError, match="1 groups? ha.* in both .*a and .*b: p3"):
        _open(own, other, "folder:2")


def test_calibration_images_that_the_groups_say_nothing_of_are_noted(tmp_path: Path) -> None:
    own = _write(tmp_path / "a", [f"{n}.png" for n in range(4)])
    assert "groups-of-one-set" in _checks(_open(own, _write(tmp_path / "b", EVALUATION, 1), "folder:2"))


def test_calibration_images_of_which_some_have_a_group_are_refused(tmp_path: Path) -> None:
    own = _write(tmp_path / "a", [*CALIBRATION, "cat/loose.png"])
    with pytest.raises(InputError, match="1 of the 5 images of .*a have no group: cat/loose.png"):
        _open(own, _write(tmp_path / "b", EVALUATION, 1), "folder:2")


def test_a_csv_file_describes_both_sets_or_one(tmp_path: Path) -> None:
    own, other = _write(tmp_path / "a", CALIBRATION), _write(tmp_path / "b", EVALUATION, 1)
    rows = [f"{name},{name.split('/')[1]}" for name in EVALUATION]
    (tmp_path / "one.csv").write_text("\n".join(["image,group", *rows]))
    both = [*rows, *(f"{name},{name.split('/')[1]}" for name in CALIBRATION)]
    (tmp_path / "both.csv").write_text("\n".join(["image,group", *both]))
    assert "groups-of-one-set" in _checks(_open(own, other, tmp_path / "one.csv"))
    assert "groups-of-one-set" not in _checks(_open(own, other, tmp_path / "both.csv"))
    (tmp_path / "more.csv").write_text("\n".join(["image,group", *both, "no/such.png,p9"]))
    with pytest.raises(InputError, match="1 of its 9 images are not in .*: no/such.png"):
        _open(own, other, tmp_path / "more.csv")


def test_a_calibration_set_may_have_groups_of_its_own(tmp_path: Path) -> None:
    own = ImageSet.open(
        _write(tmp_path / "a", ["x_1.png", "x_2.png", "p4_1.png", "y.png"]), groups=["x", "x", "p4", "y"]
    )
    with pytest.raises(InputError, match="p4"):
        _open(own.at([1, 2, 3]), _write(tmp_path / "b", EVALUATION, 1), "folder:2")


@pytest.mark.parametrize("calibrated", [True, False])
def test_copies_of_evaluation_images_count_once(tmp_path: Path, calibrated: bool) -> None:
    other = _write(tmp_path / "b", EVALUATION, 1)
    for number in range(5):
        (other / f"cat/p4/copy{number}.png").write_bytes((other / "cat/p4/1.png").read_bytes())
    sets = _open(_write(tmp_path / "a", CALIBRATION) if calibrated else None, other)
    assert isinstance(sets.evaluation, ImageSet)
    facts = SetFacts.of(sets.evaluation, labelled=True)
    assert (facts.images, facts.copies) == (4, 5)
    (told,) = [finding for finding in sets.findings if finding.check == "copies-in-evaluation"]
    assert "5 of 9 evaluation images are byte-identical copies" in told.text
    assert told.severity == "warning"


def test_seeds_have_no_groups() -> None:
    generation = GenerateTask("latent", "made", (0.0, 1.0), "gray", LatentSettings("vector"))
    task = TaskOptions(generation=generation)
    request = ConversionRequest(
        *(Path("model.keras"), Path("model.evb"), ("raspberry-pi-5",), ("float32",)),
        evaluation=None,
        calibration=None,
        settings=ConversionSettings(task),
        groups="folder:1",
    )
    with pytest.raises(OptionError, match="--groups 'folder:1': the model generates images from seeds"):
        open_sets(request, [])


@pytest.mark.parametrize(
    ("groups", "kind", "message"),
    [
        ("folder:9", InputError, "no group"),
        ("nonsense", OptionError, "expected folder:LEVEL"),
        (["a"], OptionError, "expected one per image"),
    ],
)
def test_groups_that_cannot_be_read_end_the_conversion_at_once(
    tmp_path: Path, groups: object, kind: type[EdgeVisionError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        _open(None, _write(tmp_path / "b", EVALUATION), groups)
