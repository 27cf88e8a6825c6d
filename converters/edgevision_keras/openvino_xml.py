"""OpenVINO's description of a network without what no reader needs: a third of a small network's file."""

from __future__ import annotations

import re
from collections.abc import Collection
from xml.etree import ElementTree

#: The scopes that the conversion itself opens, around those of the source's layers.
_SCOPE = re.compile(r"^(int8/)?source/(functional|sequential)?[^/]*/")
#: Names that OpenVINO and tf2onnx make up: the type of an operation and a number; a name, ``__``, a number.
_COUNTED = re.compile(
    r"\b(Constant|Convert|Multiply|Add|Subtract|Divide|Reshape|Transpose|ShapeOf|Gather|Concat|Squeeze|"
    r"Unsqueeze|FakeQuantize|FakeConvert|MatMul|Broadcast|Range|StridedSlice|Select|Power|Clamp|Split|"
    r"VariadicSplit|Slice|Convolution|GroupConvolution)_(\d+)|(?<=\w)(_)_(\d+)"
)


def compact(content: bytes, interface: Collection[str]) -> bytes:
    """The same network in fewer bytes.

    Names that OpenVINO counts over all models of the process are counted from 0, so that the same network has
    the same bytes. Left out are white space, constants that repeat others, the shapes of ports, which
    OpenVINO infers when it reads a network, the names of inner tensors, which repeat those of the layers, and
    the settings of the quantizer.

    Args:
        content: the ``.xml`` file.
        interface: names of the inputs and outputs, which are kept.
    """
    root = ElementTree.fromstring(content)  # noqa: S314 - written by OpenVINO a moment ago
    places: dict[str, int] = {}
    for layer in root.iter("layer"):
        if layer.get("type") not in ("Parameter", "Result"):
            name = _SCOPE.sub("", layer.get("name", ""))
            layer.set("name", _COUNTED.sub(lambda match: _recounted(match, places), name))
        for port in layer.findall("input/port"):
            port.attrib.pop("precision", None)
        for port in layer.iter("port"):
            for size in list(port):
                port.remove(size)
            names = [name for name in port.get("names", "").split(",") if name in interface]
            port.attrib.pop("names", None)
            if names:
                port.set("names", ",".join(names))
    for information in root.findall("rt_info"):
        for quantizer in information.findall("nncf"):
            information.remove(quantizer)
    _share_constants(root)
    for element in root.iter():
        element.text = (element.text or "").strip() or None
        element.tail = None
    text = bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))
    return text.replace(b" />", b"/>")


def _recounted(match: re.Match[str], places: dict[str, int]) -> str:
    """A name with the place of its number among those that occurred before."""
    kind, number = match[1] or match[3], match[2] or match[4]
    # OpenVINO and tf2onnx count apart: in a fresh process both have a 27, of different operations.
    counter = f"{'_' if match[3] else ''}{number}"
    return f"{kind}_{places.setdefault(counter, len(places))}"


def _share_constants(root: ElementTree.Element) -> None:
    """Keep one of the constants with the same values: the four of a range are two."""
    layers, edges = root.find("layers"), root.find("edges")
    if layers is None or edges is None:
        return
    first: dict[tuple[tuple[str, str], ...], str] = {}
    same: dict[str, str] = {}
    for layer in layers.findall("layer"):
        data = layer.find("data")
        if layer.get("type") != "Const" or data is None or layer.find("rt_info") is not None:
            continue
        key = tuple(sorted(data.attrib.items()))
        number = layer.get("id", "")
        if key in first:
            same[number] = first[key]
            layers.remove(layer)
        else:
            first[key] = number
    for edge in edges:
        number = edge.get("from-layer", "")
        edge.set("from-layer", same.get(number, number))
