"""The source as a session, so that it runs through the same code as its artifacts."""

from __future__ import annotations

from collections.abc import Mapping

from edgevision.converter import Source
from edgevision.tensors import Array


class SourceSession:
    """A source with the interface of a backend's session; see `edgevision.backend.Session`."""

    device = "cpu"
    precision = "float32"

    def __init__(self, source: Source) -> None:
        self.inputs, self.outputs = source.inputs, source.outputs
        self._source = source

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """As `Source.run`."""
        return self._source.run(inputs)

    def close(self) -> None:
        """Do nothing: a source holds no runtime."""
