"""A trained Keras model that was read: its tensors, its own answers, and what is made from it once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.converter import Activations, SourceFacts
from edgevision.errors import ConversionError
from edgevision.tensors import Array, TensorSpec, check_inputs
from edgevision_keras.libraries import require_tensorflow
from edgevision_keras.reading.trace import Trace
from edgevision_keras.statistics.activations import ActivationMeter
from edgevision_keras.statistics.batch_norms import NormStatistics
from edgevision_keras.statistics.distillation import distil

#: Examples in one call of the source: more use memory and save no time on a CPU.
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
        layer_names: names of its layers; empty where they are unknown.

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
        layer_names: frozenset[str] = frozenset(),
    ) -> None:
        self.path = path
        self.description = description
        self.sha256 = sha256
        self.trace = trace
        self.facts = facts
        self.versions = dict(versions)
        self.layer_names = layer_names
        self.float32_onnx: bytes | None = None
        self.int8: tuple[object, Any] | None = None

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Float32 tensors with an open batch, in the model's order; of most, one image."""
        return self.trace.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Float32 tensors, in the order of their names."""
        return self.trace.outputs

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the model itself, on the CPU, where float32 is float32.

        Args:
            inputs: name -> float32 array, any batch, the same for all.

        Returns:
            name -> float32 array, owned by the caller.

        Raises:
            InputError: as `edgevision.tensors.check_inputs`.
        """
        tf = require_tensorflow()
        batch = check_inputs(self.inputs, inputs)
        parts = []
        with tf.device("/CPU:0"):
            for start in range(0, batch, _BATCH):
                part = [tf.constant(inputs[spec.name][start : start + _BATCH]) for spec in self.inputs]
                parts.append(self.trace.call(*part))
        return {
            spec.name: np.concatenate([part[spec.name].numpy() for part in parts]) for spec in self.outputs
        }

    def activations(
        self, inputs: Mapping[str, Array], limits: Sequence[tuple[float, float]] = ()
    ) -> tuple[Activations, ...]:
        """As `edgevision.converter.ActivationSource.activations`."""
        check_inputs(self.inputs, inputs)
        return self._meter(inputs, limits)

    @property
    def norms(self) -> tuple[str, ...]:
        """As `edgevision.converter.NormalizedSource.norms`."""
        return tuple(norm.layer for norm in self._norms.norms)

    def norm_distance(self, inputs: Mapping[str, Array]) -> float:
        """As `edgevision.converter.NormalizedSource.norm_distance`."""
        check_inputs(self.inputs, inputs)
        return self._norms.first_distance(inputs)

    def distilled(self, start: Mapping[str, Array], low: Array, high: Array) -> dict[str, Array]:
        """As `edgevision.converter.NormalizedSource.distilled`."""
        check_inputs(self.inputs, start)
        return distil(self._norms, self.facts.score_kind, start, low, high)

    @cached_property
    def _meter(self) -> ActivationMeter:
        return ActivationMeter(self.trace, self.layer_names)

    @cached_property
    def _norms(self) -> NormStatistics:
        return NormStatistics(self.trace, self.layer_names)


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
