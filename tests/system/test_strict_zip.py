"""Zip archives have one reading, or are refused."""

from __future__ import annotations

import io
import random
import stat
import struct
import zipfile
from collections.abc import Callable

import pytest

from edgevision.system.strict_zip import ArchiveError, StrictZip

Entries = list[tuple[str | zipfile.ZipInfo, bytes]]


def _zip(entries: Entries, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


def _of_kind(name: str, kind: int) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.external_attr = (kind | 0o644) << 16
    return member


def _with_flag(flag: int) -> bytes:
    """An archive whose only member has a flag set, in both of its headers."""
    content = bytearray(_zip([("a", b"content")]))
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + place] |= flag
    return bytes(content)


def _declaring(size: int) -> bytes:
    """An archive whose only member declares another size."""
    content = bytearray(_zip([("a", b"content")]))
    struct.pack_into("<I", content, content.index(b"PK\1\2") + 24, size)
    return bytes(content)


def _overlapping() -> bytes:
    """Two members with the same bytes."""
    content = bytearray(_zip([("a", b"x" * 1000), ("b", b"x" * 1000)], zipfile.ZIP_STORED))
    second = content.rindex(b"PK\1\2")
    struct.pack_into("<I", content, second + 42, 0)
    return bytes(content)


def _changed(signature: bytes, place: int, value: bytes) -> bytes:
    """An archive with other bytes in one of its headers."""
    content = bytearray(_zip([("a", b"content")]))
    start = content.index(signature) + place
    content[start : start + len(value)] = value
    return bytes(content)


REFUSED: list[tuple[Callable[[], bytes], str]] = [
    (lambda: _zip([("a", b"1"), ("b", b"2"), ("./a", b"3")]), "contains 'a' twice"),
    (lambda: _zip([("a", b"1"), ("a/b", b"2")]), "'a' is a file and a folder at once"),
    (lambda: _zip([("../a", b"1")]), "leads out"),
    (lambda: _zip([("a/../../b", b"1")]), "leads out"),
    (lambda: _zip([("/etc/passwd", b"1")]), "leads out"),
    (lambda: _zip([("C:/a", b"1")]), "leads out"),
    (lambda: _zip([("a\\b", b"1")]), "leads out"),
    (lambda: _zip([("a\nb", b"1")]), "control character"),
    (lambda: _zip([("a\x1b[2J", b"1")]), "control character"),
    (lambda: _zip([("a\x7f", b"1")]), "control character"),
    (lambda: _zip([("x" * 2000, b"1")]), "2000 characters"),
    (lambda: _zip([(_of_kind("a", stat.S_IFLNK), b"/etc/passwd")]), "'a' is a link"),
    (lambda: _zip([(_of_kind("a", stat.S_IFIFO), b"")]), "'a' is a link or another special file"),
    (lambda: _with_flag(0x1), "encrypted"),
    (lambda: _zip([("a", b"1")], zipfile.ZIP_LZMA), "unsupported compression"),
    (lambda: _zip([("a", b"1")], zipfile.ZIP_BZIP2), "unsupported compression"),
    (lambda: _declaring(1 << 30), "which no compression does"),
    (_overlapping, "lies on another file|Overlapped"),
    (lambda: b"prefix" + _zip([("a", b"1")]), "begins with other content"),
    (lambda: _changed(b"PK\3\4", 6, b"\1"), "'a' has two headers that differ"),
    (lambda: _changed(b"PK\3\4", 6, b"\x08"), "'a' has two headers that differ"),
    (lambda: _changed(b"PK\3\4", 8, b"\0"), "'a' has two headers that differ"),
    (lambda: _changed(b"PK\3\4", 14, b"1234"), "'a' has two headers that differ"),
    (lambda: _changed(b"PK\3\4", 18, b"\1"), "'a' has two headers that differ"),
    (lambda: _changed(b"PK\3\4", 22, b"\1"), "'a' has two headers that differ"),
    (lambda: _changed(b"PK\5\6", 8, b"\0\0"), "lists 1 entries, and counts 1"),
    (lambda: _changed(b"PK\5\6", 10, b"\2\0"), "lists 1 entries, and counts 2"),
    (lambda: _zip([("a", b"1")]) + b"rest", "goes on behind its end"),
    (lambda: _zip([("a/", b"1")]), "'a/' is a folder with a content of its own"),
    (lambda: b"", "undamaged"),
    (lambda: b"PK\5\6", "undamaged"),
]


@pytest.mark.parametrize(("archive", "reason"), REFUSED)
def test_an_archive_with_another_reading_is_refused(archive: Callable[[], bytes], reason: str) -> None:
    with pytest.raises(ArchiveError, match=reason):
        StrictZip(archive())


@pytest.mark.parametrize(("size", "reason"), [(3, "another size|CRC|Bad"), (1000, "another size|CRC|Bad")])
def test_a_member_with_another_size_than_it_declares_is_refused(size: int, reason: str) -> None:
    with pytest.raises(ArchiveError, match=reason):
        StrictZip(_declaring(size), both_headers=False).read("a", 1 << 20)


@pytest.mark.parametrize("large", [False, True], ids=["plain", "zip64"])
def test_a_long_list_is_refused_before_it_is_read(large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    if large:
        monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 10)
    with zipfile.ZipFile(content, "w") as archive:
        for number in range(100):
            archive.writestr(f"{number}/", b"")
    assert (b"PK\6\6" in content.getvalue()) == large
    assert len(StrictZip(content.getvalue(), most_list_bytes=5_000).folders) == 100
    monkeypatch.setattr(zipfile, "ZipFile", None)  # which would read it
    with pytest.raises(ArchiveError, match="lists its entries in 4,890 bytes, expected 1,000 at most"):
        StrictZip(content.getvalue(), most_list_bytes=1_000)


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    archive = StrictZip(_zip([("a", bytes(50_000_000))]))
    with pytest.raises(ArchiveError, match="'a' has 50,000,000 bytes, expected 1,000 at most"):
        archive.read("a", 1000)


def test_a_plain_archive_is_read_and_may_follow_other_content_where_that_is_meant() -> None:
    entries: Entries = [("b/", b""), ("b/2.txt", b"2"), ("bild ä.png", b"x" * 10_000), ("empty", b"")]
    archive = StrictZip(b"model" + _zip(entries), prefixed=True)
    assert archive.sizes == {"b/2.txt": 1, "bild ä.png": 10_000, "empty": 0}
    assert archive.read("bild ä.png", 10_000) == b"x" * 10_000
    with pytest.raises(ArchiveError, match="has no file 'c'"):
        archive.read("c", 10)


def test_what_other_writers_do_is_read() -> None:
    """Sizes behind the content, those of more than 4 GB, and a comment."""

    class Pipe(io.RawIOBase):
        written = b""

        def writable(self) -> bool:
            return True

        def write(self, content: bytes) -> int:  # type: ignore[override]
            self.written += bytes(content)
            return len(content)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
        archive.writestr("a", b"content")
        with archive.open("b", "w", force_zip64=True) as file:
            file.write(b"large")
        archive.comment = b"of a commit"
    opened = StrictZip(pipe.written)
    assert [opened.read(name, 100) for name in opened.sizes] == [b"content", b"large"]


def test_damage_anywhere_is_one_error_or_the_same_content() -> None:
    good = _zip([(f"{number}.txt", str(number).encode() * 50) for number in range(5)])
    choose = random.Random(7)  # noqa: S311
    for _ in range(600):
        damaged = bytearray(good)
        for _ in range(choose.choice((1, 2, 8))):
            damaged[choose.randrange(len(damaged))] = choose.randrange(256)
        try:
            archive = StrictZip(bytes(damaged))
            for name in archive.sizes:
                archive.read(name, 1000)
        except ArchiveError:
            continue
