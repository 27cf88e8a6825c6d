"""Valid containers around nonsense graphs, in bundles with mended digests: refused, or the same answers.

Native runtimes can die of these. A bundle's known answers are those of the good artifact, so that whatever a
mutant computes is compared with them.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from edgevision.bundle.layout import MANIFEST
from edgevision.bundle.manifest import digest_of
from fuzz.harness import Attempt, Kind
from fuzz.opened import Basis, bases

_SIZES = (0, 1, 2, 3, 7, -1, 255, 1 << 16, (1 << 31) - 1, -(1 << 31))


class Tables:
    """The numbers of a TFLite file that say how its graph hangs together: where they are, and their kind."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.places: list[tuple[str, int, str]] = list(self._places())

    def _read(self, kind: str, position: int) -> int:
        return int(struct.unpack_from(f"<{kind}", self._content, position)[0])

    def _field(self, table: int, number: int) -> int | None:
        layout = table - self._read("i", table)
        if 4 + 2 * number >= self._read("H", layout):
            return None
        offset = self._read("H", layout + 4 + 2 * number)
        return table + offset if offset else None

    def _target(self, position: int) -> int:
        return position + self._read("I", position)

    def _vector(self, table: int, number: int) -> range:
        """Positions of the elements of a vector of 4 bytes each."""
        place = self._field(table, number)
        if place is None:
            return range(0)
        start = self._target(place)
        return range(start + 4, start + 4 + 4 * self._read("I", start), 4)

    def _scalar(self, what: str, table: int, number: int, kind: str) -> Iterator[tuple[str, int, str]]:
        place = self._field(table, number)
        if place is not None:
            yield what, place, kind

    def _places(self) -> Iterator[tuple[str, int, str]]:
        root = self._target(0)
        for code in map(self._target, self._vector(root, 1)):
            yield from self._scalar("operator code", code, 0, "b")
            yield from self._scalar("operator", code, 3, "i")
        for graph in map(self._target, self._vector(root, 2)):
            for tensor in map(self._target, self._vector(graph, 0)):
                yield from (("size", place, "i") for place in self._vector(tensor, 0))
                yield from self._scalar("type", tensor, 1, "b")
                yield from self._scalar("buffer", tensor, 2, "I")
            for number in (1, 2):
                yield from (("tensor of the graph", place, "i") for place in self._vector(graph, number))
            for operator in map(self._target, self._vector(graph, 3)):
                yield from self._scalar("code of an operator", operator, 0, "I")
                for number in (1, 2):
                    yield from (("tensor", place, "i") for place in self._vector(operator, number))
                options = self._field(operator, 4)
                if options is not None:
                    for number in range(6):
                        yield from self._scalar("option", self._target(options), number, "i")


def tflite_mutant(random: Random, content: bytes, tables: Tables) -> tuple[bytes, str]:
    """A TFLite file with a few other numbers in its graph."""
    mutant, ways = bytearray(content), []
    for _ in range(random.choice((1, 1, 2, 4))):
        what, place, kind = random.choice(tables.places)
        value = random.choice((random.choice(_SIZES), random.randrange(12), random.randrange(160)))
        size = struct.calcsize(kind)
        mutant[place : place + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        ways.append(f"{what} {value}")
    return bytes(mutant), ", ".join(ways)


_OPERATORS = (
    *(
        "Conv",
        "Relu",
        "MatMul",
        "Softmax",
        "Reshape",
        "Transpose",
        "Concat",
        "Gather",
        "Slice",
        "Add",
        "Resize",
    ),
    *(
        "ReduceMean",
        "Cast",
        "Loop",
        "If",
        "Scan",
        "Pad",
        "Tile",
        "TopK",
        "NonMaxSuppression",
        "NoSuchOperator",
    ),
)


def onnx_mutant(random: Random, content: bytes) -> tuple[bytes, str]:
    """An ONNX file with another operator, attribute, edge, shape or type in a few places."""
    import onnx

    model, ways = onnx.load_from_string(content), []
    graph = model.graph
    for _ in range(random.choice((1, 1, 2, 4))):
        node = random.choice(graph.node)
        names = [name for each in graph.node for name in (*each.input, *each.output)]
        way = random.choice(
            ("operator", "attribute", "edge", "output", "weights", "input", "remove", "opset")
        )
        if way == "operator":
            node.op_type = random.choice(_OPERATORS)
        elif way == "attribute" and node.attribute:
            attribute = random.choice(node.attribute)
            attribute.i = random.choice(_SIZES)
            attribute.ints[:] = [random.choice(_SIZES) for _ in attribute.ints]
        elif way in ("edge", "output"):
            ends = node.input if way == "edge" else node.output
            ends[random.randrange(len(ends))] = random.choice([*names, "", "nothing"])
        elif way == "weights":
            weights = random.choice(graph.initializer)
            weights.dims[random.randrange(len(weights.dims))] = random.choice(_SIZES)
        elif way == "input":
            sizes = graph.input[0].type.tensor_type.shape.dim
            sizes[random.randrange(len(sizes))].dim_value = random.choice(_SIZES)
        elif way == "remove" and len(graph.node) > 1:
            graph.node.remove(node)
        else:
            model.opset_import[0].version = random.choice((0, 1, 6, 13, 25, 1 << 40))
        ways.append(way)
    return model.SerializeToString(), ", ".join(ways)


def openvino_mutant(random: Random, content: bytes) -> tuple[bytes, str]:
    """An IR with another number, type of a layer or type of a tensor in a few places."""
    text, ways = content.decode(), []
    for _ in range(random.choice((1, 1, 2, 4))):
        way, pattern, values = random.choice(
            (
                ("number", r'="(-?\d+)"', tuple(map(str, _SIZES))),
                ("size", r"<dim>(-?\d+)</dim>", tuple(map(str, _SIZES))),
                (
                    "layer",
                    r' type="([A-Z]\w+)"',
                    ("Convolution", "Result", "Parameter", "Loop", "TopK", "Nothing"),
                ),
                ("type", r'element_type="(\w+)"', ("f16", "i8", "u4", "string", "boolean", "i64")),
            )
        )
        found = list(re.finditer(pattern, text))
        if found:
            match = random.choice(found)
            text = text[: match.start(1)] + random.choice(values) + text[match.end(1) :]
            ways.append(way)
    return text.encode(), ", ".join(ways)


def with_artifact(basis: Basis, name: str, content: bytes) -> dict[str, bytes]:
    """The files of a bundle that change with one file of its artifact: digests are mended."""
    document: dict[str, Any] = json.loads(basis.contents[MANIFEST])
    for entry in document["artifacts"][0]["files"]:
        if entry["path"] == name:
            entry["sha256"], entry["size_bytes"] = hashlib.sha256(content).hexdigest(), len(content)
    document["digest"] = digest_of(document)
    return {name: content, MANIFEST: json.dumps(document).encode()}


def open_structures(folder: Path, only: str) -> Callable[[Random], Attempt]:
    """See `Kind.open`."""
    known = [basis for basis in bases(folder) if only in basis.format]
    if importlib.util.find_spec("onnx") is None:
        known = [basis for basis in known if basis.format != "onnx"]
    names = {basis.format: basis.manifest.artifacts[0].files[0].path for basis in known}
    tables = {
        basis.format: Tables(basis.contents[names["tflite"]]) for basis in known if basis.format == "tflite"
    }

    def make(random: Random) -> Attempt:
        basis = random.choice(known)
        name = names[basis.format]
        content = basis.contents[name]
        if basis.format == "tflite":
            mutant, way = tflite_mutant(random, content, tables["tflite"])
        else:
            mutant, way = (onnx_mutant if basis.format == "onnx" else openvino_mutant)(random, content)
        path = folder / "mutant.evb"
        shutil.rmtree(path, ignore_errors=True)
        basis.write(path, with_artifact(basis, name, mutant))
        return Attempt({"format": basis.format, "graph": way}, lambda: basis.use(path))

    return make


STRUCTURES = Kind("structures", 200, open_structures)
