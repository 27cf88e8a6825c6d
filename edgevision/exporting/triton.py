"""The export format ``triton``: a model repository for NVIDIA Triton Inference Server.

Its backend ``onnxruntime`` runs ONNX files, on a GPU with TensorRT where the bundle was converted for one;
its backend ``openvino`` runs OpenVINO's, whose batching its documentation warns of, so none is configured.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from edgevision.descriptions.datatypes import datatype_of
from edgevision.errors import ConversionError, OptionError
from edgevision.export_format import ExportedFiles, ExportedModel, refusal
from edgevision.exporting.model_repository import (
    client_note,
    renamed,
    repository_name,
    takes_any_batch,
    version_folder,
)
from edgevision.tensors import TensorSpec

_READER = "Triton"
#: Artifact format -> Triton's backend that runs it.
_BACKENDS = {"onnx": "onnxruntime", "openvino": "openvino"}
_LABELS = "labels.txt"
_MAX_BATCH = 8
#: Of a session of ours on NVIDIA GPUs.
_GPU_BACKEND = "cuda"


class Triton:
    """As `edgevision.export_format.ExportFormat`."""

    name = "triton"
    summary = "Triton Inference Server: a model repository for its onnxruntime or openvino backend"
    formats = ("onnx", "openvino")

    def export(self, model: ExportedModel) -> ExportedFiles:
        """As `edgevision.export_format.ExportFormat.export`."""
        if model.description.preprocessing is None:
            raise ConversionError(refusal(model, _READER, "a model that takes no image"))
        name = repository_name(model)
        try:
            configuration = "\n".join(_configuration(model)) + "\n"
        except OptionError as error:
            raise ConversionError(refusal(model, _READER, str(error))) from error
        others = {f"{name}/config.pbtxt": configuration.encode()}
        if _labelled_output(model) is not None:
            others[f"{name}/{_LABELS}"] = "".join(f"{one}\n" for one in model.description.labels).encode()
        return ExportedFiles(
            renamed(model.artifact),
            model.description,
            others,
            (client_note(model, _READER),),
            version_folder(model),
        )


def _configuration(model: ExportedModel) -> Iterator[str]:
    """The lines of ``config.pbtxt``."""
    backend = _BACKENDS[model.artifact.format]
    batches = backend == "onnxruntime" and takes_any_batch(model)
    yield f"name: {_quoted(repository_name(model))}"
    yield f"backend: {_quoted(backend)}"
    yield f"max_batch_size: {_MAX_BATCH if batches else 0}"
    for spec in model.inputs:
        yield f"input [ {{ {_tensor(spec, batches)} }} ]"
    labelled = _labelled_output(model)
    for spec in model.outputs:
        labels = f" label_filename: {_quoted(_LABELS)}" if spec.name == labelled else ""
        yield f"output [ {{ {_tensor(spec, batches)}{labels} }} ]"
    if batches:
        yield "dynamic_batching { }"
    on_gpu = backend == "onnxruntime" and _GPU_BACKEND in model.backends
    yield f"instance_group [ {{ count: 1 kind: {'KIND_GPU' if on_gpu else 'KIND_CPU'} }} ]"
    if on_gpu:
        parameters = {"precision_mode": _tensorrt_precision(model), "trt_engine_cache_enable": "1"}
        listed = " ".join(
            f"parameters {{ key: {_quoted(key)} value: {_quoted(value)} }}"
            for key, value in parameters.items()
        )
        yield (
            "optimization { execution_accelerators { "
            f'gpu_execution_accelerator [ {{ name: "tensorrt" {listed} }} ] }} }}'
        )


def _tensor(spec: TensorSpec, batches: bool) -> str:
    sizes = spec.shape[1:] if batches else spec.shape
    dims = ", ".join("-1" if size is None else str(size) for size in sizes)
    return f"name: {_quoted(spec.name)} data_type: TYPE_{datatype_of(spec)} dims: [ {dims} ]"


def _labelled_output(model: ExportedModel) -> str | None:
    """Name of the output with one score per label, if there is one."""
    output = model.description.task.get("output")
    labels = model.description.labels
    single = all(len(label.splitlines()) == 1 for label in labels)
    return next(
        (
            spec.name
            for spec in model.outputs
            if labels and single and spec.name == output and spec.shape[-1] == len(labels)
        ),
        None,
    )


def _tensorrt_precision(model: ExportedModel) -> str:
    precision = model.artifact.precision
    return "INT8" if precision.startswith("int8") else "FP16" if precision == "float16" else "FP32"


def _quoted(text: str) -> str:
    """A string of protobuf's text format, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False)
