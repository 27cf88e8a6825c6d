"""Failures of the conversion libraries, reported with the model, the format and the precision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgevision.errors import ConversionError, EdgeVisionError, first_line
from edgevision_keras.graph.operations import layer_of


def conversion_error(path: Path, format_name: str, precision: str, cause: str) -> ConversionError:
    """An error that says which model cannot be converted to which format, and why."""
    return ConversionError(f"{path}: cannot convert to {format_name} at {precision}: {cause}")


def listed(operations: Iterable[tuple[str, str]]) -> str:
    """Operations with their layers, each once: ``Cos (layer 'wave'), Erfinv (layer 'odd')``.

    Args:
        operations: (operation, its name in the frozen graph).
    """
    layers = {(operation, layer_of(name, ())) for operation, name in operations}
    return ", ".join(f"{operation} (layer '{layer}')" for operation, layer in sorted(layers))


@contextmanager
def conversion_errors(
    path: Path, format_name: str, precision: str, cause_of: Callable[[Exception], str] = first_line
) -> Iterator[None]:
    """A context in which an exception of any library is raised as a `ConversionError`.

    The libraries raise RuntimeError, ValueError, KeyError, AssertionError and classes of their own for
    the same faults. Errors of EdgeVision itself pass unchanged.

    Args:
        path: the model.
        format_name: as people write it, such as ``TFLite``.
        precision: of the artifact.
        cause_of: the cause in one line.
    """
    try:
        yield
    except EdgeVisionError:
        raise
    except Exception as error:
        raise conversion_error(path, format_name, precision, cause_of(error)) from error
