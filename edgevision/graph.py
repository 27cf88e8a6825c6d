"""The interface of a graph that operations can be appended to, whatever its format.

Other programs expect a network's outputs in a form of their own. A `GraphDecoder` decodes boxes with these
operations, and an export format brings the boxes into its reader's form: the network itself is unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from edgevision.artifact import Artifact
from edgevision.tensors import Array, TensorSpec

#: A tensor of a graph: what it is, only the graph knows.
Tensor = Any


class Graph(Protocol):
    """A network for one image at a time. All tensors that it returns are float32."""

    def output(self, name: str) -> Tensor:
        """An output of the network, dequantized; its first size is 1, the batch."""
        ...

    def shape(self, tensor: Tensor) -> tuple[int, ...]:
        """The sizes of a tensor."""
        ...

    def constant(self, values: Array) -> Tensor:
        """A constant, float32."""
        ...

    def unary(self, operation: str, tensor: Tensor) -> Tensor:
        """``exp``, ``log``, ``sigmoid``, ``square``, or ``softmax`` over the last axis."""
        ...

    def binary(self, operation: str, first: Tensor, second: Tensor) -> Tensor:
        """``add``, ``subtract``, ``multiply``, ``divide``, ``maximum``, or ``equal`` (1 where equal, else 0).

        Sizes of 1 are repeated.
        """
        ...

    def reshape(self, tensor: Tensor, shape: Sequence[int]) -> Tensor:
        """The same values in another shape."""
        ...

    def transpose(self, tensor: Tensor, order: Sequence[int]) -> Tensor:
        """The axes in another order."""
        ...

    def part(self, tensor: Tensor, axis: int, start: int, stop: int) -> Tensor:
        """The values from `start` to `stop` of an axis."""
        ...

    def concatenate(self, tensors: Sequence[Tensor], axis: int) -> Tensor:
        """Several tensors along an axis."""
        ...

    def highest(self, tensor: Tensor) -> Tensor:
        """The maximum over the last axis, which stays, of size 1."""
        ...

    def highest_of_neighbours(self, tensor: Tensor) -> Tensor:
        """The maximum over 3 x 3 cells of a tensor (1, height, width, channels)."""
        ...


class EditableGraph(Graph, Protocol):
    """A graph whose input and outputs can be replaced, and which is an artifact again."""

    def set_outputs(self, outputs: Mapping[str, Tensor]) -> None:
        """Make these the network's outputs: name -> tensor."""
        ...

    def take_pixels(self, mean: Array, scale: Array) -> object:
        """Let the network take pixels as they are, uint8, where it takes ``(pixel - mean) / scale``.

        Args:
            mean, scale: as from `per_channel`.
        """
        ...

    def artifact(self) -> Artifact:
        """The network with a batch of one, without a description."""
        ...


@dataclass(frozen=True)
class Suppression:
    """Settings of non-maximum suppression inside a graph.

    Attributes:
        score_threshold, iou_threshold: 0…1, as in `edgevision.DetectTask`.
        max_detections: the most boxes, the best first.
    """

    score_threshold: float
    iou_threshold: float
    max_detections: int


@runtime_checkable
class SuppressingGraph(Protocol):
    """A graph of a format that has an operation for non-maximum suppression.

    Optional: test it with `isinstance(graph, SuppressingGraph)`.
    """

    def suppressed(self, found: GraphBoxes, settings: Suppression) -> Mapping[str, Tensor]:
        """The best boxes of each class, without those that overlap better ones.

        Returns:
            ``boxes`` (1, n, 4): top, left, bottom, right as shares; ``classes`` (1, n) and ``scores`` (1, n),
            the best first; ``count`` (1,): how many are valid.
        """
        ...


@runtime_checkable
class GraphFormat(Protocol):
    """A backend that can append operations to artifacts of its own format.

    Optional: test it with `isinstance(backend, GraphFormat)`.
    """

    def editable_graph(self, artifact: Artifact) -> EditableGraph:
        """The graph of an artifact.

        Raises:
            ArtifactError: it is damaged.
            MissingRuntimeError: a library that writes the format is not installed.
        """
        ...


@dataclass(frozen=True)
class GraphBoxes:
    """Boxes in a graph.

    Attributes:
        boxes: (1, n, 4): centre x, centre y, width, height, as shares of the network's input.
        scores: (1, n, classes), each 0…1, without a background.
    """

    boxes: Tensor
    scores: Tensor


@runtime_checkable
class GraphDecoder(Protocol):
    """A decoder that can also be written as operations of a graph.

    Optional: test it with `isinstance(decoder, GraphDecoder)`. Non-maximum suppression is the reader's.
    """

    def in_graph(
        self,
        graph: Graph,
        outputs: Sequence[TensorSpec],
        input_size_wh: tuple[int, int],
        settings: Mapping[str, Any],
    ) -> GraphBoxes:
        """Append the decoding; the arguments as for `edgevision.decoder.Decoder.prepare`.

        Raises:
            OptionError: a setting is invalid, or it cannot be expressed in a graph; names it.
        """
        ...


def one_class_each(graph: Graph, found: GraphBoxes, classes_per_box: int) -> GraphBoxes:
    """Boxes of which each has one class: a box that has several is repeated for the next best of them.

    Readers take the best class of a box alone; some decoders find objects of several classes at one place.
    Scores that are equal differ by a millionth afterwards, so that each is the best once.

    Args:
        graph: the graph.
        found: the boxes.
        classes_per_box: the most classes of one box that are kept.
    """
    import numpy as np

    classes = graph.shape(found.scores)[2]
    order = 1 - 1e-6 * np.arange(classes, dtype=np.float32) / classes
    left = scaled(graph, found.scores, [float(factor) for factor in order])
    ranks = [left]
    for _ in range(min(classes_per_box, classes) - 1):
        taken = graph.binary("equal", left, graph.highest(left))
        left = graph.binary("multiply", left, graph.binary("subtract", graph.constant(np.ones(1)), taken))
        ranks.append(left)
    if len(ranks) == 1:
        return found
    return GraphBoxes(graph.concatenate([found.boxes] * len(ranks), 1), graph.concatenate(ranks, 1))


def per_channel(values: Sequence[float], layout: str) -> Array:
    """One value for all channels, or one per channel, in a shape that is repeated over an image.

    Args:
        values: the values.
        layout: of the image: ``nhwc`` or ``nchw``.
    """
    import numpy as np

    shape = (-1,) if layout == "nhwc" else (-1, 1, 1)
    return np.asarray(values, np.float32).reshape(shape)


def columns(graph: Graph, tensor: Tensor, *places: int) -> Tensor:
    """Columns of the last axis, in this order."""
    axis = len(graph.shape(tensor)) - 1
    if len(places) == 1:
        return graph.part(tensor, axis, places[0], places[0] + 1)
    return graph.concatenate([graph.part(tensor, axis, place, place + 1) for place in places], axis)


def scaled(graph: Graph, tensor: Tensor, factors: Sequence[float]) -> Tensor:
    """A tensor times one factor per value of its last axis."""
    import numpy as np

    if all(factor == 1 for factor in factors):
        return tensor
    return graph.binary("multiply", tensor, graph.constant(np.asarray(factors, np.float32)))


def activated(graph: Graph, tensor: Tensor, activation: str) -> Tensor:
    """Scores after an activation: ``none``, ``sigmoid`` or ``softmax``."""
    return tensor if activation == "none" else graph.unary(activation, tensor)
