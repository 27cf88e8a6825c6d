"""A backend that fails, hangs, leaks, exits or crashes under a stream: one frame fails, and it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from faulty import command
from own_processes import children, pid_of

import edgevision
from edgevision import StreamSettings
from edgevision.imaging.preprocess import Preprocessing
from edgevision.tasks.classify import Classifier

FRAMES, FAULT_AT = 12, 4
#: Command -> what the status of its frame says, and whether its process is replaced.
FAULTS = {
    "raise": ("PluginInferenceError: .*faulty-plugin 1.0.*raised RuntimeError: corrupt scale", False),
    "fail": ("InferenceError: the runtime failed", False),
    "exit": ("ProcessError: .*ended with exit status 3", True),
    "leave": ("PluginInferenceError: .*faulty-plugin 1.0.*raised SystemExit: 4", False),
    "segfault": ("ProcessError: .*killed by SIGSEGV", True),
    "abort": ("ProcessError: .*killed by SIGABRT", True),
    "kill": ("ProcessError: .*killed by SIGKILL", True),
    "hang": ("DeadlineError: .*no answer within 500 ms", True),
    "hang with the interpreter locked": ("DeadlineError: .*no answer within 500 ms", True),
}


def image(value: int) -> Any:
    return np.full((4, 4, 3), value, np.uint8)


def model_over(session: Any) -> Classifier:
    """Pixels of 0 to 255 are -255 to 0: those below 0 are commands."""
    preprocessing = Preprocessing((4, 4), value_range=(-255.0, 0.0))
    return Classifier(session, preprocessing, ["a", "b"], "logits", "scores")


def images(name: str) -> Iterator[Any]:
    commanded = round(255 + float(command(name)["image"][0, 0, 0, 0]))
    for index in range(FRAMES):
        frame = image(255)
        frame[1:] = 100 + index  # other answers for other frames
        if index == FAULT_AT:
            frame[0, 0, 0] = commanded
        yield frame


class Told:
    def __init__(self) -> None:
        self.failed: list[str] = []

    @edgevision.hookimpl
    def edgevision_failed(self, observation: Any) -> None:
        self.failed.append(observation.status)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_fails_its_frame_alone_and_no_answer_is_wrong(opened: Callable[..., Any], name: str) -> None:
    session = opened(deadline_ms=500, standby=True)
    model, told = model_over(session), Told()
    alone = [None if index == FAULT_AT else model(frame) for index, frame in enumerate(images(name))]
    expected = [None if result is None else result.scores for result in alone]
    assert len({str(scores) for scores in expected}) == FRAMES
    first = pid_of(session)
    with edgevision.observe(told):
        stream = model.stream(images(name), "wait", settings=StreamSettings(workers=1))
        results = {frame.index: result for frame, result in stream}
    reason, replaced = FAULTS[name]
    assert sorted(results) == list(range(FRAMES))
    for index, result in results.items():
        if result.ok:
            assert np.array_equal(result.value.scores, expected[index])
    failed = [index for index, result in results.items() if not result.ok]
    assert failed[0] == FAULT_AT
    assert results[FRAMES - 1].ok
    assert told.failed == [results[index].status for index in failed]
    assert stream.counters.failed == len(failed)
    assert_matches(results[FAULT_AT].status, f"failed: {reason}")
    assert (pid_of(session) != first) == replaced
    assert not replaced or first not in children()


def test_a_leak_under_a_stream_ends_with_its_process_and_no_frame_fails(opened: Callable[..., Any]) -> None:
    session = opened(memory_limit_mb=200)
    first = pid_of(session)
    leaking = round(255 + float(command("leak")["image"][0, 0, 0, 0]))
    stream = model_over(session).stream([image(leaking)] * 12, "wait", settings=StreamSettings(workers=1))
    assert [result.status for _, result in stream] == ["ok"] * 12
    assert pid_of(session) != first


def assert_matches(text: str, pattern: str) -> None:
    import re

    assert re.match(pattern, text), text
