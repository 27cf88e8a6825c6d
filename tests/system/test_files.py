"""Files are written whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgevision.errors import OutputError
from edgevision.system import files
from edgevision.system.files import check_folder_of, make_folder, temporary_files, write_file


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
    with pytest.raises(OutputError, match="file: the folder cannot be created"):
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
