"""A trained Keras model that was read: its tensors, its own answers, and what its artifacts start from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.converter import Activations, CalibrationData, SourceFacts, TrainingResize
from edgevision.errors import first_line
from edgevision.tensors import Array, TensorSpec, check_inputs
from edgevision_keras.graph.trace import Trace
from edgevision_keras.libraries import require_tensorflow
from edgevision_keras.onnx_export import export_float32
from edgevision_keras.quantization.prepare import PreparedNetwork, prepare
from edgevision_keras.quantization.trained import prepare_trained
from edgevision_keras.statistics.activations import ActivationMeter
from edgevision_keras.statistics.batch_norms import NormStatistics
from edgevision_keras.statistics.distillation import distil
from edgevision_keras.statistics.gradients import GradientMaps, shuffled
from edgevision_keras.training_input import training_input, training_pixels

_LOG = logging.getLogger(__name__)
#: Examples per call of the source: more use memory and save no time on a CPU.
_BATCH = 32


class KerasSource:
    """A source of the kind ``keras``; see `edgevision.converter.Source`.

    What several artifacts start from is computed on first use and kept as long as the source.

    Args:
        path: the file or directory that it was read from.
        description: kind of file, for people.
        sha256: digest of the file or directory.
        trace: its graph.
        facts: findings in the graph.
        versions: library -> version.
        layer_names: names of its layers; empty where they are unknown.
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
        self._gradients: dict[tuple[str, bool], GradientMaps] = {}
        self._latest_preparation: tuple[CalibrationData | None, PreparedNetwork] | None = None

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Float32 tensors with an open batch, in the model's order; most models have one image."""
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
        return self._outputs(self.trace.call, inputs)

    def _in_float(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """As `run`, by the graph that artifacts start from, which rounds no activation."""
        names = [spec.name for spec in self.outputs]
        return self._outputs(
            lambda *images: dict(zip(names, self.trace.frozen(*images), strict=True)), inputs
        )

    def _outputs(self, call: Callable[..., dict[str, Any]], inputs: Mapping[str, Array]) -> dict[str, Array]:
        tf = require_tensorflow()
        batch = check_inputs(self.inputs, inputs)
        parts = []
        with tf.device("/CPU:0"):
            for start in range(0, batch, _BATCH):
                part = [tf.constant(inputs[spec.name][start : start + _BATCH]) for spec in self.inputs]
                parts.append(call(*part))
        return {
            spec.name: np.concatenate([part[spec.name].numpy() for part in parts]) for spec in self.outputs
        }

    @cached_property
    def float32_onnx(self) -> bytes:
        """The float32 ONNX file, verified against this source.

        Raises:
            MissingRuntimeError, ConversionError: as `edgevision_keras.onnx_export.export_float32`.
        """
        return export_float32(self, self.trace.frozen, self._in_float if self.has_ranges else self.run)

    @property
    def has_ranges(self) -> bool:
        """As `edgevision.converter.RangedSource.has_ranges`."""
        return self.trace.trained_for_int8

    def prepared_for_int8(self, calibration: CalibrationData | None) -> PreparedNetwork:
        """The network that all int8 artifacts start from, kept for the latest calibration set.

        Args:
            calibration: given the same object again, nothing is computed again. `None` only if the source
                `has_ranges`.
        """
        if self._latest_preparation is None or self._latest_preparation[0] is not calibration:
            if self.has_ranges or calibration is None:
                prepared = prepare_trained(self.trace, calibration)
            else:
                prepared = prepare(self.trace, calibration)
            if prepared.unrounded:
                names = ", ".join(prepared.unrounded)
                _LOG.info("%s: layers whose weights each converter rounds itself: %s", self.path, names)
            self._latest_preparation = (calibration, prepared)
        return self._latest_preparation[1]

    def activations(
        self, inputs: Mapping[str, Array], limits: Sequence[tuple[float, float]] = ()
    ) -> tuple[Activations, ...]:
        """As `edgevision.converter.ActivationSource.activations`."""
        check_inputs(self.inputs, inputs)
        return self._meter(inputs, limits)

    @property
    def training_input(self) -> str:
        """As `edgevision.converter.TrainingInputSource.training_input`."""
        return training_input()

    def training_pixels(self, data: bytes, resize: TrainingResize) -> Array | None:
        """As `edgevision.converter.TrainingInputSource.training_pixels`."""
        return training_pixels(data, resize)

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

    def gradient_maps(
        self, output: str, column: int, are_scores: bool, image: Array, baseline: Array
    ) -> dict[str, Array]:
        """As `edgevision.converter.GradientSource.gradient_maps`: Grad-CAM and integrated gradients."""
        key = output, are_scores
        if key not in self._gradients:
            self._gradients[key] = GradientMaps(self.trace, *key)
        try:
            cam = self._gradients[key].grad_cam(image, column)
            integrated = self._gradients[key].integrated_gradients(image, baseline, column)
        except (LookupError, ValueError) as error:  # an operation without a gradient
            _LOG.info("%s: no gradient maps: %s", self.path, first_line(error))
            return {}
        return {} if cam is None else {"Grad-CAM": cam, "integrated gradients": integrated}

    def shuffled(self, seed: int) -> Callable[[Mapping[str, Array]], dict[str, Array]]:
        """As `edgevision.converter.GradientSource.shuffled`."""
        function, names = shuffled(self.trace, seed), [spec.name for spec in self.outputs]
        return partial(self._outputs, lambda *images: dict(zip(names, function(*images), strict=True)))

    @cached_property
    def _meter(self) -> ActivationMeter:
        return ActivationMeter(self.trace, self.layer_names)

    @cached_property
    def _norms(self) -> NormStatistics:
        return NormStatistics(self.trace, self.layer_names)
