"""Assertions of the contract suites: each failure names the plugin, the broken rule, and how it broke."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgevision.errors import EdgeVisionError


def expect(holds: bool, subject: str, message: str) -> None:
    """Fail with `message` unless a rule holds.

    Args:
        holds: whether it does.
        subject: the plugin under test, such as ``backend 'tflite'``.
        message: the broken rule, and how it broke.

    Raises:
        AssertionError: `holds` is false.
    """
    if not holds:
        raise AssertionError(f"{subject}: {message}")


@contextmanager
def expect_raises(kind: type[EdgeVisionError], subject: str, action: str) -> Iterator[None]:
    """Expect the block to raise `kind`, with a message.

    Raises:
        AssertionError: it raises nothing, or an error of another kind.
    """
    try:
        yield
    except kind as error:
        expect(len(str(error)) > 0, subject, f"{action}: {kind.__name__} without a message")
    except Exception as error:
        message = f"{action}: expected {kind.__name__}, got {type(error).__name__}: {error}"
        raise AssertionError(f"{subject}: {message}") from error
    else:
        expect(False, subject, f"{action}: expected {kind.__name__}, and nothing was raised")
