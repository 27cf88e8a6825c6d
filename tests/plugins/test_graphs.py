"""Operations appended to a network of each format: what the runtime computes is what numpy does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgevision.artifact import Artifact
from edgevision.errors import ArtifactError
from edgevision.graph import GraphFormat, columns, per_channel
from edgevision.plugins import registry
from edgevision.session import open_session
from numpy_graph import NumpyGraph

ARTIFACTS = ("tiny_tflite", "tiny_int8_tflite", "tiny_ir", "tiny_onnx")
BACKENDS = {"tflite": "tflite", "openvino": "openvino", "onnx": "onnx"}


def cells(graph: Any, scores: Any) -> Any:
    """(1, 5) as a picture (1, 2, 5, 2)."""
    more = graph.concatenate([scores, graph.unary("square", scores)], 1)
    return graph.reshape(graph.concatenate([more, more], 1), (1, 2, 5, 2))


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    **{name: lambda g, x, name=name: g.unary(name, x) for name in ("exp", "sigmoid", "square", "softmax")},
    "log": lambda g, x: g.unary("log", g.binary("add", x, g.constant(np.ones((1, 1))))),
    **{
        name: lambda g, x, name=name: g.binary(name, x, g.constant(np.linspace(0.1, 0.9, 5)[np.newaxis]))
        for name in ("add", "subtract", "multiply", "divide", "maximum")
    },
    "equal": lambda g, x: g.binary("equal", x, g.highest(x)),
    "reshape, transpose": lambda g, x: g.transpose(g.reshape(x, (1, 5, 1)), (0, 2, 1)),
    "part": lambda g, x: g.part(x, 1, 1, 4),
    "columns": lambda g, x: columns(g, x, 3, 0, 4),
    "concatenate": lambda g, x: g.concatenate([x, x], 1),
    "highest of neighbours": lambda g, x: g.highest_of_neighbours(cells(g, x)),
}


@pytest.fixture(params=ARTIFACTS)
def artifact(request: pytest.FixtureRequest) -> Artifact:
    return request.getfixturevalue(request.param)


def backend_of(artifact: Artifact) -> Any:
    backend = registry().backend(BACKENDS[artifact.format])
    assert isinstance(backend, GraphFormat)
    return backend


def run(artifact: Artifact, image: Any) -> Any:
    with open_session(backend_of(artifact), artifact) as session:
        (spec,) = session.inputs
        values = spec.quantize(image) if spec.dtype != "uint8" else image
        outputs = session.run({spec.name: values})
        return {each.name: each.dequantize(outputs[each.name]) for each in session.outputs}


def image_for(artifact: Artifact) -> Any:
    shape = (1, 3, 8, 8) if artifact.format != "tflite" else (1, 8, 8, 3)
    return np.random.default_rng(1).uniform(0, 1, shape).astype(np.float32)


def test_every_operation_computes_what_numpy_does(artifact: Artifact) -> None:
    """All in one graph, one output each."""
    graph = backend_of(artifact).editable_graph(artifact)
    image = image_for(artifact)
    numpy_graph = NumpyGraph(run(artifact, image))
    names = {f"result_{place}": name for place, name in enumerate(OPERATIONS)}
    graph.set_outputs(
        {result: OPERATIONS[name](graph, graph.output("scores")) for result, name in names.items()}
    )
    computed = run(graph.artifact(), image)
    assert set(computed) == set(names)
    for result, name in names.items():
        expected = OPERATIONS[name](numpy_graph, numpy_graph.output("scores"))
        np.testing.assert_allclose(computed[result], expected, atol=2e-6, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize(("mean", "scale"), [((0.0,), (255.0,)), ((120.0, 110.0, 100.0), (60.0, 50.0, 40.0))])
def test_a_network_takes_pixels_as_they_are(
    artifact: Artifact, mean: tuple[float, ...], scale: tuple[float, ...]
) -> None:
    layout = "nhwc" if artifact.format == "tflite" else "nchw"
    graph = backend_of(artifact).editable_graph(artifact)
    pixels = np.random.default_rng(2).integers(0, 256, image_for(artifact).shape, np.uint8)
    both = per_channel(mean, layout), per_channel(scale, layout)
    values = ((pixels - both[0]) / both[1]).astype(np.float32)
    graph.take_pixels(*both)
    made = graph.artifact()
    with open_session(backend_of(made), made) as session:
        (spec,) = session.inputs
        assert (spec.dtype, spec.shape) == ("uint8", pixels.shape)
        found = session.run({spec.name: pixels})
        scores = next(each for each in session.outputs if each.name == "scores")
        found_scores = scores.dequantize(found["scores"])
    np.testing.assert_allclose(found_scores, run(artifact, values)["scores"], atol=1 / 255)


def test_an_output_that_is_not_there_is_named(artifact: Artifact) -> None:
    with pytest.raises(ArtifactError, match="has no output 'boxes', only .*scores"):
        backend_of(artifact).editable_graph(artifact).output("boxes")


def test_damaged_bytes_are_refused(artifact: Artifact) -> None:
    damaged = Artifact(artifact.format, "float32", dict.fromkeys(artifact.files, b"no model"))
    with pytest.raises(ArtifactError):
        backend_of(damaged).editable_graph(damaged)
