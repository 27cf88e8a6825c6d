"""A model of any kind, ready to be traced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevision.converter import StatedPreprocessing
from edgevision.errors import EdgeVisionError, SourceError, first_line


@dataclass(frozen=True)
class OpenModel:
    """A model of any kind, ready to be traced.

    Attributes:
        call: from name -> tensor to a dict of tensors, or to a nest of as many as `output_names`.
        inputs: name -> (shape with ``None`` for open sizes, TensorFlow's dtype).
        output_names: names of the outputs, where `call` does not return a dict.
        weights: (name, variable) pairs.
        layer_names: names of its layers; empty for a SavedModel.
        description: kind of file, for people.
        library: the library that reads it: ``keras``, ``tf_keras``, or ``tensorflow`` for a SavedModel.
        batch: the only batch that it can be called with; `None` for any.
        preprocessing: what its file describes beside its layers.
    """

    call: Callable[[Mapping[str, Any]], Any]
    inputs: Mapping[str, tuple[tuple[int | None, ...], Any]]
    output_names: tuple[str, ...]
    weights: tuple[tuple[str, Any], ...]
    layer_names: frozenset[str]
    description: str
    library: str
    batch: int | None = None
    preprocessing: StatedPreprocessing | None = None


def loaded(path: Path, reader: str, load: Callable[[], Any], next_step: str = "") -> Any:
    """The result of `load`, with errors of any class, which Keras and TensorFlow raise for a damaged file.

    Raises:
        SourceError: names `path`, the library `reader`, the cause, and `next_step`.
    """
    try:
        return load()
    except EdgeVisionError:
        raise
    except Exception as error:
        cause = first_line(_innermost(error)).rstrip(".")
        raise SourceError(
            f"{path}: {reader} cannot load the model: {cause}" + (f"; {next_step}" if next_step else "")
        ) from error


def _innermost(error: BaseException) -> BaseException:
    """The first error: Keras wraps it once per layer, each time with the whole configuration."""
    while error.__context__ is not None:
        error = error.__context__
    return error
