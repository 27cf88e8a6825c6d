"""Reads trained Keras models, and converts them to TFLite, ONNX and OpenVINO.

Importing this package imports no TensorFlow: that waits until a source is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevision import hookimpl

if TYPE_CHECKING:
    from edgevision.converter import Converter, SourceReader


@hookimpl
def edgevision_readers() -> list[SourceReader]:
    """The reader of ``.keras`` and ``.h5`` files and SavedModel directories."""
    from edgevision_keras.reading.reader import KerasReader

    return [KerasReader()]


@hookimpl
def edgevision_converters() -> list[Converter]:
    """One converter for each of the formats."""
    from edgevision_keras.onnx import OnnxConverter
    from edgevision_keras.openvino import OpenVINOConverter
    from edgevision_keras.tflite import TfliteConverter

    return [TfliteConverter(), OpenVINOConverter(), OnnxConverter()]
