"""Only regular files of bounded size are read, from the descriptor that was checked."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from edgevision.system.reading import (
    open_file,
    read_file,
    read_file_below,
    read_start,
    read_system_file,
    read_text,
)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 43)


MAKERS: list[tuple[Callable[[Path], object], str]] = [
    (_pipe, "is a pipe"),
    (_socket, "is a socket"),
    (Path.mkdir, "is a folder"),
    (_sparse, r"has 8,796,093,022,208 bytes, expected .* at most"),
    (lambda path: path.symlink_to("/dev/zero"), "is a device"),
    (lambda path: path.symlink_to(path.name), "is a link, or leads over too many"),
    (lambda path: None, "No such file"),
]


@pytest.mark.parametrize(("make", "reason"), MAKERS)
@pytest.mark.parametrize(
    "read", [lambda path: read_file(path, 1 << 60), lambda path: read_text(path, 1 << 60)]
)
def test_what_is_no_regular_file_of_bounded_size_is_refused_at_once(
    tmp_path: Path, make: Callable[[Path], object], reason: str, read: Callable[[Path], object]
) -> None:
    make(tmp_path / "file")
    with pytest.raises(OSError, match=reason):
        read(tmp_path / "file")


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b", "x" * 300])
def test_a_name_that_no_file_can_have_is_an_os_error(tmp_path: Path, name: str) -> None:
    for read in (read_file, read_start):
        with pytest.raises(OSError, match=r"no file can have|too long"):
            read(f"{tmp_path}/{name}", 100)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 3_000_000])
def test_a_file_is_read_whole_up_to_its_limit(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    assert read_file(tmp_path / "file", size) == content
    assert read_start(str(tmp_path / "file"), 10) == content[:10]
    if size:
        with pytest.raises(OSError, match="expected"):
            read_file(tmp_path / "file", size - 1)


def test_links_are_followed_where_the_user_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_file(tmp_path / "link", 100) == b"content"


def test_files_of_the_kernel_state_no_size_and_are_read() -> None:
    assert "VmRSS" in read_system_file("/proc/self/status")
    assert read_system_file("/proc/no-such-file") == ""


def test_a_file_that_grows_while_it_is_read_keeps_to_its_limit(tmp_path: Path) -> None:
    path, ended = tmp_path / "log", threading.Event()
    path.write_bytes(b"x" * 1000)

    def grow() -> None:
        with path.open("ab", buffering=0) as file:
            while not ended.is_set():
                file.write(b"x" * 1000)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        for _ in range(50):
            try:
                assert len(read_file(path, 100_000)) <= 100_000
            except OSError as error:
                assert "bytes" in str(error)  # noqa: PT017 - either is right
    finally:
        ended.set()
        writer.join()


def test_a_pipe_that_takes_the_place_of_a_file_before_it_is_opened_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    original = os.open

    def swapped(name: Path, *args: int) -> int:
        path.unlink()
        os.mkfifo(path)
        return original(name, *args)

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(OSError, match="is a pipe"):
        open_file(path)


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/../../secret", "link", "out/secret", "", "a//b"]
)
def test_below_a_folder_no_name_leads_out_of_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    folder = tmp_path / "folder"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "file").write_bytes(b"content")
    (folder / "link").symlink_to("../secret")
    (folder / "out").symlink_to("..")
    assert read_file_below(folder, "a/file", 100) == b"content"
    with pytest.raises(OSError, match=r"leads out|is a link|Not a directory"):
        read_file_below(folder, name, 100)
