"""The ground truth of an evaluation set, in the form that evaluators compare with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgevision.calibration.findings import listed
from edgevision.datasets.annotations import Annotations, read_annotations, shown_classes
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError, OptionError
from edgevision.imaging.decode import as_image
from edgevision.metrics.classification import Truth
from edgevision.metrics.image_similarity import Pixels
from edgevision.system.arguments import optional_path
from edgevision.tasks.description import ClassifyTask
from edgevision.tasks.labels import abbreviated, parts_hint
from edgevision.tensors import TensorSpec

#: Images that an error names.
_NAMED = 5


@dataclass(frozen=True)
class GroundTruthPaths:
    """Ground truth that is stored apart from the images.

    Attributes:
        annotations: objects in the images: a COCO JSON file, or a folder of Pascal VOC XML files.
        truth: a folder or zip with the expected output of each image.
    """

    annotations: Path | None = None
    truth: Path | None = None

    @classmethod
    def of(cls, annotations: str | Path | None, truth: str | Path | None) -> GroundTruthPaths:
        """From the arguments of a public function."""
        return cls(optional_path(annotations, "annotations"), optional_path(truth, "truth"))


def truth_images(path: str | Path, images: ImageSet) -> list[Pixels]:
    """The expected output of each image: the images of `path` with the same names.

    Raises:
        InputError: one is missing, or cannot be read.
    """
    truth = ImageSet.open(path)
    places = {name: place for place, name in enumerate(truth.image_names)}
    missing = [name for name in images.image_names if name not in places]
    if missing:
        raise InputError(f"{path}: has no image '{missing[0]}', which {images.name} has")
    for copy in images.copies:
        if _digest_at(truth, places.get(copy.of)) != _digest_at(truth, places.get(copy.name)):
            raise InputError(
                f"{images.name}: '{copy.name}' is a byte-identical copy of '{copy.of}', but {path} expects "
                f"different outputs for the two; remove one"
            )
    all_images = [as_image(image) for image in truth]
    return [all_images[places[name]] for name in images.image_names]


def _digest_at(images: ImageSet, place: int | None) -> str | None:
    return None if place is None else images.at([place]).digests[0]


def annotations_of(images: ImageSet, path: str | Path, labels: tuple[str, ...]) -> list[Annotations]:
    """The objects in each image.

    Raises:
        InputError: as `read_annotations`; or a byte-identical copy, which was left out, has others.
    """
    of_copies = [name for copy in images.copies for name in (copy.name, copy.of)]
    found = read_annotations(path, [*images.image_names, *of_copies], labels)
    annotations, pairs = found[: len(images)], found[len(images) :]
    for copy, first, second in zip(images.copies, pairs[::2], pairs[1::2], strict=True):
        if not first.same_as(second):
            raise InputError(
                f"{images.name}: '{copy.name}' is a byte-identical copy of '{copy.of}', but {path} has other "
                f"objects for it; remove one, or correct the annotations"
            )
    return annotations


def has_independent_scores(task: ClassifyTask, output: TensorSpec) -> bool:
    """True if each class has a score of its own, so that an image can show several classes."""
    return task.score_kind == "sigmoid" and output.shape[-1] != 1


def classify_truth(
    images: ImageSet, labels: tuple[str, ...], annotations: str | Path | None, multi_label: bool
) -> Truth | None:
    """The class of each image: int64 ``(images,)`` places in `labels`; `None` if the images have no labels.

    With independent scores and annotations: all classes that an image shows, bool ``(images, classes)``.

    Args:
        images: one or more.
        labels: one name per class.
        annotations: the objects in the images, for a classifier with independent scores.
        multi_label: True for independent scores.

    Raises:
        OptionError: there are annotations, and the classifier assigns one class per image.
        InputError: a class of the images is not in the label list, or the annotations cannot be used.
    """
    if annotations is not None:
        if not multi_label:
            raise OptionError(
                f"--annotations {annotations}: the classifier assigns one class per image; "
                f"remove it, and sort the images into one folder per class"
            )
        return shown_classes(annotations_of(images, annotations, labels), len(labels))
    if images.labels is None:
        # A set of a single class has a single folder, which alone may as well be any folder of images.
        if images.only_folder not in labels:
            return None
        return np.full(len(images), labels.index(images.only_folder), np.int64)
    unknown = [name for name in images.class_names if name not in labels]
    if unknown:
        raise InputError(
            f"{images.name}: class '{unknown[0]}' is not in the label list ({abbreviated(labels)})"
            + (parts_hint(images.class_names) or "; name the folders as the labels")
        )
    _check_copies(images)
    _check_groups(images)
    places = np.array([labels.index(name) for name in images.class_names], np.int64)
    return np.asarray(places[images.labels], np.int64)


def _check_copies(images: ImageSet) -> None:
    """Refuse a byte-identical copy in the folder of another class: one of the two labels is wrong."""
    wrong = [copy for copy in images.copies if copy.label != copy.kept_label]
    if wrong:
        pairs = listed([f"{copy.name} and {copy.of}" for copy in wrong[:_NAMED]], len(wrong))
        raise InputError(
            f"{images.name}: {len(wrong)} images have the same bytes as one of another class, so that one of "
            f"the two labels is wrong: {pairs}; remove one of each"
        )


def _check_groups(images: ImageSet) -> None:
    """Refuse groups that are the classes: of one group per class, nothing shows how much groups differ."""
    if images.groups is None or images.labels is None:
        return
    pairs = set(zip(images.groups.tolist(), images.labels.tolist(), strict=True))
    if len(pairs) == len(set(images.groups.tolist())) == len(set(images.labels.tolist())):
        source = "groups" if images.grouping is None else f"groups {images.grouping.source}"
        raise InputError(
            f"{source}: each class of {images.name} is one group, which cannot show how much groups differ; "
            f"if these are the folders of the classes, pass the level below: folder:2 for cat/patient7/1.jpg"
        )
