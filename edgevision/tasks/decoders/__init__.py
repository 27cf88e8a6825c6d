"""The built-in decoders of detection heads, one module each; a plugin like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevision.hookspecs import hookimpl

if TYPE_CHECKING:
    from edgevision.decoder import Decoder


@hookimpl
def edgevision_decoders() -> list[Decoder]:
    """As `edgevision.hookspecs.edgevision_decoders`."""
    # Imported here: `edgevision --help` asks plugins for commands, and must not import numpy.
    from edgevision.tasks.decoders.boxes_labels import BoxesLabels
    from edgevision.tasks.decoders.boxes_scores import BoxesScores
    from edgevision.tasks.decoders.detection_output import DetectionOutput
    from edgevision.tasks.decoders.heatmap import Heatmap
    from edgevision.tasks.decoders.ssd import SSD
    from edgevision.tasks.decoders.tflite_ssd import TFLiteSSD
    from edgevision.tasks.decoders.yolo import YOLO
    from edgevision.tasks.decoders.yolo_end2end import YOLOEnd2End

    return [
        TFLiteSSD(),
        SSD(),
        YOLO(),
        YOLOEnd2End(),
        Heatmap(),
        BoxesScores(),
        BoxesLabels(),
        DetectionOutput(),
    ]
