"""Metadata of an OpenVINO IR: its ``rt_info``, the end of its graph, and ``metadata.yaml`` beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

from edgevision.artifact import Artifact
from edgevision.backend import ArtifactDescription, Companion, UnsupportedMetadata
from edgevision.descriptions.merging import merged
from edgevision.descriptions.model_api import describe_model_api
from edgevision.descriptions.ultralytics import describe_ultralytics, is_ultralytics
from edgevision.errors import ArtifactError
from edgevision.system.simple_yaml import read_yaml
from edgevision_openvino.ir_file import parsed_xml

#: Ultralytics' exporter writes it into the folder of the model.
_SIDECAR = "metadata.yaml"
_MODEL_API = "model_info"
#: Where the converter keeps the properties of an ONNX file.
_FRAMEWORK = "framework"

_SCORE_KINDS = {"SoftMax": "softmax", "Softmax": "softmax", "Sigmoid": "sigmoid", "LogSoftmax": "logits"}
_LINEAR = frozenset({"MatMul", "Convolution", "FullyConnected"})
_PASS_ON = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Convert", "FakeQuantize", "Transpose"})


def describe(artifact: Artifact) -> ArtifactDescription:
    """The metadata of an IR; empty fields where it has none.

    Raises:
        ArtifactError: the ``.xml`` or ``metadata.yaml`` is damaged.
    """
    net = parsed_xml(artifact)
    description = _merged(artifact, _runtime_info(net))
    kind = _Graph(net).score_kind(description.side_outputs)
    return description if kind is None else replace(description, score_kind=kind)


def companion_files() -> list[Companion]:
    """The files that may lie beside an IR."""
    return [Companion(_SIDECAR, required=False, alone=True)]


def _merged(artifact: Artifact, info: Mapping[str, Any]) -> ArtifactDescription:
    sources: list[tuple[str, ArtifactDescription]] = []
    if _SIDECAR in artifact.files:
        stated = _sidecar(artifact.files[_SIDECAR])
        if is_ultralytics(stated):
            sources.append((_SIDECAR, describe_ultralytics(stated, _SIDECAR)))
    framework = info.get(_FRAMEWORK)
    if isinstance(framework, dict):
        texts = {name: text for name, text in framework.items() if isinstance(text, str)}
        if is_ultralytics(texts):
            where = f"rt_info/{_FRAMEWORK}"
            sources.append((where, describe_ultralytics(texts, where)))
    model_api = _model_api(info)
    if model_api:
        where = f"rt_info/{_MODEL_API}"
        described = describe_model_api(model_api, where)
        kind = model_api.get("model_type", "YOLO")
        if sources and kind.lower() != "yolo":
            said = f"{where}: model_type '{kind[:80]}'"
            other = UnsupportedMetadata("kind", said, f"{sources[0][0]} is of an Ultralytics export")
            described = replace(described, unsupported=(*described.unsupported, other))
        sources.append((where, described))
    description, names = ArtifactDescription(), ""
    for name, source in sources:
        description, names = (
            merged(description, names, source, name),
            f"{names} and {name}" if names else name,
        )
    return description


def _model_api(info: Mapping[str, Any]) -> dict[str, str]:
    """The entries of ``model_info``, also those that a converted ONNX file has kept."""
    own, found = info.get(_MODEL_API), dict[str, str]()
    framework = info.get(_FRAMEWORK)
    if isinstance(framework, dict):
        for name, text in framework.items():
            words = name.split()
            if len(words) == 2 and words[0] == _MODEL_API and isinstance(text, str):
                found[words[1]] = text
    if isinstance(own, dict):
        found.update({name: text for name, text in own.items() if isinstance(text, str)})
    return found


def _sidecar(content: bytes) -> Mapping[str, Any]:
    try:
        document = read_yaml(content.decode("utf-8-sig"))
    except ValueError as error:
        raise ArtifactError(
            f"{_SIDECAR}, beside the model: cannot be read: {error}; export the model again, or move the "
            "file away if it belongs to something else"
        ) from error
    return document if isinstance(document, dict) else {}


def _runtime_info(net: ElementTree.Element) -> dict[str, Any]:
    info = net.find("rt_info")
    return {} if info is None else _entries(info)


def _entries(element: ElementTree.Element) -> dict[str, Any]:
    """Name -> text, or entries of its own."""
    found: dict[str, Any] = {}
    for child in element:
        name = child.get("name", child.tag) if child.tag == "info" else child.tag
        value = child.get("value")
        found[name] = _entries(child) if value is None else value
    return found


class _Graph:
    """The layers of an IR, and which feeds which."""

    def __init__(self, net: ElementTree.Element) -> None:
        layers = net.findall("layers/layer")
        self._kinds = {layer.get("id"): layer.get("type") for layer in layers}
        self._names = {layer.get("id"): layer.get("output_names", "").split(",") for layer in layers}
        self._feeds: dict[tuple[str | None, str | None], str | None] = {}
        for edge in net.iterfind("edges/edge"):
            self._feeds[edge.get("to-layer"), edge.get("to-port")] = edge.get("from-layer")

    def score_kind(self, side_outputs: Sequence[str]) -> str | None:
        """Type of the only output besides `side_outputs`, according to the last layer that changes values."""
        results = [
            number
            for number, kind in self._kinds.items()
            if kind == "Result" and not set(self._names[number]) & set(side_outputs)
        ]
        if len(results) != 1:
            return None
        layer, biased = self._first_input(results[0]), False
        for _ in self._kinds:
            kind = self._kinds.get(layer)
            if kind in _LINEAR:
                return "logits"
            if kind in _SCORE_KINDS:
                return None if biased else _SCORE_KINDS[kind]
            if kind == "Add" and not biased:
                computed = [each for each in self._inputs(layer) if not self._is_constant(each)]
                layer, biased = computed[0] if len(computed) == 1 else None, True
            elif kind in _PASS_ON:
                layer = self._first_input(layer)
            else:
                return None
        return None

    def _inputs(self, layer: str | None) -> Iterator[str | None]:
        return (source for (to, _), source in self._feeds.items() if to == layer)

    def _first_input(self, layer: str | None) -> str | None:
        return self._feeds.get((layer, "0"))

    def _is_constant(self, layer: str | None) -> bool:
        """True for a constant, also one that is stored in fewer bits."""
        while self._kinds.get(layer) == "Convert":
            layer = self._first_input(layer)
        return self._kinds.get(layer) == "Const"
