"""Finds out what code changes in its process, and what it prints to stdout."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


@contextmanager
def unchanged_process() -> Iterator[None]:
    """Run a block in an empty working directory, and expect it to leave the process as it was.

    Raises:
        AssertionError: the block changed the working directory, signal handlers, numpy's handling of errors,
            its random numbers or the umask, left files in the working directory, or printed to stdout.
    """
    home = os.getcwd()  # noqa: PTH109
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as printed:
        os.chdir(folder)
        saved = _redirected(printed.fileno())
        before = _state()
        try:
            yield
            after, cwd = _state(), os.getcwd()  # noqa: PTH109
        finally:
            _restore(saved)
            np.seterr(**before["numpy.seterr"])
            os.chdir(home)
        changed = [name for name, value in before.items() if after[name] != value]
        assert not changed, (
            f"changed {', '.join(changed)} of the process; leave it to the program that runs there"
        )
        assert os.path.realpath(cwd) == os.path.realpath(folder), (
            "changed the working directory; use full paths"
        )
        left = sorted(file.name for file in Path(folder).iterdir())
        assert not left, f"left {', '.join(left)} in the working directory; write to settings.cache_dir alone"
        printed.seek(0)
        text = printed.read()
        assert not text, (
            f"printed to stdout, which belongs to the program: {text[:80]!r}; use the log or stderr"
        )


@contextmanager
def no_temporary_files() -> Iterator[None]:
    """Run a block with a folder of its own for temporary files, and expect it to leave none.

    Raises:
        AssertionError: it left some.
    """
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = before
        left = sorted(file.name for file in Path(folder).iterdir())
        assert not left, f"left temporary files: {', '.join(left)}; remove them with the conversion"


def _state() -> dict[str, Any]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT)
    return {
        "the handling of signals": [signal.getsignal(one) for one in numbers],
        "numpy.seterr": np.geterr(),
        "numpy's global random numbers": int(np.random.get_state()[1].sum()),  # type: ignore[index]
        "the umask": _umask(),
        "sys.excepthook": sys.excepthook,
    }


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _redirected(target: int) -> tuple[int, Any]:
    sys.stdout.flush()
    saved = os.dup(1), sys.stdout
    os.dup2(target, 1)
    sys.stdout = open(target, "w", closefd=False)  # noqa: SIM115
    return saved


def _restore(saved: tuple[int, Any]) -> None:
    sys.stdout.flush()
    os.dup2(saved[0], 1)
    os.close(saved[0])
    sys.stdout = saved[1]
