"""Texts lose the folders of absolute paths, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgevision.system.private_paths import base_name, with_texts, without_folders, words_without_folders

KNOWN = ("/srv/Jane Doe/scans", "../John Smith/scans.zip", "scans")


@pytest.mark.parametrize(
    ("text", "reduced"),
    [
        ("evaluation set /srv/Jane Doe/scans: 2 files", "evaluation set scans: 2 files"),
        ("/srv/Jane Doe/scans/cat/1.png is damaged", "scans/cat/1.png is damaged"),
        ("/srv/Jane Doe/scans-old is another", "scans-old is another"),
        ("../John Smith/scans.zip: cat/1.png", "scans.zip: cat/1.png"),
        ("open '/home/jane/a b.png'", "open 'a b.png'"),
        ("/home/jane/model.keras, /tmp/x.so; (/usr/lib/y.so)", "model.keras, x.so; (y.so)"),
        (r"C:\Users\jane\model.keras is old", "model.keras is old"),
        ("D:/jane/model.keras", "model.keras"),
        (r"\\server\jane\model.keras", "model.keras"),
        ("~/scans/a.png and ~jane/b.png", "a.png and b.png"),
        # What is no path
        ("/model/conv1/Conv", "/model/conv1/Conv"),
        ("https://example.com/home/jane", "https://example.com/home/jane"),
        ("1/2, n/a, and/or, a/tmp/b, ~5/10 of", "1/2, n/a, and/or, a/tmp/b, ~5/10 of"),
        ("cat/1.png", "cat/1.png"),
        ("/usr", "/usr"),
        ("", ""),
    ],
)
def test_a_text_has_no_folder_of_an_absolute_path(text: str, reduced: str) -> None:
    assert without_folders(KNOWN)(text) == reduced


def test_what_lies_below_the_home_or_the_working_folder_keeps_its_name_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "Jane Doe"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    assert without_folders()(f"{home}/my scans/1.png is damaged") == "my scans/1.png is damaged"


@pytest.mark.parametrize(
    ("path", "name"), [("/a/b", "b"), ("b/", "b"), ("/", "/"), ("a/..", ""), (".", ""), ("..", "")]
)
def test_the_base_name_of_a_folder_is_never_dots(path: str, name: str) -> None:
    assert base_name(path) == (name or Path(path).resolve().name or "/")


def test_below_the_root_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/usr")
    assert base_name("..") == "/"


def test_words_of_a_command_line_have_base_names_however_a_path_is_spelled() -> None:
    words = (
        "edgevision",
        "pack",
        "../Doe//a.evb",
        "--replace",
        "x=../Doe/b.tflite",
        "--output=c.evb",
        "=",
        "a=",
    )
    known = {Path("../Doe/a.evb"), Path("../Doe/b.tflite"), Path("c.evb")}
    assert words_without_folders(words, known)[2:6] == ("a.evb", "--replace", "x=b.tflite", "--output=c.evb")
    assert words_without_folders(words, known)[6:] == ("=", "a=")


def test_every_text_of_a_record_is_changed() -> None:
    @dataclass(frozen=True)
    class Record:
        names: tuple[str, ...]
        rows: dict[str, Any]
        count: int = 3

    record = Record(("/opt/a/b",), {"/opt/a/c": ["/opt/d", 1.5, None]})
    assert with_texts(record, without_folders()) == Record(("b",), {"c": ["d", 1.5, None]})
