"""Run every promise of reliability, and write ``docs/reliability.md``.

    python benchmarks/reliability.py                          every row, as often as its tests do it
    python benchmarks/reliability.py --times 10 --seed 7      ten times as often, with other cases
    python benchmarks/reliability.py --row exit --row fork    some rows; the others keep their last result
    python benchmarks/reliability.py --row graphs --again     the cases alone that escaped in it

Each row keeps its last result in ``benchmarks/reliability.jsonl``, after each of its parts: what was tried,
how often, how many escaped, on which commit and machine. The page is written from these. A part that fails
as a whole is an escape, and the run goes on. The exit code is 1 if anything escaped.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click

from edgevision.system.files import write_file
from edgevision.system.machine import now, this_machine
from edgevision.system.revision import revision

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from fuzz.run import KINDS  # noqa: E402 - the tests are no package

PAGE, RESULTS = ROOT / "docs" / "reliability.md", ROOT / "benchmarks" / "reliability.jsonl"

HEAD = """# Reliability

Every promise of [SECURITY.md](../SECURITY.md) that can be tried, how it is tried, and what came of it. An
*escape* is a crash of the host, a hang past the deadline, another answer in silence, a file that is half
written or lost, or an error that is not in the package's tree. "Tried" counts cases of the fuzz harness, each
of which its seed and number replay, or tests of the named files, which may try many cases each.

This page is written by the command that runs it; `--row NAME` runs one row, and the others keep what they
found last, on the commit that they name:

```bash
python benchmarks/reliability.py --times 10
```

| row | promise | tried | escapes | seconds | how | commit |
| --- | --- | --- | --- | --- | --- | --- |
"""
TAIL = """
Not promised, and not counted: what "Not promised" in [SECURITY.md](../SECURITY.md) lists. A bundle of row
`graphs`, whose artifact was exchanged, is opened as `edgevision.load` opens it, with its known answers as
they were: a runtime that dies or answers otherwise does so in the child that checks the first load. With
`selftest="never"` the host opens it itself.
"""


#: Seconds that the tests of one file, or the soak of one backend, may take: ten times what they do in CI, and
#: more on a busy machine.
_MOST_SECONDS = 2 * 3600.0


@dataclass(frozen=True)
class Outcome:
    """Result of a row, or of what has run of it: how many were tried, of what, and what escaped, in words."""

    tried: int
    unit: str
    escapes: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One promise.

    Attributes:
        name: on the command line and in the page.
        promise: in words.
        how: the command or the files of tests, for the page.
        run: takes the factor and the seed, and yields what has run so far after each part.
    """

    name: str
    promise: str
    how: str
    run: Callable[[int, int], Iterator[Outcome]] = field(repr=False)


def ended(command: Sequence[str], environment: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Run a program in a group of processes of its own, which is killed where it takes too long.

    Returns:
        What it writes; and in which way it did not end as it should, empty if it did, or found escapes.
    """
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=_MOST_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0], f"did not end in {_MOST_SECONDS:.0f} s"
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return output, "" if process.returncode in (0, 1) else f"exit code {process.returncode}: {errors[-1000:]}"


def fuzz(name: str) -> tuple[str, Callable[[int, int], Iterator[Outcome]]]:
    """A kind of the fuzz harness, in parts of as many cases as it has by itself."""

    def run(times: int, seed: int) -> Iterator[Outcome]:
        kind, tried, escapes = KINDS[name], 0, []
        for part in range(times):
            words = [name, "--first", str(part * kind.count), "--seed", str(seed)]
            output, failure = ended([sys.executable, str(ROOT / "tests" / "fuzz" / "run.py"), *words])
            *found, last = output.splitlines() or [""]
            if not last.startswith(f"{name}: {kind.count} tried"):
                found.append(f"the harness failed in part {part}: {failure or output[-1000:]}")
            elif "does not start" not in "".join(found):
                tried += kind.count
            escapes += found
            yield Outcome(tried, "cases", tuple(escapes))

    return f"`tests/fuzz/run.py {name}`", run


def again(result: Mapping[str, Any]) -> dict[str, Any]:
    """The last result of a row of the fuzz harness, after each case that escaped has been tried once more."""
    escapes = []
    for escape in result["escapes"]:
        try:
            case = json.loads(escape)
            words = [case["kind"], "--seed", str(case["seed"]), "--first", str(case["case"]), "--count", "1"]
        except (ValueError, KeyError) as error:
            raise click.UsageError(
                f"no case of the fuzz harness, so it cannot be replayed: {escape}"
            ) from error
        output, failure = ended([sys.executable, str(ROOT / "tests" / "fuzz" / "run.py"), *words])
        *found, last = output.splitlines() or [""]
        escapes += (
            found if last.startswith(f"{case['kind']}: 1 tried") else [f"{escape}: {failure or output}"]
        )
    tried_again = result.get("tried_again", 0) + len(result["escapes"])
    return {**result, "escapes": escapes, "tried_again": tried_again, "tried_again_on": revision()}


def suite(
    *files: str, only: str = "", slow: bool = False
) -> tuple[str, Callable[[int, int], Iterator[Outcome]]]:
    """Tests of some files; those that are skipped were not tried."""

    def run(times: int, seed: int) -> Iterator[Outcome]:
        del seed  # theirs is fixed
        unit = "tests" if times == 1 else f"tests, {times} times as long where they repeat"
        tried, escapes = 0, []
        for file in files:
            cases, failure = tests_of(file, only, slow, times)
            tried += len(cases)
            escapes += [name for name, failed in cases.items() if failed]
            escapes += [f"{file}: {failure}"] if failure else []
            yield Outcome(tried, unit, tuple(escapes))

    named = ", ".join(f"`{file}`" for file in files)
    return f"{named}, tests with `{only}`" if only else named, run


def tests_of(file: str, only: str, slow: bool, times: int) -> tuple[dict[str, bool], str]:
    """Test -> whether it failed, of those that were not skipped; and in which way the whole did not end."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", file]
        command += ["-k", only] if only else []
        command += ["--slow"] if slow else []
        _, failure = ended(command, {"EDGEVISION_REPEATS": str(times)})
        if not report.exists():
            return {}, failure or "no report"
        cases = ElementTree.parse(report).getroot().iter("testcase")  # noqa: S314 - pytest's own
    return {
        f"{case.get('classname')}::{case.get('name')}": bool(
            {"failure", "error"} & {each.tag for each in case}
        )
        for case in cases
        if case.find("skipped") is None
    }, failure


def soak(times: int, seed: int) -> Iterator[Outcome]:
    """Answers in threads, calls and loads of each backend."""
    del seed
    counts = {"answers": 10_000 * times, "loads": 100 * times, "calls": 10_000 * times}
    words = [word for name, count in counts.items() for word in (f"--{name}", str(count))]
    unit = (
        f"answers in 8 threads, and {counts['calls']:,} calls and {counts['loads']:,} loads of each backend"
    )
    tried, escapes = 0, []
    for backend in ("tflite", "openvino", "onnx"):
        command = [sys.executable, str(ROOT / "benchmarks" / "soak.py"), "--backend", backend, *words]
        output, failure = ended(command)
        lines = [line for line in output.splitlines() if "answers in" in line]
        tried += counts["answers"] * len(lines)
        escapes += [line for line in lines if "FAILED" in line]
        escapes += [] if lines else [f"{backend}: {failure or output[-1000:]}"]
        yield Outcome(tried, unit, tuple(escapes))


ROWS = (
    Row(
        "files",
        "A bundle with a damaged file, its manifest as it was, is refused or unchanged",
        *fuzz("bundles"),
    ),
    Row(
        "manifests",
        "A damaged manifest is refused or unchanged; one with any value in a field and a mended digest is "
        "refused or read",
        *fuzz("manifests"),
    ),
    Row(
        "fields",
        "Every field of a manifest with each of 44 values and 15 texts",
        *suite("tests/bundle/test_damage.py"),
    ),
    Row(
        "evidence",
        "Evidence with any value in a field, with mended digests, is refused or shown",
        *fuzz("evidence"),
    ),
    Row("archives", "A mutated or hostile zip or folder is refused", *fuzz("archives")),
    Row(
        "graphs", "A nonsense graph with mended digests never harms or misleads the host", *fuzz("structures")
    ),
    Row(
        "sources",
        "A hostile trained model neither runs code, nor reads files, nor harms or fills the host",
        *suite(
            "tests/conversion/test_hostile_sources.py",
            "tests/converters/test_source_archives.py",
            "tests/converters/test_keras_refusals.py",
        ),
    ),
    Row("images", "A damaged image is an InputError or an image", *fuzz("images")),
    Row(
        "killed-writers",
        "A bundle is whole and at its place whenever its writer is killed, and leftovers are cleaned",
        *suite("tests/system/test_files.py", only="killed or dead or death or leftover"),
    ),
    Row(
        "full-disk",
        "A full disk leaves the old output and nothing else",
        *suite("tests/bundle/test_storage.py", only="disk"),
    ),
    Row(
        "two-writers",
        "Of two writers of one output one wins, and the other is told",
        *suite("tests/system/test_files.py", only="writers_of_one_output or another_wrote"),
    ),
    Row(
        "calls",
        "Any argument of any public function gives an error of the package; the next call answers as before",
        *fuzz("calls"),
    ),
    Row(
        "exit",
        "The exit code is the program's own while daemon threads infer",
        *suite("tests/plugins/test_end_of_process.py", only="exit_code"),
    ),
    Row(
        "fork",
        "A model that was loaded before a fork is refused after it",
        *suite("tests/plugins/test_end_of_process.py", only="fork"),
    ),
    Row(
        "network",
        "No command and no idle session contacts anyone, or writes what it was not told to",
        *suite("tests/system/test_no_network.py", slow=True),
    ),
    Row(
        "tampering",
        "A signed bundle that was changed in any way is refused",
        *suite("tests/bundle/test_signature.py"),
    ),
    Row(
        "threads-and-soak",
        "Answers are not crossed between threads; memory, descriptors and threads do not grow",
        "`benchmarks/soak.py`",
        soak,
    ),
)


def line_of(row: Row, result: Mapping[str, Any] | None) -> str:
    """A row of the page."""
    if result is None:
        return f"| {row.name} | {row.promise} | not run | | | {row.how} | |"
    tried = f"{result['tried']:,} {result['unit']}"
    if result["unit"] == "cases":
        tried += f" (seed {result['seed']})"
    if result.get("tried_again"):
        commit = (result["tried_again_on"] or "not known")[:12]
        tried += f"; {result['tried_again']} that escaped tried again on {commit}"
    commit = (result["commit"] or "not known")[:12]
    cells = row.name, row.promise, tried, len(result["escapes"]), f"{result['seconds']:.0f}", row.how, commit
    return f"| {' | '.join(map(str, cells))} |"


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The page, from the last result of each row."""
    rows = "".join(f"{line_of(row, results.get(row.name))}\n" for row in ROWS)
    machines = dict.fromkeys(result["machine"] for result in results.values())
    escapes = [
        f"- {row.name}: `{escape[:300]}`\n"
        for row in ROWS
        for escape in results.get(row.name, {}).get("escapes", ())
    ]
    found = f"\nEscapes:\n\n{''.join(escapes)}" if escapes else ""
    return f"{HEAD}{rows}{found}\nMachine: {'; '.join(machines)}.\n{TAIL}"


def read_results() -> dict[str, dict[str, Any]]:
    """The last result of each row."""
    if not RESULTS.exists():
        return {}
    rows = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]
    return {row["row"]: row for row in rows}


def keep(result: dict[str, Any]) -> None:
    """Keep the last result of a row, and write the page; other rows may run at the same time."""
    results = {**read_results(), result["row"]: result}
    kept = [json.dumps(results[each.name]) for each in ROWS if each.name in results]
    write_file(RESULTS, "\n".join([*kept, ""]).encode())
    write_file(PAGE, page(results).encode())


def machine() -> str:
    """This machine, in words."""
    facts = this_machine()
    return f"{facts['processor']}, {facts['cores']} cores, {facts['system']}, Python {facts['python']}"


@click.command(help=__doc__)
@click.option("--row", "names", multiple=True, type=click.Choice([row.name for row in ROWS]))
@click.option("--times", default=1, show_default=True, help="This many times as often.")
@click.option(
    "--seed", default=1, show_default=True, help="With another one, the fuzz harness tries other cases."
)
@click.option("--again", "only_escapes", is_flag=True, help="Try the cases alone that escaped last.")
@click.option("--page", "page_only", is_flag=True, help="Run nothing; write the page from the last results.")
def main(names: Sequence[str], times: int, seed: int, only_escapes: bool, page_only: bool) -> None:
    """Run the rows, keep their results, and write the page."""
    results = read_results()
    escaped = 0
    # A run that is cut short has then run what was never run, or longest ago.
    for row in sorted(ROWS, key=lambda row: results.get(row.name, {}).get("when", "")):
        if page_only or (names and row.name not in names):
            continue
        if only_escapes:
            if results.get(row.name, {}).get("escapes"):
                keep(again(results[row.name]))
        else:
            started = time.monotonic()
            for outcome in row.run(times, seed):
                keep(
                    {
                        **{"row": row.name, "tried": outcome.tried, "unit": outcome.unit},
                        **{"escapes": list(outcome.escapes), "seconds": round(time.monotonic() - started, 1)},
                        **{"seed": seed, "when": now(), "commit": revision(), "machine": machine()},
                    }
                )
        result = read_results().get(row.name)
        if result is None:
            continue
        escaped += len(result["escapes"])
        print(f"{row.name}: {result['tried']} {result['unit']}, {len(result['escapes'])} escapes", flush=True)
        for escape in result["escapes"]:
            print(f"    {escape[:300]}", flush=True)
    if page_only:
        write_file(PAGE, page(results).encode())
    sys.exit(1 if escaped else 0)


if __name__ == "__main__":
    main()
