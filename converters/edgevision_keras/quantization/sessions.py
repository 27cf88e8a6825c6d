"""Graphs that run on few images: without the optimizations that cost more than they save there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from edgevision.tensors import Array
from edgevision_keras.libraries import require_tensorflow


class GraphSession:
    """A graph on the CPU, as it is.

    TensorFlow's optimizer takes longer than all runs of a small network, and copies the weights of a large
    one.

    Args:
        graph: a `tf.Graph`; operations may still be added.
    """

    def __init__(self, graph: Any) -> None:
        tf = require_tensorflow()
        config = tf.compat.v1.ConfigProto(device_count={"GPU": 0}, inter_op_parallelism_threads=1)
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        config.graph_options.optimizer_options.opt_level = tf.compat.v1.OptimizerOptions.L0
        self._session = tf.compat.v1.Session(graph=graph, config=config)

    def function(self, fetched: Sequence[Any], fed: Sequence[Any]) -> Callable[..., list[Array]]:
        """A function that computes the tensors in `fetched` from values of the tensors in `fed`."""
        fetches, names = list(fetched), [tensor.name for tensor in fed]

        def run(*values: Array) -> list[Array]:
            return list(self._session.run(fetches, dict(zip(names, values, strict=True))))

        return run
