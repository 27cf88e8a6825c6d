"""Float32 ONNX files of frozen TensorFlow graphs, which the ONNX and OpenVINO converters start from.

Keras's own export is not safe: normalization layers become inputs that nobody feeds, and exact
GELU and grouped convolutions give invalid files without an error. So tf2onnx converts the frozen
graph, and the file is checked, and its outputs compared once with those of the source.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from edgevision.converter import Source, SourceFacts
from edgevision.errors import ConversionError, MissingRuntimeError
from edgevision.tensors import Array
from edgevision_keras.failures import conversion_error, conversion_errors, listed
from edgevision_keras.graph.onnx_equivalents import write_translatable
from edgevision_keras.libraries import require, require_onnxruntime

#: Computes outputs by name from inputs by name.
Answer = Callable[[Mapping[str, Array]], dict[str, Array]]
#: Every ONNX Runtime from 1.20 on loads these.
_OPSET, _IR_VERSION = 17, 8
#: What tf2onnx adds to a name to make another.
_NUMBERS = re.compile(r"(?:__\d+)+$")
#: Allowed difference of the float32 file from the source, relative to the largest output.
_TOLERANCE = 1e-3
#: No image has more rows.
_LARGEST_SIZE = 8192


def export_float32(source: Source, frozen: Any, answer: Answer) -> bytes:
    """The float32 file of a source, with its outputs compared with those of its graph.

    Args:
        source: the model.
        frozen: its frozen graph, a concrete function.
        answer: runs that graph, as `Source.run`.

    Raises:
        MissingRuntimeError: tf2onnx is not installed.
        ConversionError: an operation has no ONNX equivalent, or the outputs of the file differ
            from those of the source.
    """
    content = export(source, "float32", frozen)
    _compare(source, content, answer)
    return content


def export(source: Source, precision: str, frozen: Any) -> bytes:
    """A float32 file of a frozen graph.

    Args:
        source: the model, which has the same inputs and outputs.
        precision: of the artifact that starts from the file, for error messages.
        frozen: a concrete function.

    Raises:
        MissingRuntimeError: tf2onnx is not installed.
        ConversionError: an operation has no ONNX equivalent.
    """
    tf2onnx = require("tf2onnx")
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    tf2onnx.utils.INTERNAL_NAME = (
        1  # it counts over the process, and the same network is to have the same names
    )
    graph = frozen.graph.as_graph_def()
    write_translatable(graph)
    inputs = [spec.name for spec in source.inputs]
    outputs = [spec.name for spec in source.outputs]
    with conversion_errors(source.path, "ONNX", precision):
        model, external = tf2onnx.convert.from_graph_def(
            graph,
            name="edgevision",
            input_names=[f"{name}:0" for name in inputs],
            output_names=[f"{name}:0" for name in outputs],
            opset=_OPSET,
            tensors_to_rename={f"{name}:0": name for name in (*inputs, *outputs)},
        )
    _number_anew(model.graph)
    _enlarge_instead_of_negative_padding(require("onnx"), model)
    _resize_to_whole_sizes(require("onnx"), model)
    if external:
        raise _failed(source, precision, "the model exceeds 2 GB, the limit of one ONNX file")
    return checked_file(source, precision, model)


def _number_anew(graph: Any) -> None:
    """Number the names that tf2onnx made in the order of the nodes, so that a network gives one file always.

    tf2onnx counts while it optimizes, and does so in the order of sets of objects.
    """
    stated = {value.name for value in (*graph.input, *graph.output)}
    numbered: dict[str, str] = {}
    taken = set(stated)

    def renamed(name: str) -> str:
        base, colon, position = name.partition(":")
        found = _NUMBERS.search(base)
        if found is None or name in stated:
            return name
        if base not in numbered:
            number = len(numbered) + 1
            while (anew := f"{base[: found.start()]}__{number}") in taken:
                number += 1
            taken.add(anew)
            numbered[base] = anew
        return f"{numbered[base]}{colon}{position}"

    _rename(graph, renamed)
    initializers = sorted(graph.initializer, key=lambda one: str(one.name))
    del graph.initializer[:]
    graph.initializer.extend(initializers)


def _rename(graph: Any, renamed: Callable[[str], str]) -> None:
    """Rename the nodes and tensors of an ONNX graph, and of the graphs in it, in the order of the nodes."""
    for node in graph.node:
        node.name = renamed(node.name)
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                _rename(inner, renamed)
    for one in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        one.name = renamed(one.name)


def checked_file(source: Source, precision: str, model: Any) -> bytes:
    """The bytes of an ONNX model, checked and with the names and versions that runtimes expect.

    Args:
        source: the model that it was converted from.
        precision: for error messages.
        model: an `onnx.ModelProto`; is changed.

    Raises:
        ConversionError: it is not valid, has operations outside of ONNX, or other inputs than the source.
    """
    onnx = require("onnx")
    foreign = [
        (node.op_type, node.name)
        for node in model.graph.node
        if node.domain not in ("", "ai.onnx") or not onnx.defs.has(node.op_type)
    ]
    if foreign:
        raise _failed(source, precision, f"no ONNX equivalent of {listed(foreign)}; replace the layer")
    standard = [entry for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    del model.opset_import[:]
    model.opset_import.extend(standard)
    model.ir_version = _IR_VERSION
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    names = [value.name for value in model.graph.input]
    expected = [spec.name for spec in source.inputs]
    if names != expected:
        raise _failed(
            source, precision, f"expected the inputs {', '.join(expected)}, the file has {', '.join(names)}"
        )
    with conversion_errors(source.path, "ONNX", precision):
        onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _enlarge_instead_of_negative_padding(onnx: Any, model: Any) -> None:
    """Write transposed convolutions whose kernel is smaller than the stride as ONNX has them.

    tf2onnx distributes what their outputs lack over both ends, as negative padding, which is not valid.
    TensorFlow adds all of it at the end.
    """
    for node in model.graph.node:
        attributes = {attribute.name: attribute for attribute in node.attribute}
        pads = list(attributes["pads"].ints) if "pads" in attributes else []
        if node.op_type != "ConvTranspose" or min(pads, default=0) >= 0:
            continue
        totals = [
            begin + end for begin, end in zip(pads[: len(pads) // 2], pads[len(pads) // 2 :], strict=True)
        ]
        begins = [max(total, 0) // 2 for total in totals]
        ends = [max(total - begin, 0) for total, begin in zip(totals, begins, strict=True)]
        attributes["pads"].CopyFrom(onnx.helper.make_attribute("pads", begins + ends))
        lacking = [max(-total, 0) for total in totals]
        node.attribute.append(onnx.helper.make_attribute("output_padding", lacking))


def _resize_to_whole_sizes(onnx: Any, model: Any) -> None:
    """Round the factors of resizing up, where rounding them down makes the result one row too small.

    tf2onnx writes 9/7 as the float32 next to it, and ONNX rounds 7 times this factor down to 8.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        tensor = constants.get(node.input[2]) if node.op_type == "Resize" and len(node.input) > 2 else None
        if tensor is None:
            continue
        factors = onnx.numpy_helper.to_array(tensor).copy()
        for place, factor in enumerate(factors):
            exact = Fraction(float(factor)).limit_denominator(_LARGEST_SIZE)
            if Fraction(float(factor)) < exact:
                factors[place] = np.nextafter(factor, np.float32(np.inf))
        tensor.CopyFrom(onnx.numpy_helper.from_array(factors, tensor.name))


def _compare(source: Source, content: bytes, answer: Answer) -> None:
    """Compare the outputs of the float32 file with the graph's, where ONNX Runtime is installed.

    So a wrong translation is reported by name, and does not appear as a low score an hour later.
    """
    try:
        runtime = require_onnxruntime()
    except MissingRuntimeError:
        return
    with conversion_errors(source.path, "ONNX", "float32"):
        session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    failures = []
    # Outside of the range that a model was trained for, an exponential overflows and a tangent has no digits.
    for low, high in _tried_ranges(source):
        failure = _difference(source, session, answer, low, high)
        if failure is None:
            return
        failures.append(failure)
    raise _failed(source, "float32", failures[0])


def _difference(source: Source, session: Any, answer: Answer, low: float, high: float) -> str | None:
    """How the outputs of a file differ from the source's on random inputs; `None` if they do not."""
    rng = np.random.default_rng(0)
    inputs = {
        spec.name: rng.uniform(low, high, spec.with_batch(2)).astype(np.float32) for spec in source.inputs
    }
    names = [output.name for output in source.outputs]
    with conversion_errors(source.path, "ONNX", "float32"):
        results = session.run(names, inputs)
    expected = answer(inputs)
    for name, result in zip(names, results, strict=True):
        own = expected[name]
        finite = np.isfinite(own)
        if result.shape != own.shape or not np.array_equal(result[~finite], own[~finite], equal_nan=True):
            return f"output '{name}' differs from the source"
        allowed = _TOLERANCE * max(1.0, float(np.abs(own[finite]).max(initial=0.0)))
        difference = float(np.abs(own[finite] - result[finite]).max(initial=0.0))
        if not difference <= allowed:
            return f"output '{name}' differs from the source by {difference:.3g} (allowed: {allowed:.3g})"
    return None


def _tried_ranges(source: Source) -> list[tuple[float, float]]:
    """The values that inputs have, or the usual ones where the model does not say."""
    own = _value_range(source.facts)
    if own is not None:
        return [own]
    # Several inputs are not pixels, and may be class numbers: 0 and 1 are valid in every such network.
    return [(0.0, 255.0), (0.0, 1.0)] if len(source.inputs) == 1 else [(0.0, 1.0)]


def _value_range(facts: SourceFacts) -> tuple[float, float] | None:
    """The values that images have at the input; `None` where the model does not say."""
    own = facts.preprocessing
    if own is None:
        return facts.pixel_range
    values = np.subtract.outer(own.value_range, own.mean) / own.scale
    return float(values.min()), float(values.max())


def _failed(source: Source, precision: str, cause: str) -> ConversionError:
    return conversion_error(source.path, "ONNX", precision, cause)
