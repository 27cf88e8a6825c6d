"""Call everything public with bad arguments: ``python tests/fuzz/bad_calls.py --count 14000 --seed 7``.

An escape is an error that is not EdgeVision's, a call that takes too long, an answer that differs after a
bad call, or the death of the process. Every case is made from the seed and its number alone:
``--seed 7 --first 123 --count 1 --trace`` replays one.

The calls run in a process of their own, which is started again after its death.
"""

from __future__ import annotations

import argparse
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
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import edgevision as ev
from fuzz.bad_values import bad_value
from fuzz.entry_points import Entry, entries

#: Seconds that one call may take.
DEADLINE_S = 10.0
#: Seconds without a word after which the process is killed.
HANG_S = 60.0
#: Address space of the process: what would take more is an escape by its MemoryError.
MEMORY_BYTES = 12 << 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1400)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--only", default="", help="calls whose name contains this")
    parser.add_argument("--trace", action="store_true", help="print the traceback of each escape")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options)
        return
    escapes = list(supervised(options))
    for escape in escapes:
        print(json.dumps(escape))
    print(f"{options.count} calls tried, {len(escapes)} escapes (seed {options.seed})")
    sys.exit(1 if escapes else 0)


def supervised(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The escapes of all cases, deaths and hangs of the process included."""
    first, last = options.first, options.first + options.count
    while first < last:
        command = [sys.executable, __file__, "--worker", "--seed", str(options.seed), "--only", options.only]
        command += ["--first", str(first), "--count", str(last - first)]
        process = subprocess.Popen(
            [*command, *(["--trace"] if options.trace else [])],
            stdout=subprocess.PIPE,
            stderr=None if options.trace else subprocess.DEVNULL,
            text=True,
        )
        case: dict[str, Any] = {"case": first - 1}
        alarm = threading.Timer(HANG_S, process.kill)
        alarm.start()
        assert process.stdout is not None
        for line in process.stdout:
            alarm.cancel()
            alarm = threading.Timer(HANG_S, process.kill)
            alarm.start()
            if not line.startswith("{"):  # of a library
                continue
            case = json.loads(line)
            if "escape" in case:
                yield case
        alarm.cancel()
        code = process.wait()
        if case.get("done"):
            return
        yield {**case, "escape": f"the process hangs, or dies with exit code {code}"}
        if case["case"] < first:
            return  # it does not even start
        first = case["case"] + 1


def work(options: argparse.Namespace) -> None:
    """Run cases in this process; its last line says which one it died of."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    warnings.simplefilter("ignore")
    os.environ["EDGEVISION_TUNE"] = "0"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EDGEVISION_CACHE"] = str(Path(folder, "cache"))
        os.chdir(folder)
        calls = entries(Path(folder), options.only)
        expected = {entry.name: entry.check() for entry in calls}
        for number in range(options.first, options.first + options.count):
            run(calls, expected, Path(folder), options.seed, number, options.trace)
        os.chdir("/")
    print(json.dumps({"done": True}), flush=True)


def run(
    calls: list[Entry], expected: dict[str, bytes], folder: Path, seed: int, number: int, trace: bool
) -> None:
    """One case: prints its name, and an escape if it is one."""
    random = Random(f"{seed}-{number}")  # noqa: S311
    entry = random.choice(calls)
    arguments = dict(entry.good)
    kinds: dict[str, str] = {}
    for name in random.sample(sorted(arguments), min(len(arguments), random.choice([1, 1, 1, 2]))):
        kinds[name], arguments[name] = bad_value(random, folder)
    case: dict[str, Any] = {"seed": seed, "case": number, "call": entry.name, "arguments": kinds}
    print(json.dumps(case), flush=True)
    started = time.monotonic()
    outcome = ""
    try:
        entry.call(**arguments)
    except ev.EdgeVisionError as error:
        try:
            if not str(error) or len(str(error)) > 20_000:
                outcome = f"a message of {len(str(error))} characters"
        except Exception as failure:
            outcome = f"a message that cannot be read: {type(failure).__name__}"
    except BaseException as error:
        outcome = f"{type(error).__name__}: {safe(error)}"
        if trace:
            traceback.print_exc()
    if time.monotonic() - started > DEADLINE_S:
        outcome = outcome or f"took {time.monotonic() - started:.0f} s"
    try:
        if entry.check() != expected[entry.name]:
            outcome = outcome or "the next good call answers otherwise"
    except BaseException as error:
        outcome = outcome or f"the next good call raises {type(error).__name__}: {safe(error)}"
    if outcome:
        print(json.dumps({**case, "escape": outcome}), flush=True)


def safe(error: BaseException) -> str:
    try:
        return str(error)[:200]
    except Exception:
        return "(its text raises)"


if __name__ == "__main__":
    main()
