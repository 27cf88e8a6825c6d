"""Calls of everything public with bad arguments; the next good call must answer as before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

from fuzz.bad_values import bad_value
from fuzz.entry_points import Entry, entries
from fuzz.harness import Attempt, EscapeError, Kind


def open_calls(folder: Path, only: str) -> Callable[[Random], Attempt]:
    """See `Kind.open`."""
    calls = entries(folder, only)
    expected = {entry.name: entry.check() for entry in calls}

    def make(random: Random) -> Attempt:
        entry = random.choice(calls)
        arguments = dict(entry.good)
        kinds: dict[str, str] = {}
        for name in random.sample(sorted(arguments), min(len(arguments), random.choice([1, 1, 1, 2]))):
            kinds[name], arguments[name] = bad_value(random, folder)
        return Attempt(
            {"call": entry.name, "arguments": kinds},
            lambda: entry.call(**arguments),
            lambda: _check(entry, expected[entry.name]),
        )

    return make


def _check(entry: Entry, expected: bytes) -> None:
    if entry.check() != expected:
        raise EscapeError("the next good call answers otherwise")


CALLS = Kind("calls", 1400, open_calls)
