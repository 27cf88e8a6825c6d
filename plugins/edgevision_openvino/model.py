"""Read artifacts into OpenVINO's graphs, from the bytes whose digest was checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.artifact import Artifact
from edgevision.backend import check_open_sizes, fixed_image_shape
from edgevision.errors import ArtifactError, OutputError, first_line
from edgevision.system.files import temporary_files
from edgevision.system.onnx_file import complete
from edgevision.tensors import Quantization, TensorSpec
from edgevision_openvino.runtime import core, import_openvino
from edgevision_openvino.tflite_tensors import read_tensors


def read_model(artifact: Artifact, image_size_wh: tuple[int, int] | None = None) -> Any:
    """The `openvino.Model` of an artifact.

    Args:
        artifact: the artifact.
        image_size_wh: as in `edgevision.backend.SessionSettings`.

    Raises:
        ArtifactError: OpenVINO refuses it, or its open sizes cannot be fixed.
    """
    model = _read(artifact)
    shapes = {}
    for port in model.inputs:
        if not port.partial_shape.rank.is_dynamic:
            sizes = _sizes(artifact, port)
            fixed = fixed_image_shape(artifact, _name(port), sizes, image_size_wh)
            if fixed != sizes:
                shapes[port] = import_openvino().PartialShape(
                    [-1 if size is None else size for size in fixed]
                )
    try:
        if shapes:
            model.reshape(shapes)
    except RuntimeError as error:
        raise refusal(artifact, error) from error
    return model


def _read(artifact: Artifact) -> Any:
    import_openvino()
    try:
        if artifact.format == "openvino":
            xml, weights = _pair(artifact)
            return core().read_model(model=xml, weights=weights)
        if artifact.format == "tflite":
            return _read_tflite(artifact)
        return core().read_model(complete(artifact.files))
    except RuntimeError as error:
        raise refusal(artifact, error) from error


def refusal(artifact: Artifact, error: Exception) -> ArtifactError:
    """The error for an artifact that OpenVINO refuses."""
    return ArtifactError(f"{artifact.name}: OpenVINO refuses it: {first_line(error)}")


def open_batch(inputs: Sequence[TensorSpec]) -> bool:
    """Return whether the batch size of any input is open."""
    return any(spec.dynamic_batch for spec in inputs)


def read_inputs(artifact: Artifact, model: Any) -> tuple[TensorSpec, ...]:
    """The inputs of a model.

    Raises:
        ArtifactError: more than the batch size of an input is open, or numpy lacks its type.
    """
    quantizations = _quantizations(artifact)
    inputs = tuple(
        TensorSpec(
            _name(port), _sizes(artifact, port), _dtype(artifact, port), quantizations.get(_name(port))
        )
        for port in model.inputs
    )
    check_open_sizes(artifact, inputs)
    return inputs


def read_outputs(
    artifact: Artifact, model: Any, compiled: Any, *, has_open_batch: bool
) -> tuple[TensorSpec, ...]:
    """The outputs of a model, with the sizes that OpenVINO infers for a fixed batch.

    Args:
        artifact: the artifact.
        model: the model read from it.
        compiled: the same model, compiled for a batch of one.
        has_open_batch: whether the batch size of an input is open.
    """
    quantizations = _quantizations(artifact)
    specs = []
    for port, inferred in zip(model.outputs, compiled.outputs, strict=True):
        shape = _sizes(artifact, inferred)
        if (
            has_open_batch
            and shape
            and (port.partial_shape.rank.is_dynamic or port.partial_shape[0].is_dynamic)
        ):
            shape = (None, *shape[1:])
        name = _name(port)
        specs.append(TensorSpec(name, shape, _dtype(artifact, inferred), quantizations.get(name)))
    return tuple(specs)


def _pair(artifact: Artifact) -> tuple[bytes, bytes]:
    contents = {Path(name).suffix.lower(): content for name, content in artifact.files.items()}
    if not {".xml", ".bin"} <= set(contents):
        raise ArtifactError(
            f"{artifact.name}: expected an .xml and a .bin file, got {', '.join(artifact.files)}"
        )
    return contents[".xml"], contents[".bin"]


def _read_tflite(artifact: Artifact) -> Any:
    """Read a private copy of the checked bytes, because OpenVINO reads TFLite only from a path."""
    # First, because OpenVINO tries any other file as a TensorFlow graph, and prints it to the terminal.
    inputs, outputs = read_tensors(artifact)
    try:
        with temporary_files({"model.tflite": artifact.content}) as folder:
            model = core().read_model(folder / "model.tflite")
    except OutputError as error:
        raise ArtifactError(
            f"{artifact.name}: OpenVINO reads TFLite from files alone, and {error}; "
            "or run it on backend tflite"
        ) from error
    # The same names as in backend `tflite`.
    for ports, tensors in ((model.inputs, inputs), (model.outputs, outputs)):
        names = {tensor.tensor_name: tensor.name for tensor in tensors}
        for port in ports:
            port.get_tensor().set_names({names.get(_name(port), _name(port))})
    return model


def _quantizations(artifact: Artifact) -> dict[str, Quantization | None]:
    """Name -> quantization of inputs and outputs; only TFLite has any, and OpenVINO does not report it."""
    if artifact.format != "tflite":
        return {}
    return {tensor.name: tensor.quantization for side in read_tensors(artifact) for tensor in side}


def _name(port: Any) -> str:
    """The port's name; of several, that of its node, which ONNX and Keras use."""
    names: list[str] = sorted(port.get_names())
    node: str = str(port.get_node().get_friendly_name()).split("/sink_port_")[0]
    if not names or node in names:
        return node
    return str(min(names, key=len))


def _sizes(artifact: Artifact, port: Any) -> tuple[int | None, ...]:
    shape = port.partial_shape
    if shape.rank.is_dynamic:
        raise ArtifactError(f"{artifact.name}: tensor '{_name(port)}': its number of dimensions is open")
    return tuple(None if size.is_dynamic else size.get_length() for size in shape)


def _dtype(artifact: Artifact, port: Any) -> str:
    try:
        return str(np.dtype(port.element_type.to_dtype()).name)
    except (RuntimeError, TypeError) as error:
        kind = port.element_type.get_type_name()
        raise ArtifactError(
            f"{artifact.name}: tensor '{_name(port)}' is {kind}, which numpy does not have"
        ) from error
