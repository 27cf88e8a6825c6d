"""Reads trained Keras models, and converts them to TFLite, ONNX and OpenVINO.

Importing this package imports no TensorFlow: that waits until a source is read.
"""

from __future__ import annotations

from edgevision import hookimpl
from edgevision.converter import Converter, SourceReader
from edgevision_keras.onnx import OnnxConverter
from edgevision_keras.openvino import OpenVinoConverter
from edgevision_keras.reader import KerasReader
from edgevision_keras.tflite import TfliteConverter

__all__ = ["KerasReader", "OnnxConverter", "OpenVinoConverter", "TfliteConverter"]


@hookimpl
def edgevision_readers() -> list[SourceReader]:
    """The reader of ``.keras`` and ``.h5`` files and SavedModel directories."""
    return [KerasReader()]


@hookimpl
def edgevision_converters() -> list[Converter]:
    """One converter for each of the formats."""
    return [TfliteConverter(), OpenVinoConverter(), OnnxConverter()]
