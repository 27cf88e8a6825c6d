"""A float32 ONNX file that is about to be quantized, simplified as ONNX Runtime's quantizer expects it."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.libraries import require, require_onnxruntime
from edgevision_keras.quantization.folding import FoldedGraph
from edgevision_keras.quantization.images import Batch
from edgevision_keras.quantization.plain import calibration_reader
from edgevision_keras.quantization.prepare import PreparedNetwork
from edgevision_keras.quantization.ranges import Range, as_range

#: The operations whose second input may be constant weights.
WITH_WEIGHTS = ("Conv", "ConvTranspose", "MatMul", "Gemm")


class OnnxFloatModel:
    """A simplified float32 model that returns its float tensors.

    Args:
        content: the file.

    Attributes:
        model: an `onnx.ModelProto`.
    """

    def __init__(self, content: bytes) -> None:
        self._onnx = require("onnx")
        pre_process = require("onnxruntime.quantization.shape_inference", "onnx").quant_pre_process
        with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
            float32, simplified = Path(folder, "float32.onnx"), Path(folder, "simplified.onnx")
            float32.write_bytes(content)
            pre_process(float32, simplified, skip_symbolic_shape=True)
            self.model: Any = self._onnx.load(simplified)
        for number, node in enumerate(self.model.graph.node):
            node.name = node.name or f"operation_{number}"  # the quantizer goes by names

    @property
    def nodes(self) -> Sequence[Any]:
        """The operations, in the order in which they run."""
        return list(self.model.graph.node)

    @cached_property
    def constants(self) -> Mapping[str, Any]:
        """Name of a constant tensor -> an `onnx.TensorProto`."""
        return {tensor.name: tensor for tensor in self.model.graph.initializer}

    def number(self, name: str) -> float | None:
        """The value of a constant with one element; `None` for other tensors and an absent one."""
        tensor = self.constants.get(name)
        values = None if tensor is None else self._onnx.numpy_helper.to_array(tensor)
        return float(values.item()) if values is not None and values.size == 1 else None

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Name of a float tensor that is computed -> its shape for a batch of one."""
        single = self._onnx.ModelProto()
        single.CopyFrom(self.model)
        del single.graph.value_info[:]  # an open batch stands in them
        for value in single.graph.input:
            value.type.tensor_type.shape.dim[0].dim_value = 1
        inferred = self._onnx.shape_inference.infer_shapes(single, data_prop=True).graph
        return {
            value.name: tuple(max(size.dim_value, 1) for size in value.type.tensor_type.shape.dim)
            for value in (*inferred.value_info, *inferred.input, *inferred.output)
            if value.type.tensor_type.elem_type == self._onnx.TensorProto.FLOAT
            and value.name not in self.constants
        }

    def weights(self) -> dict[str, Array]:
        """Name of an operation -> its constant weights."""
        return {
            node.name: self._onnx.numpy_helper.to_array(self.constants[node.input[1]])
            for node in self.model.graph.node
            if node.op_type in WITH_WEIGHTS and node.input[1] in self.constants
        }

    def ranges(
        self,
        prepared: PreparedNetwork,
        graph: FoldedGraph,
        *,
        symmetric: bool,
        extra_ranges: Mapping[str, Range] | None = None,
    ) -> dict[str, Range]:
        """Name of a tensor -> its range; of a tensor that only the file has, its extremes on all images.

        Of a network that was trained for int8, tensors without a range are left out.

        Args:
            prepared, graph, symmetric, extra_ranges: as for `PreparedNetwork.ranges_in`.
        """
        values = self._values(prepared.probe())
        found = prepared.ranges_in(values, graph, symmetric=symmetric, extra_ranges=extra_ranges)
        if prepared.trained_ranges is not None:  # there are no images that others could be measured on
            return found
        unknown = [name for name in values if name not in found]
        return found | self._extremes(unknown, prepared.images, symmetric)

    def without_ranges(self, ranges: Mapping[str, Range]) -> list[str]:
        """Names of the operations without weights that read or compute a tensor that has no range."""
        return [
            node.name
            for node in self.nodes
            if node.op_type not in WITH_WEIGHTS
            and any(name in self.shapes and name not in ranges for name in (*node.input, *node.output))
        ]

    def quantized(
        self,
        operations: Collection[str],
        ranges: Mapping[str, Range],
        float_results: Collection[str],
        *,
        symmetric: bool,
    ) -> Any:
        """An `onnx.ModelProto` in QDQ form by ONNX Runtime's quantizer, with a weight scale per channel.

        Args:
            operations: names of the operations to quantize.
            ranges: name of a tensor -> its range.
            float_results: types of operations whose results are quantized only where another reads them.
            symmetric: activations are int8 without a zero point, and biases float, as TensorRT expects;
                else uint8 with one, and biases int32.
        """
        if not operations:  # to the tool, none means all
            return self.model
        quantization = require("onnxruntime.quantization", "onnx")
        kinds = quantization.QuantType
        probe = {name: np.zeros(self.shapes[name], np.float32) for name in self._inputs}
        with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
            int8 = Path(folder, "int8.onnx")
            quantization.quantize_static(
                self.model,
                int8,
                # All ranges are given, but the tool does not go without a calibration.
                calibration_reader(quantization, [probe]),
                quant_format=quantization.QuantFormat.QDQ,
                nodes_to_quantize=sorted(operations),
                per_channel=True,
                activation_type=kinds.QInt8 if symmetric else kinds.QUInt8,
                weight_type=kinds.QInt8,
                extra_options={
                    "ActivationSymmetric": symmetric,
                    "WeightSymmetric": True,
                    "QuantizeBias": not symmetric,
                    "OpTypesToExcludeOutputQuantization": list(float_results),
                    "TensorQuantOverrides": {
                        name: [{"rmin": np.float32(low), "rmax": np.float32(high)}]
                        for name, (low, high) in ranges.items()
                    },
                },
            )
            return self._onnx.load(int8)

    @property
    def _inputs(self) -> list[str]:
        return [value.name for value in self.model.graph.input]

    @cached_property
    def _session(self) -> tuple[Any, list[str]]:
        """A session that returns all float tensors that are computed, and their names."""
        runtime = require_onnxruntime()
        probing = self._onnx.ModelProto()
        probing.CopyFrom(self.model)
        outputs = [value.name for value in self.model.graph.output]
        names = [name for name in self.shapes if name not in self._inputs and name not in outputs]
        probing.graph.output.extend(self._onnx.ValueInfoProto(name=name) for name in names)
        options = runtime.SessionOptions()
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = runtime.InferenceSession(
            probing.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return session, [*names, *outputs]

    def _values(self, batch: Batch) -> dict[str, Array]:
        """Name of a float tensor -> its values."""
        session, names = self._session
        inputs = {name: values for name, values in batch.items() if name in self.shapes}
        return dict(zip(names, session.run(names, dict(batch)), strict=True)) | inputs

    def _extremes(self, names: Sequence[str], batches: Sequence[Batch], symmetric: bool) -> dict[str, Range]:
        session, known = self._session
        fetched = [name for name in names if name in known]
        found: dict[str, Range] = {}
        for batch in batches if fetched else ():
            for name, values in zip(fetched, session.run(fetched, dict(batch)), strict=True):
                finite = values[np.isfinite(values)]
                low, high = found.get(name, (0.0, 0.0))
                found[name] = (
                    min(low, float(finite.min(initial=0.0))),
                    max(high, float(finite.max(initial=0.0))),
                )
        return {name: as_range(*range_, symmetric) for name, range_ in found.items() if any(range_)}
