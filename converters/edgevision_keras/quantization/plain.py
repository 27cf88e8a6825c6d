"""The conversion that people have without EdgeVision: each format's usual tool with its default settings.

Our own int8 is compared with it, and it is written where it is the better one. All three start from the
source's own frozen graph, and calibrate on the same images as ours.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from edgevision.tensors import Array
from edgevision_keras.graph.tflite_equivalents import tflite_converter
from edgevision_keras.graph.trace import Trace
from edgevision_keras.libraries import (
    openvino_core,
    require,
    require_nncf,
    require_onnxruntime,
    require_tensorflow,
)
from edgevision_keras.quantization.images import FittingImages


def plain_tflite(trace: Trace, precision: str, images: FittingImages) -> bytes:
    """A file by `TFLiteConverter` with `Optimize.DEFAULT` and a representative dataset.

    ``int8`` and ``int8-float-io`` are full integer. Where the converter refuses that, they are what it offers
    instead: operations without an int8 kernel stay float, and at last also the inputs and outputs.

    Args:
        trace: the graph of the source.
        precision: ``int8``, ``int8-float-io`` or ``int16x8``.
        images: calibration images.
    """
    tf = require_tensorflow()
    sets = tf.lite.OpsSet
    if precision == "int16x8":
        return _convert_tflite(
            trace, images, sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8, tf.float32
        )
    interface = tf.int8 if precision == "int8" else tf.float32
    attempts = [(sets.TFLITE_BUILTINS_INT8, interface), (sets.TFLITE_BUILTINS, interface)]
    for operations, kind in attempts:
        try:
            return _convert_tflite(trace, images, operations, kind)
        except MemoryError:
            raise
        except Exception:  # noqa: S112 - the converter raises many kinds; the last attempt's is raised
            continue
    return _convert_tflite(trace, images, sets.TFLITE_BUILTINS, tf.float32)


def tflite_tool() -> str:
    """The tool behind `plain_tflite`, with its version."""
    return f"TFLiteConverter of TensorFlow {require_tensorflow().__version__}"


def _convert_tflite(trace: Trace, images: FittingImages, operations: Any, interface: Any) -> bytes:
    tf = require_tensorflow()
    converter = tflite_converter(trace.frozen)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [operations]
    converter.representative_dataset = _in_order(trace, images)
    converter.inference_input_type = converter.inference_output_type = interface
    return bytes(converter.convert())


def _in_order(trace: Trace, images: FittingImages) -> Callable[[], Iterator[list[Array]]]:
    return lambda: ([image[spec.name] for spec in trace.inputs] for image in images)


def plain_openvino(float32: bytes, images: FittingImages) -> Any:
    """An `openvino.Model` by `nncf.quantize` with its defaults.

    Args:
        float32: the source as a float32 ONNX file.
        images: calibration images.
    """
    nncf = require_nncf()
    dataset = nncf.Dataset([dict(image) for image in images])
    return nncf.quantize(openvino_core().read_model(float32), dataset)


def openvino_tool() -> str:
    """The tool behind `plain_openvino`, with its version."""
    return f"NNCF {require_nncf().__version__}"


def plain_onnx(float32: bytes, images: FittingImages, *, symmetric: bool = False) -> Any:
    """An `onnx.ModelProto` by `quantize_static` in its default form, QDQ, with a scale per channel.

    Args:
        float32: the source as a float32 ONNX file.
        images: calibration images.
        symmetric: activations without a zero point, which TensorRT refuses.
    """
    quantization: Any = require("onnxruntime.quantization", "onnx")
    pre_process = require("onnxruntime.quantization.shape_inference", "onnx").quant_pre_process
    onnx = require("onnx")

    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        source, simplified, int8 = (
            Path(folder, f"{step}.onnx") for step in ("float32", "simplified", "int8")
        )
        source.write_bytes(float32)
        pre_process(source, simplified, skip_symbolic_shape=True)
        quantization.quantize_static(
            simplified,
            int8,
            calibration_reader(quantization, images),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            extra_options={"ActivationSymmetric": symmetric},
        )
        return onnx.load(int8)


def calibration_reader(quantization: Any, images: Iterable[Mapping[str, Array]]) -> Any:
    """Calibration images as ONNX Runtime reads them: one per call, then ``None``.

    Args:
        quantization: the module `onnxruntime.quantization`.
        images: input name -> values, for each image.
    """

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._images: Iterator[Mapping[str, Array]] = iter(images)

        def get_next(self) -> dict[str, Array] | None:
            image = next(self._images, None)
            return None if image is None else dict(image)

    return Reader()


def onnx_tool() -> str:
    """The tool behind `plain_onnx`, with its version."""
    return f"quantize_static of ONNX Runtime {require_onnxruntime().__version__}"
