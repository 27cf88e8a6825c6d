"""The export format ``ovms``: a model repository for OpenVINO Model Server, with ``config.json``."""

from __future__ import annotations

import json

from edgevision.errors import ConversionError
from edgevision.export_format import ExportedFiles, ExportedModel, refusal
from edgevision.exporting.model_repository import client_note, renamed, repository_name, version_folder

_READER = "OpenVINO Model Server"


class OpenVINOModelServer:
    """As `edgevision.export_format.ExportFormat`."""

    name = "ovms"
    summary = "OpenVINO Model Server: a model repository with config.json, from openvino, onnx or tflite"
    formats = ("openvino", "onnx", "tflite")

    def export(self, model: ExportedModel) -> ExportedFiles:
        """As `edgevision.export_format.ExportFormat.export`."""
        if model.description.preprocessing is None:
            raise ConversionError(refusal(model, _READER, "a model that takes no image"))
        name = repository_name(model)
        # Its paths may be relative to this file. A batch that is open stays so: it sets none.
        served = {"name": name, "base_path": name, "target_device": "CPU"}
        document = {"model_config_list": [{"config": served}]}
        notes = [client_note(model, _READER)]
        if model.artifact.format != "openvino":
            notes.append(
                f"OpenVINO runs the {model.artifact.format} file there: measure it on the server, or convert "
                "for a target with OpenVINO"
            )
        return ExportedFiles(
            renamed(model.artifact),
            model.description,
            {"config.json": (json.dumps(document, indent=2) + "\n").encode()},
            tuple(notes),
            version_folder(model),
        )
