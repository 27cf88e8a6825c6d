"""Checks each rule of a contract in a process of its own: a plugin that crashes or hangs breaks one rule."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np

from edgevision.errors import EdgeVisionError, MissingRuntimeError, ProcessError
from edgevision.execution.messages import Message
from edgevision.execution.worker import Worker
from edgevision.testing.process_state import unchanged_process

#: A rule: checks a case, and raises AssertionError where it is broken. Its docstring states it.
Rule = Callable[[Any], None]

#: Seconds for one rule.
SECONDS = 120.0


def check_rules(rules: Iterable[Rule], case: Any, subject: str) -> None:
    """Check each rule in a process of its own; in this one where the case cannot be sent there.

    A case can be sent if it can be pickled: its classes stand at the top level of importable modules.

    Args:
        rules: functions at the top level of modules.
        case: their argument.
        subject: the plugin under test, such as ``backend 'tflite'``.

    Raises:
        AssertionError: a rule is broken; states the rule, and how it broke.
        MissingRuntimeError: a library that the plugin needs is not installed.
    """
    try:
        pickled = pickle.dumps(case)
    except Exception:  # of a class of a test's own
        pickled = b""
    with Worker() as worker:
        for rule in rules:
            _check(worker, rule, case, pickled, subject)


def _check(worker: Worker, rule: Rule, case: Any, pickled: bytes, subject: str) -> None:
    if not pickled:
        broken = _broken(rule, case)
    else:
        fields = {"rule": f"{rule.__module__}:{rule.__name__}"}
        request = Message(fields, {"case": np.frombuffer(pickled, np.uint8)})
        try:
            answer = worker.ask(_rule_requested, request, what="the process", timeout_s=SECONDS)
            broken = answer.fields["broken"]
            if answer.fields["not_here"]:
                broken = _broken(rule, case)
        except ProcessError as error:
            broken = f"{error}"
    if broken:
        statement = " ".join((rule.__doc__ or "").split("\n\n")[0].split())
        broken = broken.removeprefix(f"{subject}: ")
        raise AssertionError(f"{subject}: {broken} [rule: {statement}]")


def _rule_requested(request: Message) -> Message:
    """Do what `_check` asks for: the job of the worker."""
    module, _, name = request.fields["rule"].partition(":")
    try:
        case = pickle.loads(request.arrays["case"].tobytes())  # noqa: S301 - of the process that asks
    except Exception:  # a module that only the other process can import
        return Message({"broken": "", "not_here": True})
    return Message({"broken": _broken(getattr(import_module(module), name), case), "not_here": False})


@contextmanager
def raised_as_assertion(subject: str) -> Iterator[None]:
    """Turn whatever a block raises into an AssertionError that names it."""
    try:
        yield
    except (AssertionError, MissingRuntimeError):
        raise
    except EdgeVisionError as error:
        raise AssertionError(f"{subject}: raised {type(error).__name__}: {error}") from error
    except Exception as error:
        message = f"{subject}: raised {type(error).__name__}, which is none of EdgeVision's errors: {error}"
        raise AssertionError(message) from error


def _broken(rule: Rule, case: Any) -> str:
    """How a rule is broken; empty if it is not."""
    try:
        with unchanged_process():
            rule(case)
    except AssertionError as error:
        return str(error) or "broken"
    except MissingRuntimeError:
        raise
    except EdgeVisionError as error:
        return f"raised {type(error).__name__}: {error}"
    except (Exception, SystemExit) as error:
        return f"raised {type(error).__name__}, which is none of EdgeVision's errors: {error}"
    return ""
