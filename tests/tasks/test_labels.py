"""Class names come from a file or from class folders, one per class."""

from __future__ import annotations

import pytest

from edgevision.errors import OptionError
from edgevision.tasks.labels import network_labels


def test_class_folders_name_the_classes_and_without_any_they_are_numbered() -> None:
    assert network_labels(None, ("cat", "dog"), 2, "m.keras") == ("cat", "dog")
    assert network_labels(None, (), 2, "m.keras") == ("class 0", "class 1")


def test_too_few_class_folders_ask_for_labels() -> None:
    with pytest.raises(OptionError, match="2 class folders, but m.keras has 3 classes; .*--labels FILE"):
        network_labels(None, ("cat", "dog"), 3, "m.keras")


def test_stated_labels_must_match_the_network_and_the_folders() -> None:
    labels = ("dog", "cat", "owl")
    assert network_labels(labels, ("cat", "dog"), 3, "m.keras") == labels
    with pytest.raises(OptionError, match="a.txt: 3 labels, but m.keras has 2 classes; if class 0"):
        network_labels(labels, (), 2, "m.keras", "a.txt")
    with pytest.raises(OptionError, match="class folder 'fox' of the evaluation set is not among"):
        network_labels(labels, ("fox",), 3, "m.keras")


def test_the_parts_of_a_data_set_are_no_classes() -> None:
    # A classifier of two classes would otherwise be given the labels "train" and "val".
    with pytest.raises(OptionError, match=r"train, val are parts of a data set: pass .* FOLDER/val"):
        network_labels(None, ("train", "val"), 2, "m.keras")
    with pytest.raises(OptionError, match="FOLDER/test"):
        network_labels(("cat", "dog"), ("Training", "test"), 2, "m.keras")
    assert network_labels(None, ("bus", "train"), 2, "m.keras") == ("bus", "train")
    assert network_labels(("test", "train"), ("test", "train"), 2, "m.keras") == ("test", "train")
