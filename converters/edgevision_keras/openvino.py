"""From a Keras model to OpenVINO's intermediate representation, by way of its float32 ONNX file."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from edgevision.artifact import Artifact, QuantizationRecord
from edgevision.converter import CalibrationData, Source
from edgevision.system.reading import MOST_MODEL_BYTES, read_file
from edgevision_keras.failures import conversion_errors
from edgevision_keras.libraries import openvino_core, require_openvino
from edgevision_keras.onnx_export import export
from edgevision_keras.openvino_xml import compact
from edgevision_keras.quantization.folding import freeze
from edgevision_keras.quantization.images import FittingImages
from edgevision_keras.quantization.openvino import quantize
from edgevision_keras.quantization.plain import openvino_tool, plain_openvino
from edgevision_keras.quantization.sensitivity import layer_errors
from edgevision_keras.request import INT8, Request, check_calibrated, check_request


class OpenVINOConverter:
    """The converter ``keras-openvino``; see `edgevision.converter.SelectiveConverter`.

    Inputs and outputs are float32 at every precision. ``float16`` is the type in which weights are
    stored; the device chooses the type in which it computes. ``int8`` is quantized by NNCF.
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
        """Convert to an ``.xml`` and a ``.bin`` file; see `edgevision.converter.SelectiveConverter.convert`.

        Raises:
            MissingRuntimeError: OpenVINO, tf2onnx, or for ``int8`` NNCF, is not installed.
            ConversionError: an operation has no equivalent in ONNX or OpenVINO.
        """
        request = check_request(self, source, precision, calibration, keep_float)
        with conversion_errors(request.source.path, "OpenVINO", precision):
            files = _serialize(_model(request), compress_to_fp16=precision == "float16")
        record = request.prepared().record(openvino_tool()) if precision in INT8 else None
        return Artifact(self.format, precision, files, record)

    def convert_plain(self, source: Source, precision: str, calibration: CalibrationData) -> Artifact:
        """See `edgevision.converter.PlainConverter.convert_plain`."""
        request = check_calibrated(self, source, precision, calibration)
        with conversion_errors(request.source.path, "OpenVINO", precision):
            model = plain_openvino(request.source.float32_onnx, FittingImages(calibration))
            files = _serialize(model, compress_to_fp16=False)
        return Artifact(self.format, precision, files, QuantizationRecord("plain", openvino_tool()))

    def sensitivities(
        self, source: Source, precision: str, calibration: CalibrationData
    ) -> Sequence[tuple[str, float]]:
        """See `edgevision.converter.SelectiveConverter.sensitivities`."""
        return layer_errors(check_request(self, source, precision, calibration).prepared())


def _model(request: Request) -> Any:
    source = request.source
    if request.precision not in INT8:
        return openvino_core().read_model(source.float32_onnx)
    prepared = request.prepared()
    graph = prepared.rounded_graph(request.keep_float)
    content = export(source, request.precision, freeze(source.trace, graph.definition))
    return quantize(content, prepared, graph, request.keep_float)


def _serialize(model: Any, *, compress_to_fp16: bool) -> dict[str, bytes]:
    """The two files: OpenVINO writes only to a path."""
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        path = Path(folder, "model.xml")
        require_openvino().save_model(model, path, compress_to_fp16=compress_to_fp16)
        interface = {name for port in (*model.inputs, *model.outputs) for name in port.get_names()}
        text = compact(read_file(path, MOST_MODEL_BYTES), interface)
        return {path.name: text, "model.bin": read_file(path.with_suffix(".bin"), MOST_MODEL_BYTES)}
