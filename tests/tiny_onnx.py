"""The network of tests/data as ONNX, built without TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest


def tiny_onnx_bytes(dtype: type[np.floating] = np.float32) -> bytes:
    """The network of tests/data as ONNX: (batch, 3, 8, 8) float32, weights and arithmetic in `dtype`."""
    onnx = pytest.importorskip("onnx", reason="building the artifact needs onnx (extra `convert`)")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    random = np.random.default_rng(0)
    kernel = random.normal(size=(4, 3, 3, 3)).astype(dtype)
    weights = random.normal(size=(4, 5)).astype(dtype)
    inner = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes = [
        helper.make_node("Cast", ["image"], ["cast"], name="cast", to=inner),
        helper.make_node("Conv", ["cast", "k"], ["c"], name="conv", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("ReduceMean", ["r"], ["mean"], name="mean", axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "w"], ["logits"], name="dense"),
        helper.make_node("Softmax", ["logits"], ["soft"], name="softmax", axis=1),
        helper.make_node("Cast", ["mean"], ["features"], name="cast_features", to=1),
        helper.make_node("Cast", ["soft"], ["scores"], name="cast_scores", to=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", 1, ["batch", 3, 8, 8])],
        [
            helper.make_tensor_value_info("features", 1, ["batch", 4]),
            helper.make_tensor_value_info("scores", 1, ["batch", 5]),
        ],
        [numpy_helper.from_array(kernel, "k"), numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())
