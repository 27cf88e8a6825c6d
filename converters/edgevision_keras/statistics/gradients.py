"""Maps of what a score of a network rests on, from its gradients: a reference for maps by perturbation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.tensors import Array
from edgevision_keras.graph.operations import depends_on_input, extended
from edgevision_keras.graph.trace import Trace
from edgevision_keras.libraries import require_tensorflow

#: Points between the baseline and the image, and as many in one run.
_STEPS, _BATCH = 64, 16
_LEAST_SCORE = 1e-6


class GradientMaps:
    """Maps of one column of one output of a source.

    Scores 0…1 are taken as their log-odds, whose gradient does not vanish where the model is sure.

    Args:
        trace: the graph of the source.
        output: name of its output, ``(batch, columns)``.
        are_scores: whether the values are 0…1; otherwise they are taken as they are.
    """

    def __init__(self, trace: Trace, output: str, are_scores: bool) -> None:
        self._trace = trace
        self._are_scores = are_scores
        names = [spec.name for spec in trace.outputs]
        self._scores = trace.frozen.outputs[names.index(output)]
        self._features = _last_features(trace, self._scores)

    def integrated_gradients(self, image: Array, baseline: Array, column: int) -> NDArray[np.float32]:
        """Integrated gradients (Sundararajan et al., ICML 2017, arXiv:1703.01365), summed over channels.

        Args:
            image, baseline: float32 ``(1, h, w, c)``, inputs of the network; the second without the details.
            column: of the output.

        Returns:
            float32 ``(h, w)``: negative where the pixel lowers the score.
        """
        tf = require_tensorflow()
        total = np.zeros(image.shape[1:], np.float64)
        with tf.device("/CPU:0"):
            for shares in np.split((np.arange(_STEPS) + 0.5) / _STEPS, _STEPS // _BATCH):
                weights = shares.astype(np.float32)[:, np.newaxis, np.newaxis, np.newaxis]
                points = tf.constant(baseline + weights * (image - baseline))
                with tf.GradientTape() as tape:
                    tape.watch(points)
                    score = tf.reduce_sum(self._explained(self._whole(points)[:, column]))
                total += np.asarray(tape.gradient(score, points), np.float64).sum(axis=0)
        return np.asarray(((total / _STEPS) * (image - baseline)[0]).sum(axis=-1), np.float32)

    def grad_cam(self, image: Array, column: int) -> NDArray[np.float32] | None:
        """Grad-CAM (Selvaraju et al., ICCV 2017, arXiv:1610.02391) of the last features that have places.

        Args:
            image: float32 ``(1, h, w, c)``, an input of the network.
            column: of the output.

        Returns:
            float32 ``(rows, columns)`` of the features, 0 or more; `None` if the network has none.
        """
        if self._features is None:
            return None
        tf = require_tensorflow()
        with tf.device("/CPU:0"):
            found = self._weighted_features(tf.constant(image), tf.constant(column))
        return np.asarray(found[0], np.float32)

    @cached_property
    def _whole(self) -> Any:
        return extended(self._trace, [self._scores], lambda tensors: tensors[0])

    @cached_property
    def _weighted_features(self) -> Any:
        tf = require_tensorflow()

        def add(tensors: Sequence[Any], column: Any) -> Any:
            features, scores = tensors
            explained = self._explained(tf.gather(scores, column, axis=1))
            (gradient,) = tf.gradients(tf.reduce_sum(explained), features)
            weights = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
            return tf.nn.relu(tf.reduce_sum(weights * features, axis=-1))

        spec = tf.TensorSpec((), tf.int32)
        return extended(self._trace, [self._features, self._scores], add, spec)

    def _explained(self, values: Any) -> Any:
        if not self._are_scores:
            return values
        tf = require_tensorflow()
        return tf.math.log(values + _LEAST_SCORE) - tf.math.log(1 - values + _LEAST_SCORE)


def shuffled(trace: Trace, seed: int) -> Any:
    """A function of the source's inputs: the same network with each of its kernels in random order.

    As in the sanity checks of Adebayo et al. (NeurIPS 2018, arXiv:1810.03292): a map that such a network
    gives as well says nothing of what the network has learned.

    Args:
        trace: the graph of the source.
        seed: of the order.

    Returns:
        A function of tensors in the order of `trace.inputs`, to tensors in the order of `trace.outputs`.
    """
    tf = require_tensorflow()
    definition = trace.frozen.graph.as_graph_def()
    random = np.random.default_rng(seed)
    for node in definition.node:
        if node.op == "Const" and node.attr["dtype"].type == tf.float32.as_datatype_enum:
            values = tf.make_ndarray(node.attr["value"].tensor)
            if values.ndim >= 2:  # kernels; statistics and biases stay, so that activations keep their size
                mixed = random.permutation(values.ravel()).reshape(values.shape)
                node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(mixed))
    given, returned = trace.frozen.inputs, trace.frozen.outputs

    def imported(*arguments: Any) -> Any:
        return tf.graph_util.import_graph_def(
            definition,
            input_map={own.name: value for own, value in zip(given, arguments, strict=True)},
            return_elements=[tensor.name for tensor in returned],
            name="shuffled",
        )

    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in given]
    return tf.compat.v1.wrap_function(imported, specs)


def _last_features(trace: Trace, scores: Any) -> Any:
    """The last tensor ``(batch, rows, columns, channels)`` with several places that the scores depend on."""
    needed: dict[str, Any] = {}
    pending = [scores.op]
    while pending:
        operation = pending.pop()
        if operation.name not in needed:
            needed[operation.name] = operation
            pending.extend(tensor.op for tensor in operation.inputs)
    known: dict[str, bool] = {}
    found = None
    for operation in trace.frozen.graph.get_operations():  # each comes after what it is computed from
        if operation.name not in needed or not operation.outputs or operation.type == "Placeholder":
            continue
        tensor = operation.outputs[0]
        if tensor.shape.rank == 4 and _has_places(tensor.shape) and depends_on_input(tensor, known):
            found = tensor
    return found


def _has_places(shape: Any) -> bool:
    _, rows, columns, channels = shape
    return None not in (rows, columns, channels) and min(rows, columns) > 1
