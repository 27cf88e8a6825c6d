"""A time limit for what every plugin is asked: one that hangs must not hold up the others."""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from edgevision.errors import OptionError
from edgevision.plugins.door import failure, maker
from edgevision.system.arguments import duration

AnswerT = TypeVar("AnswerT")

#: Seconds that a plugin has for its first import on a machine, and for each answer to what all are asked.
SECONDS_VARIABLE = "EDGEVISION_PLUGIN_SECONDS"
_SECONDS = 60.0


def plugin_seconds() -> float:
    """The time limit of the environment, or the usual one."""
    stated = os.environ.get(SECONDS_VARIABLE)
    if not stated:
        return _SECONDS
    try:
        return duration(float(stated), SECONDS_VARIABLE)
    except ValueError as error:
        raise OptionError(f"{SECONDS_VARIABLE}: expected seconds, got '{stated}'") from error


def within_limit(item: Any, question: str, call: Callable[[], AnswerT]) -> AnswerT:
    """The result of asking an item of a plugin, or what it raises; EdgeVision's own are asked directly.

    Args:
        item: such as a backend.
        question: in words, for errors.
        call: asks it. A call that takes longer goes on in a thread that the process does not wait for.

    Raises:
        PluginFailedError: it takes longer than the limit.
    """
    made_by = maker(item)
    if made_by is None:
        return call()
    provider, what = made_by
    answers: list[AnswerT] = []
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            answers.append(call())
        except BaseException as error:
            errors.append(error)

    limit = plugin_seconds()
    asking = contextvars.copy_context()
    thread = threading.Thread(target=asking.run, args=(ask,), name=f"edgevision {what}", daemon=True)
    thread.start()
    thread.join(limit)
    if errors:
        raise errors[0]
    if not answers:
        raise failure(provider, f"{what}: {question}", f"no answer within {limit:g} s")
    return answers[0]
