"""A network has the same names in each ONNX file that is made of it."""

from __future__ import annotations

from typing import Any

import pytest
from keras_sources import MARKS

pytestmark = MARKS


def graph_of(offset: int, reverse: bool) -> Any:
    """A graph as tf2onnx leaves it; the count and the order of constants are not always the same."""
    onnx = pytest.importorskip("onnx")
    helper, flag = onnx.helper, onnx.TensorProto.FLOAT

    def made(name: str, number: int) -> str:
        return f"{name}__{number + offset}"

    chosen = helper.make_graph(
        [helper.make_node("Add", [made("Conv", 3) + ":0", made("const", 8)], [made("inner", 4)])],
        "then",
        [],
        [helper.make_tensor_value_info(made("inner", 4), flag, [1])],
    )
    other = helper.make_graph(
        [helper.make_node("Identity", [made("Conv", 3) + ":0"], [made("inner", 5)])],
        "else",
        [],
        [helper.make_tensor_value_info(made("inner", 5), flag, [1])],
    )
    nodes = [
        helper.make_node(
            "Mul", ["camera__7", made("const", 9)], [made("Conv", 3) + ":0"], name=made("Conv", 3)
        ),
        helper.make_node("If", ["flag"], ["scores"], then_branch=chosen, else_branch=other),
    ]
    constants = [helper.make_tensor(made("const", number), flag, [1], [number]) for number in (8, 9)]
    return helper.make_graph(
        nodes,
        "edgevision",
        [
            helper.make_tensor_value_info("camera__7", flag, [1]),
            helper.make_tensor_value_info("flag", onnx.TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("scores", flag, [1])],
        constants[::-1] if reverse else constants,
    )


def test_names_do_not_depend_on_how_far_tf2onnx_has_counted() -> None:
    from edgevision_keras.onnx_export import _number_anew

    onnx = pytest.importorskip("onnx")
    graphs = [graph_of(0, False), graph_of(1, True), graph_of(95, False)]
    for graph in graphs:
        _number_anew(graph)
        onnx.checker.check_graph(graph)
    assert graphs[0].SerializeToString() == graphs[1].SerializeToString() == graphs[2].SerializeToString()
    assert [value.name for value in graphs[0].input] == ["camera__7", "flag"]
    assert graphs[0].node[0].output == [f"{graphs[0].node[0].name}:0"]
