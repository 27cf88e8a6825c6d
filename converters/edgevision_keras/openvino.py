"""From a Keras model to OpenVINO's intermediate representation, by way of its float32 ONNX file."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from edgevision.artifact import Artifact
from edgevision.converter import CalibrationData, Source
from edgevision.errors import ConversionError, EdgeVisionError, first_line
from edgevision_keras.libraries import openvino_core, require_openvino
from edgevision_keras.onnx import float32_onnx, onnx_of
from edgevision_keras.quantization.folding import freeze
from edgevision_keras.quantization.openvino import quantized
from edgevision_keras.quantization.prepare import int8_source
from edgevision_keras.quantization.sensitivity import layer_errors
from edgevision_keras.request import check_request
from edgevision_keras.source import KerasSource, keras_source


class OpenVINOConverter:
    """The converter ``keras-openvino``; see `edgevision.converter.Converter`.

    Inputs and outputs are float32 at every precision. ``float16`` stores the weights so; the
    device decides in what it computes. ``int8`` is NNCF's.
    """

    name = "keras-openvino"
    kind = "keras"
    format = "openvino"
    precisions = ("float32", "float16", "int8")

    def convert(
        self,
        source: Source,
        precision: str,
        calibration: CalibrationData | None,
        keep_float: Collection[str] = (),
    ) -> Artifact:
        """Make an ``.xml`` and a ``.bin`` file; see `edgevision.converter.SelectiveConverter.convert`.

        Raises:
            MissingRuntimeError: OpenVINO, tf2onnx, or for ``int8`` NNCF, is not installed.
            ConversionError: an operation has no equal in ONNX or OpenVINO.
        """
        check_request(self, precision, calibration, keep_float)
        model = keras_source(source)
        openvino = require_openvino()
        make = partial(_float_graph, model)
        if calibration is not None and precision == "int8":
            make = partial(_int8_graph, model, calibration, keep_float)
        # OpenVINO and NNCF raise RuntimeError, and NNCF many classes of its own.
        try:
            files = _serialize(openvino, make(), compress_to_fp16=precision == "float16")
        except EdgeVisionError:
            raise
        except Exception as error:
            raise ConversionError(
                f"{model.path}: cannot be expressed in OpenVINO at {precision}: {first_line(error)}"
            ) from error
        return Artifact(self.format, precision, files)

    def sensitivities(
        self, source: Source, precision: str, calibration: CalibrationData
    ) -> Sequence[tuple[str, float]]:
        """See `edgevision.converter.SelectiveConverter.sensitivities`."""
        check_request(self, precision, calibration)
        return layer_errors(int8_source(keras_source(source), calibration))


def _float_graph(source: KerasSource) -> Any:
    return openvino_core().read_model(float32_onnx(source))


def _int8_graph(source: KerasSource, calibration: CalibrationData, keep_float: Collection[str]) -> Any:
    made_from = int8_source(source, calibration)
    network = made_from.network(keep_float)
    content = onnx_of(source, "int8", freeze(source.trace, network.graph))
    return quantized(content, made_from, network, keep_float)


def _serialize(openvino: Any, graph: Any, *, compress_to_fp16: bool) -> dict[str, bytes]:
    """The two files: OpenVINO writes to a path alone."""
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        path = Path(folder, "model.xml")
        openvino.save_model(graph, path, compress_to_fp16=compress_to_fp16)
        return {part.name: part.read_bytes() for part in (path, path.with_suffix(".bin"))}
