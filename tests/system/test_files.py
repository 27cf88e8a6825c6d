"""Files are written whole or not at all."""

from __future__ import annotations

import os
import random
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgevision.errors import OutputError
from edgevision.system import files
from edgevision.system.files import (
    ABSENT,
    OutputState,
    check_folder_of,
    make_folder,
    temporary_files,
    write_file,
    write_folder,
)

#: ``EDGEVISION_REPEATS=10`` kills and races as many times more.
REPEATS = int(os.environ.get("EDGEVISION_REPEATS", "1"))


def test_a_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_paths_may_be_text(tmp_path: Path) -> None:
    make_folder(str(tmp_path / "a" / "b"))
    check_folder_of(str(tmp_path / "a" / "b" / "c.png"), "-o")
    write_file(str(tmp_path / "a" / "b" / "c.png"), b"new")
    assert (tmp_path / "a" / "b" / "c.png").read_bytes() == b"new"


def test_a_write_that_fails_half_way_leaves_the_old_file_intact(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    # A limit on the size of files: the kernel refuses the rest, as a full disk does.
    program = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from edgevision.errors import OutputError\n"
        "from edgevision.system.files import write_file\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: write_file(Path(sys.argv[1]), bytes(1 << 20))\n"
        "except OutputError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert "a.png: cannot be written" in done.stdout
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_does_not_exist_or_is_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"a\.png: cannot be written"):
        write_file(tmp_path / "absent" / "a.png", b"")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="file: the folder cannot be created: a file is there; choose"):
        make_folder(tmp_path / "file")


def test_temporary_files_are_there_for_the_block_and_gone_after_it() -> None:
    with temporary_files({"a.bin": b"1", "b.bin": b"2"}) as folder:
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"a.bin": b"1", "b.bin": b"2"}
    assert not folder.exists()


@pytest.mark.parametrize("room_in_memory", [True, False])
def test_temporary_files_are_in_memory_where_no_folder_is_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room_in_memory: bool
) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/no-such-folder"])
    monkeypatch.setattr(files, "_FOLDERS_IN_MEMORY", (str(tmp_path if room_in_memory else tmp_path / "no"),))
    if room_in_memory:
        with temporary_files({"a.bin": b"1"}) as folder:
            assert folder.parent == tmp_path
        assert list(tmp_path.iterdir()) == []
    else:
        with pytest.raises(OutputError, match="TMPDIR: .*; set TMPDIR to one that is"), temporary_files({}):
            pass


def test_a_new_file_has_the_mode_of_the_umask_and_a_replaced_one_keeps_its_own(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_file(tmp_path / "new", b"")
        write_folder(tmp_path / "folder", {"a/b": b""}, ABSENT, ())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "folder" / "a" / "b").stat().st_mode) == 0o640
    for name, mode in (("new", 0o604), ("folder", 0o710), ("folder/a/b", 0o600)):
        (tmp_path / name).chmod(mode)
    write_file(tmp_path / "new", b"x")
    write_folder(tmp_path / "folder", {"a/b": b"x"}, OutputState.of(tmp_path / "folder"), ["a/b"])
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o604
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o710
    assert stat.S_IMODE((tmp_path / "folder" / "a" / "b").stat().st_mode) == 0o600


@pytest.fixture(params=["exchanged in one step", "in steps"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With renameat2, and as on a system or disk without it."""
    if request.param == "in steps":
        monkeypatch.setattr(files, "_renamed", lambda old, new, flag: False)
    return str(request.param)


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("existed", [False, True])
def test_what_another_wrote_meanwhile_is_kept(tmp_path: Path, way: str, folder: bool, existed: bool) -> None:
    path = tmp_path / "output"

    def write(content: bytes, before: OutputState) -> None:
        if folder:
            write_folder(path, {"a": content}, before, ["a"])
        else:
            write_file(path, content, before)

    if existed:
        write(b"old", ABSENT)
    before = OutputState.of(path)  # both look before their long work
    write(b"first", before)
    with pytest.raises(OutputError, match="output: was written by another program meanwhile, and is kept"):
        write(b"second", before)
    assert (path / "a" if folder else path).read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(OutputError, match="is not a regular file, so it is not replaced"):
            write_file(tmp_path / name, b"")
    with pytest.raises(OutputError, match="is not a regular file"):
        write_file("/dev/null", b"")


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b", "x" * 300])
def test_a_name_that_no_file_can_have_is_an_output_error(tmp_path: Path, name: str) -> None:
    for write in (lambda path: write_file(path, b""), lambda path: check_folder_of(path, "-o"), make_folder):
        with pytest.raises(OutputError):
            write(tmp_path / name)


def test_a_name_of_the_greatest_length_is_written(tmp_path: Path) -> None:
    write_file(tmp_path / ("x" * 255), b"new")
    assert (tmp_path / ("x" * 255)).read_bytes() == b"new"


@pytest.mark.parametrize("before_it_is_put", [True, False])
def test_a_folder_with_files_of_others_is_kept_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, before_it_is_put: bool
) -> None:
    path = tmp_path / "output"
    write_folder(path, {"a": b"old"}, ABSENT, ())
    before = OutputState.of(path)
    if before_it_is_put:
        (path / "thesis.txt").write_text("years of work")
        before = OutputState.of(path)
    else:  # it comes in the last moment
        original = OutputState.of.__func__  # type: ignore[attr-defined]

        def late(cls: type[OutputState], name: Path) -> OutputState:
            state = original(cls, name)
            (path / "thesis.txt").write_text("years of work")
            return state  # type: ignore[no-any-return]

        monkeypatch.setattr(OutputState, "of", classmethod(late))
    with pytest.raises(OutputError, match=r"other files than its own \(thesis.txt\), so it is not replaced"):
        write_folder(path, {"a": b"new"}, before, ["a"])
    assert (path / "a").read_bytes() == b"old"
    assert (path / "thesis.txt").read_text() == "years of work"
    assert list(tmp_path.iterdir()) == [path]


def test_the_leftovers_of_dead_writers_are_removed_and_those_of_the_living_are_not(tmp_path: Path) -> None:
    dead = [tmp_path / f".out.{number:016x}.tmp" for number in range(2)]
    dead[0].write_bytes(b"half")
    (dead[1] / "inner").mkdir(parents=True)
    (dead[1] / "inner" / "a").write_bytes(b"half")
    others = [
        tmp_path / name for name in (".out.tmp", ".other.0000000000000000.tmp", ".out.xyz.tmp", "out.tmp")
    ]
    for other in others:
        other.write_bytes(b"another's")
    with (
        files._temporary_folder(tmp_path / "out") as living,
        files._temporary_file(tmp_path / "out") as (own, _),
    ):
        write_file(tmp_path / "out", b"new")
        assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "out", living, own, *others])


@pytest.mark.parametrize("make", [files._temporary_folder, files._temporary_file])
def test_what_another_writer_removes_as_a_leftover_before_it_is_locked_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Any]
) -> None:
    removed: list[Path] = []
    is_own = files._is_own

    def taken_first(building: Path, descriptor: int) -> bool:
        if removed:
            return is_own(building, descriptor)
        removed.append(building)
        others = os.open(building, os.O_RDONLY)
        try:
            assert files._locked(others)
            return is_own(building, descriptor)
        finally:
            os.close(others)

    monkeypatch.setattr(files, "_is_own", taken_first)
    with make(tmp_path / "out") as made:
        assert removed[0] not in (made, *(made if isinstance(made, tuple) else ()))


def test_what_may_still_be_put_back_is_no_leftover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    path = tmp_path / "out"
    write_folder(path, {"a": b"old"}, ABSENT, ())
    (path / "thesis.txt").write_text("years of work")
    listed = files.files_below

    def as_another_begins(folder: Path) -> set[str]:
        files.remove_leftovers(path)
        return listed(folder)

    monkeypatch.setattr(files, "files_below", as_another_begins)
    with pytest.raises(OutputError, match=r"other files than its own \(thesis.txt\)"):
        write_folder(path, {"a": b"new"}, OutputState.of(path), ["a"])
    assert (path / "a").read_bytes() == b"old"
    assert (path / "thesis.txt").read_text() == "years of work"


def test_the_old_folder_is_put_back_after_a_death_between_two_steps(tmp_path: Path) -> None:
    path = tmp_path / "out"
    write_folder(path, {"a": b"old"}, ABSENT, ())
    path.rename(tmp_path / ".out.0123456789abcdef.old")
    (tmp_path / ".out.0123456789abcdef.tmp").mkdir()
    files.remove_leftovers(path)
    assert list(tmp_path.iterdir()) == [path]
    assert (path / "a").read_bytes() == b"old"


WRITER = """
import os
import sys
from pathlib import Path
from edgevision.system.files import OutputState, write_folder
path, size = Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
while True:
    content = os.urandom(4) * size
    write_folder(path, {"parts/a": content, "parts/b": content}, OutputState.of(path), ["parts/a", "parts/b"])
"""


def test_a_folder_is_whole_and_at_its_place_whenever_its_writer_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "out"
    write_folder(path, {"parts/a": b"0000", "parts/b": b"0000"}, ABSENT, ())
    choose = random.Random(5)  # noqa: S311
    seen = set()
    for _ in range(15 * REPEATS):
        with subprocess.Popen([sys.executable, "-c", WRITER, path, "5000"], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            until = time.monotonic() + choose.uniform(0, 0.3)
            while time.monotonic() < until:
                assert path.is_dir()
            writer.kill()
        first = (path / "parts" / "a").read_bytes()
        assert (path / "parts" / "b").read_bytes() == first
        seen.add(first[:4])
    assert len(seen) > 5, "the writers were killed before they wrote"
    files.remove_leftovers(path)
    assert list(tmp_path.iterdir()) == [path]


RACER = """
import sys
from pathlib import Path
from edgevision.errors import OutputError
from edgevision.system.files import ABSENT, OutputState, write_folder
path, name, force = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "True"
before = OutputState.of(path) if force else ABSENT
print("ready", flush=True)
sys.stdin.readline()
try:
    write_folder(path, {"who": name.encode()}, before, ["who"])
except OutputError as error:
    print(error)
    raise SystemExit(12)
"""


@pytest.mark.parametrize("force", [False, True])
def test_of_writers_of_one_output_exactly_one_wins_and_the_others_are_told(
    tmp_path: Path, force: bool
) -> None:
    path = tmp_path / "out"
    for _ in range(4 * REPEATS):
        if force and not path.exists():
            write_folder(path, {"who": b"nobody"}, ABSENT, ())
        elif not force and path.exists():
            (path / "who").unlink()
            path.rmdir()
        command = [sys.executable, "-c", RACER, path]
        racers = [
            subprocess.Popen(
                [*command, name, str(force)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for name in ("a", "b", "c")
        ]
        for racer in racers:
            assert racer.stdout is not None
            racer.stdout.readline()
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("\n")
            racer.stdin.flush()
        outputs = [racer.communicate()[0] for racer in racers]
        codes = [racer.returncode for racer in racers]
        assert sorted(codes) == [0, 12, 12], outputs
        assert all("written by another program" in output for output in outputs if output)
        assert (path / "who").read_text() == "abc"[codes.index(0)]
        assert list(tmp_path.iterdir()) == [path]
