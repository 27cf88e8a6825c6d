"""The bar of a conversion moves while nothing is reported, and says how long it will take."""

from __future__ import annotations

import io
import time

import pytest

from edgevision.cli.output import terminal
from edgevision.cli.output.terminal import progress_on, time_left


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_moves_between_two_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "_SECONDS_BETWEEN_MOVES", 0.05)
    stream = _Terminal()
    with progress_on(stream, in_milliseconds=True) as progress:
        progress("converting to tflite-int8", 1000, 3000)
        before = stream.getvalue()
        for _ in range(100):
            if stream.getvalue().count("%") >= before.count("%") + 4:
                break
            time.sleep(0.05)
    shares = [int(part.split()[-1]) for part in stream.getvalue().split("%")[:-1]]
    assert shares == sorted(shares)
    assert shares[-2] > 33
    assert shares[-1] == 100
    assert "converting to tflite-int8" in before
    assert "about 5 s left" in before


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1.0, ""),
        (0.2, "about 5 s left"),
        (31.0, "about 35 s left"),
        (56.0, "about 1 min left"),
        (150.0, "about 3 min left"),
        (5400.0, "about 1.5 h left"),
    ],
)
def test_the_time_left_in_words(seconds: float, words: str) -> None:
    assert time_left(seconds) == words
