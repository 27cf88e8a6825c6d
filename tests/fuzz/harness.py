"""Cases of one kind, each made from a seed and its number alone, in a process that may die of them.

An escape is an error that is not EdgeVision's, a case that takes too long, an answer that differs in silence,
or the death of the process. The process is started again after its death, with the case that follows.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import edgevision as ev
from edgevision.system.cores import cores

#: Seconds that one case may take on a machine that does nothing else.
DEADLINE_S = 30.0
#: Seconds without a word after which the process is killed: before its first case, and later.
START_S, HANG_S = 120.0, 60.0
#: Address space of the process: what would take more is an escape by its MemoryError.
MEMORY_BYTES = 12 << 30
MOST_MESSAGE = 20_000


class EscapeError(Exception):
    """Raised by a case: it went on, and the answer was another one, or something was left behind."""


@dataclass(frozen=True)
class Attempt:
    """One case.

    Attributes:
        facts: what is tried, in words; printed before, so that a death has a name.
        call: may raise an `EdgeVisionError`, and nothing else.
        check: what must work after every case, whatever came of it; raises `EscapeError` if it does not.
    """

    facts: dict[str, Any]
    call: Callable[[], object]
    check: Callable[[], object] = field(default=lambda: None)


@dataclass(frozen=True)
class Kind:
    """A kind of case.

    Attributes:
        name: its word on the command line.
        count: number of cases, where nothing else is asked for.
        open: makes files in a folder, which is the working directory, and returns what makes a case from a
            source of random numbers; its second argument limits the cases to those whose name contains it.
    """

    name: str
    count: int
    open: Callable[[Path, str], Callable[[Random], Attempt]]


@dataclass(frozen=True)
class Cases:
    """Which cases are tried.

    Attributes:
        kind: their kind.
        seed: with another one, all cases are others.
        first: number of the first.
        count: number of cases.
        only: those whose name contains this.
        trace: print the traceback of each escape.
    """

    kind: Kind
    seed: int
    count: int
    first: int = 0
    only: str = ""
    trace: bool = False


def supervised(cases: Cases, program: Path) -> Iterator[dict[str, Any]]:
    """The escapes of all cases, deaths and hangs of the process included.

    Args:
        cases: what is tried.
        program: runs `work` when it is called with ``--worker``.
    """
    first, last = cases.first, cases.first + cases.count
    while first < last:
        command = [sys.executable, str(program), cases.kind.name, "--worker", "--seed", str(cases.seed)]
        command += ["--only", cases.only, "--first", str(first), "--count", str(last - first)]
        process = subprocess.Popen(
            [*command, *(["--trace"] if cases.trace else [])],
            stdout=subprocess.PIPE,
            stderr=None if cases.trace else subprocess.DEVNULL,
            text=True,
        )
        case: dict[str, Any] = {"case": first - 1}
        for row in _rows(process):
            case = row
            if "escape" in case:
                yield case
        code = process.wait()
        if case.get("done"):
            return
        if case["case"] < first:
            yield {**case, "escape": f"the process does not start: exit code {code}"}
            return
        yield {**case, "escape": f"the process hangs, or dies with exit code {code}"}
        first = case["case"] + 1


def _rows(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """What the process says, until it ends or is killed for its silence."""
    assert process.stdout is not None
    alarm = threading.Timer(START_S, process.kill)
    alarm.start()
    for line in process.stdout:
        alarm.cancel()
        alarm = threading.Timer(HANG_S, process.kill)
        alarm.start()
        if line.startswith("{"):  # and is not of a library
            yield json.loads(line)
    alarm.cancel()


def work(cases: Cases) -> None:
    """Run cases in this process; its last line says which one it died of."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    warnings.simplefilter("ignore")
    os.environ["EDGEVISION_TUNE"] = "0"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EDGEVISION_CACHE"] = str(Path(folder, "cache"))
        os.chdir(folder)
        make = cases.kind.open(Path(folder), cases.only)
        for number in range(cases.first, cases.first + cases.count):
            attempt = make(Random(f"{cases.seed}-{number}"))  # noqa: S311
            case = {"kind": cases.kind.name, "seed": cases.seed, "case": number, **attempt.facts}
            print(json.dumps(case), flush=True)
            escape = outcome(attempt, cases.trace)
            if escape:
                print(json.dumps({**case, "escape": escape}), flush=True)
        os.chdir("/")
    print(json.dumps({"done": True}), flush=True)


def outcome(attempt: Attempt, trace: bool = False) -> str:
    """In which way a case escapes; empty if it does not."""
    started = time.monotonic()
    found = ""
    try:
        attempt.call()
    except ev.EdgeVisionError as error:
        found = _wrong_message(error)
    except BaseException as error:
        found = _in_words(error)
        if trace:
            traceback.print_exc()
    took_s = time.monotonic() - started
    if took_s > DEADLINE_S * max(1.0, os.getloadavg()[0] / cores()):
        found = found or f"took {took_s:.0f} s"
    try:
        attempt.check()
    except BaseException as error:
        found = found or f"afterwards: {_in_words(error)}"
    return found


def _wrong_message(error: ev.EdgeVisionError) -> str:
    try:
        length = len(str(error))
        str(error).encode()
    except Exception as failure:
        return f"a message that cannot be read: {type(failure).__name__}"
    return "" if 0 < length <= MOST_MESSAGE else f"a message of {length} characters"


def _in_words(error: BaseException) -> str:
    try:
        text = str(error)[:300]
    except Exception:
        text = "(its text raises)"
    return text if isinstance(error, EscapeError) else f"{type(error).__name__}: {text}"
