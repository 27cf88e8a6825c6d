"""Class names come from a file or from class folders, one per class."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgevision.errors import OptionError
from edgevision.tasks.labels import network_labels, read_labels


def test_one_class_per_line(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("Ente\n großer Vogel \n\n", encoding="utf-8")
    assert read_labels(path) == ("Ente", "großer Vogel")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00"])
def test_a_file_without_labels_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(OptionError, match=r"labels\.txt"):
        read_labels(path)


def test_class_folders_name_the_classes_and_without_any_they_are_numbered() -> None:
    assert network_labels(None, ("cat", "dog"), 2, "m.keras") == ("cat", "dog")
    assert network_labels(None, (), 2, "m.keras") == ("class 0", "class 1")


def test_too_few_class_folders_ask_for_labels() -> None:
    with pytest.raises(OptionError, match="2 class folders, but m.keras has 3 classes; .*--labels FILE"):
        network_labels(None, ("cat", "dog"), 3, "m.keras")


def test_a_file_must_match_the_network_and_the_folders(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("dog\ncat\nowl\n")
    assert network_labels(path, ("cat", "dog"), 3, "m.keras") == ("dog", "cat", "owl")
    with pytest.raises(OptionError, match="3 labels, but m.keras has 2 classes"):
        network_labels(path, (), 2, "m.keras")
    with pytest.raises(OptionError, match="class folder 'fox' of the evaluation set is not among"):
        network_labels(path, ("fox",), 3, "m.keras")
