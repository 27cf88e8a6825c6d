"""A trained Keras model that was read: its tensors, its own answers, and what is made from it once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.converter import SourceFacts
from edgevision.errors import ConversionError
from edgevision.tensors import Array, TensorSpec, check_inputs
from edgevision_keras.libraries import require_tensorflow
from edgevision_keras.trace import Trace

#: Images in one call of the source: more use memory and save no time on a CPU.
_BATCH = 32


class KerasSource:
    """A source of the kind ``keras``; see `edgevision.converter.Source`.

    Args:
        path: where it was read from.
        description: what it is, for people.
        sha256: its digest.
        trace: its graph.
        facts: what was found in the graph.
        versions: library -> version.

    Attributes:
        trace: its graph, from which all of its artifacts are made.
        float32_onnx: its float32 ONNX file, once a converter has made it: others start from it.
        int8: a calibration set, and what int8 artifacts are made from with it, once made.
    """

    kind = "keras"

    def __init__(
        self,
        path: Path,
        description: str,
        sha256: str,
        trace: Trace,
        facts: SourceFacts,
        versions: Mapping[str, str],
    ) -> None:
        self.path = path
        self.description = description
        self.sha256 = sha256
        self.trace = trace
        self.facts = facts
        self.versions = dict(versions)
        self.float32_onnx: bytes | None = None
        self.int8: tuple[object, Any] | None = None

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """One float32 tensor: (batch, height, width, channels)."""
        return self.trace.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Float32 tensors, in the order of their names."""
        return self.trace.outputs

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the model itself, on the CPU, where float32 is float32.

        Args:
            inputs: name -> float32 array (batch, height, width, channels), any batch.

        Returns:
            name -> float32 array, owned by the caller.

        Raises:
            InputError: as `edgevision.tensors.check_inputs`.
        """
        tf = require_tensorflow()
        check_inputs(self.inputs, inputs)
        images = inputs[self.inputs[0].name]
        parts = []
        with tf.device("/CPU:0"):
            for start in range(0, len(images), _BATCH):
                parts.append(self.trace.call(tf.constant(images[start : start + _BATCH])))
        return {
            spec.name: np.concatenate([part[spec.name].numpy() for part in parts]) for spec in self.outputs
        }


def keras_source(source: object) -> KerasSource:
    """`source`, if a `KerasReader` has read it.

    Raises:
        ConversionError: another reader has.
    """
    if not isinstance(source, KerasSource):
        raise ConversionError(
            f"{getattr(source, 'path', source)}: is a source of kind '{getattr(source, 'kind', 'unknown')}'; "
            "expected one that the reader 'keras' has read"
        )
    return source
