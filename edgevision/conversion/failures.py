"""Failures of one artifact, which the others survive, and errors that end the whole conversion."""

from __future__ import annotations

from edgevision.errors import CancelledError, ConversionError, EdgeVisionError, InputError, first_line

#: What concerns all artifacts alike: an image that cannot be read, the caller's own wish, the end of memory.
_OF_ALL = (InputError, CancelledError, MemoryError)


def failure_of(error: Exception, what: str) -> EdgeVisionError:
    """The reason why one artifact failed.

    A converter or a runtime of a third party may raise anything: what is not an error of EdgeVision becomes
    a `ConversionError`, with the original as its cause.

    Args:
        error: raised while the artifact was converted or run.
        what: the artifact.

    Raises:
        InputError, CancelledError, MemoryError: `error` itself, because it concerns all artifacts.
    """
    if isinstance(error, _OF_ALL):
        raise error
    if isinstance(error.__cause__, MemoryError):  # of a plugin
        raise error.__cause__
    if isinstance(error, EdgeVisionError):
        return error
    failure = ConversionError(
        f"{what}: {type(error).__name__}: {first_line(error)}; run again with EDGEVISION_TRACEBACK=1 for the "
        f"traceback, or choose another --precision"
    )
    failure.__cause__ = error
    return failure
