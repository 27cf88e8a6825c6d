"""``edgevision journal``: verify, show, export and replay a journal."""

from __future__ import annotations

import json
import sys
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from edgevision.cli.lines import echo_line
from edgevision.cli.options.detect import THRESHOLD_OPTIONS, thresholds_of
from edgevision.cli.options.groups import GroupedCommand, option, under
from edgevision.cli.options.path import PATH
from edgevision.cli.options.run import (
    ARTIFACT_OPTIONS,
    NO_TUNE_OPTION,
    SESSION_OPTIONS,
    session_settings_of,
    tune_of,
)
from edgevision.cli.options.verbosity import verbosity_options
from edgevision.cli.output.tables import echo_table
from edgevision.errors import InputError, JournalChainError, OptionError
from edgevision.journal.decisions import words_of
from edgevision.journal.export import FORMS, write_jsonl
from edgevision.journal.reader import JournalReader, JournalRow, read_journal
from edgevision.journal.replay import ReplayedRow, replay_journal
from edgevision.journal.verification import JournalVerification, verify_journal
from edgevision.loading.load import load
from edgevision.system.decimals import percent
from edgevision.system.files import check_folder_of, write_file, written_whole
from edgevision.tasks.image_model import ImageModel
from edgevision.tasks.kind import kind_of

_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
_STDOUT = Path("-")


@click.group("journal")
def command() -> None:
    """Verify, show, export or replay a journal: the record of a model's answers.

    A journal is written by predict --journal, or by edgevision.Journal in Python.
    """


@command.command("verify")
@click.argument("journal", type=PATH)
@click.option("--head", metavar="ROWS:DIGEST", help="End of the chain at an earlier time, kept elsewhere.")
@_JSON
@verbosity_options
def verify(journal: Path, head: str | None, as_json: bool) -> None:
    """Check the chain of JOURNAL: that no row was altered, removed, inserted or reordered.

    Prints the head of the chain. Keep it where those who can write the file cannot change it, and pass it
    with --head later: without it, a file whose rows were all written anew looks whole. Exit code 17 if
    something was changed, or if JOURNAL is not a journal.
    """
    verified = verify_journal(journal, head)
    if as_json:
        click.echo(json.dumps(verified.to_dict(), indent=2))
    else:
        _echo_verification(verified)
    if not verified.ok:
        others = f" (and {verified.problem_count - 1} more)" if verified.problem_count > 1 else ""
        raise JournalChainError(f"{journal}: not as it was written: {verified.problems[0]}{others}")


@command.command("show")
@click.argument("journal", type=PATH)
@click.option(
    "--last", metavar="N", type=click.IntRange(min=1), default=20, help="Rows to show. Default: 20."
)
@click.option("--all", "show_all", is_flag=True, help="Show all rows.")
@click.option("--status", metavar="WORD", help="Answers of this status only: ok, stale, abstained or failed.")
@click.option("--row", metavar="N", type=click.IntRange(min=1), help="Show this row with all its fields.")
@click.option("--frame", type=PATH, help="With --row: write the frame that was kept to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per row and line.")
@verbosity_options
def show(
    journal: Path,
    last: int,
    show_all: bool,
    status: str | None,
    row: int | None,
    frame: Path | None,
    as_json: bool,
) -> None:
    """Show the rows of JOURNAL, the latest at the end."""
    if frame is not None and row is None:
        raise click.UsageError("--frame requires --row N.")
    with read_journal(journal) as reader:
        if row is not None:
            _show_row(journal, reader, row, frame)
            return
        rows = (each for each in reader if status is None or each.status.partition(":")[0] == status)
        for each in rows if show_all else deque(rows, last):
            if as_json:
                click.echo(json.dumps({**each.document, "hash": each.digest}))
            else:
                echo_line(f"{each.seq:>6}  {each.at}  {_words(each)}")


@command.command("export")
@click.argument("journal", type=PATH)
@click.option(
    "-o",
    "--output",
    type=PATH,
    required=True,
    help="File, .jsonl, .parquet or .mcap; - for JSON lines on stdout.",
)
@click.option("--frames", is_flag=True, help="With the frames that were kept.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@_JSON
@verbosity_options
def export(journal: Path, output: Path, frames: bool, overwrite: bool, as_json: bool) -> None:
    """Write JOURNAL for other programs: JSON lines, Parquet (extra parquet) or MCAP (extra mcap)."""
    with read_journal(journal) as reader:
        if output == _STDOUT:
            write_jsonl(reader, sys.stdout.buffer, frames)
            return
        if output.suffix.lower() not in FORMS:
            raise OptionError(f"{output}: expected a file name that ends in {', '.join(FORMS)}")
        before = check_folder_of(output, "-o")
        if before and not overwrite:
            raise OptionError(f"{output}: exists; choose another name, or pass --overwrite")
        with written_whole(output, before) as file:
            count = FORMS[output.suffix.lower()](reader, file, frames)
    if as_json:
        click.echo(json.dumps({"journal": str(journal), "output": str(output), "rows": count}))
    else:
        echo_line(f"wrote {output}: {count} rows")


@command.command("replay", cls=GroupedCommand)
@click.argument("journal", type=PATH)
@under(
    "Model to run",
    option("--bundle", "model", type=PATH, required=True, help="Bundle, or bare file that describes itself."),
    *ARTIFACT_OPTIONS,
    *SESSION_OPTIONS,
    NO_TUNE_OPTION,
)
@under(
    "Results", *THRESHOLD_OPTIONS, option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
)
@verbosity_options
def replay(journal: Path, model: Path, as_json: bool, **arguments: Any) -> None:
    """Run the frames that JOURNAL kept through another model, and show the decisions that differ.

    A test of an update in the shadow of what ran in the field. A decision is the top class, the verdict at
    the operating point, or the objects by class and place. Decisions that differ are a result, and no error.
    """
    settings = replace(session_settings_of(arguments), device=arguments["device"])
    names = {name: arguments[name] for name in ("backend", "device", "precision")}
    with load(model, **names, settings=settings, tune=tune_of(arguments)) as network:
        thresholds = thresholds_of(arguments)
        if not isinstance(network, ImageModel) or not kind_of(network.task).takes_images:
            raise OptionError(f"{model}: this model generates images; in Python, edgevision.replay_journal")
        if not set(thresholds) <= set(network.call_arguments):
            raise OptionError("--score-threshold and its like are for detectors; remove them")
        rows = list(replay_journal(journal, lambda frame: network(frame, **thresholds)))
        run = {"backend": network.session.backend, "device": network.session.device}
        run["precision"] = network.session.precision
    if not rows:
        raise InputError(f"{journal}: kept no frames; record them with edgevision.Journal(…, frames='all')")
    differing = [row for row in rows if row.differs]
    if as_json:
        document = {"journal": str(journal), "bundle": str(model), **run, "compared": len(rows)}
        document |= {"differing": len(differing), "rows": [row.to_dict() for row in differing]}
        click.echo(json.dumps(document, indent=2, allow_nan=False))
    else:
        _echo_replay(rows, differing)


def _echo_verification(verified: JournalVerification) -> None:
    kinds = ", ".join(f"{count} {kind}" for kind, count in verified.kinds.items())
    state = "closed" if verified.closed else "not closed: still written, killed, or cut off"
    echo_line(f"{verified.path}: {verified.head.rows} rows ({kinds}), {verified.frames} frames, {state}")
    if verified.skipped:
        echo_line(f"{verified.skipped} rows were skipped by the writer, which recorded how many")
    if verified.first_at:
        echo_line(f"from {verified.first_at} to {verified.last_at}")
    for problem in verified.problems:
        echo_line(f"problem: {problem}")
    if verified.problem_count > len(verified.problems):
        echo_line(f"problem: {verified.problem_count - len(verified.problems)} more")
    if verified.ok:
        since = "the head that was passed is in the chain" if verified.anchored else "the chain is whole"
        echo_line(f"{since}; keep its head elsewhere, to pass it with --head later:")
        echo_line(f"head {verified.head}")


def _show_row(journal: Path, reader: JournalReader, number: int, frame: Path | None) -> None:
    row = next((each for each in reader if each.seq == number), None)
    if row is None:
        raise OptionError(f"{journal}: has no row {number}; it has {reader.head.rows}")
    click.echo(json.dumps({**row.document, "hash": row.digest}, indent=2))
    if frame is None:
        return
    if reader.frame(row) is None:  # also checks that it is the one that was recorded
        raise OptionError(f"{journal}: row {number} has no frame; a journal keeps them with frames='all'")
    form = row.document["frame"]["kept"]["form"]
    if frame.suffix.lower() != f".{form}":
        raise OptionError(f"{frame}: expected a file name that ends in .{form}, as the frame was kept")
    write_file(frame, reader.frame_content(row) or b"", check_folder_of(frame, "--frame"))


def _words(row: JournalRow) -> str:
    """One row in words."""
    document = row.document
    answer = document.get("answer") or {}
    result = answer.get("result")
    words = [row.kind, row.status, *(str(document.get(name, "")) for name in ("backend", "precision"))]
    try:
        words.append("" if result is None else words_of(result, document.get("task")))
    except (KeyError, TypeError, ValueError, AttributeError):  # of a caller's own form
        words.append("")
    words += [str(answer.get("message", "")), str(answer.get("source", answer.get("index", "")))]
    if row.kind == "skipped":
        words.append(
            ", ".join(f"{count} by {cause}" for cause, count in (document.get("counts") or {}).items())
        )
    return "  ".join(word for word in words if word)


def _echo_replay(rows: list[ReplayedRow], differing: list[ReplayedRow]) -> None:
    if differing:
        echo_table(
            ("row", "at", "frame", "recorded", "replayed"),
            [(str(row.seq), row.at, row.frame_sha256[:12], row.recorded, row.replayed) for row in differing],
        )
    share = percent(len(differing) / len(rows), 2, sign=" %")
    scores = [row.score_difference for row in rows if row.score_difference is not None]
    largest = f"; largest difference of a score: {max(scores):.3g}" if scores else ""
    echo_line(f"{len(differing)} of {len(rows)} decisions differ ({share}){largest}")
