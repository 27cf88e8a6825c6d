"""Reads trained Keras models, and converts them to TFLite, ONNX and OpenVINO.

Importing this package does not import TensorFlow; reading a model does.
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
    """One converter per format."""
    from edgevision_keras.onnx import OnnxConverter
    from edgevision_keras.openvino import OpenVINOConverter
    from edgevision_keras.tflite import TfliteConverter

    return [TfliteConverter(), OpenVINOConverter(), OnnxConverter()]
