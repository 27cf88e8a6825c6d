"""The ROS 2 node of the examples, with a stub of rclpy: the newest image in, a result with its header out."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from tiny_bundles import classifier_artifact, write_artifacts

NODE = Path(__file__).parents[2] / "examples" / "ros2" / "edgevision_node.py"

pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")


class _Node:
    """As rclpy's Node: keeps what is subscribed, published and logged."""

    parameters: ClassVar[dict[str, Any]] = {}

    def __init__(self, name: str) -> None:
        self.name, self.published, self.errors = name, [], []

    def declare_parameter(self, name: str, default: Any) -> Any:
        return SimpleNamespace(value=self.parameters.get(name, default))

    def create_publisher(self, kind: Any, topic: str, depth: int) -> Any:
        self.topic = topic
        return SimpleNamespace(publish=self.published.append)

    def create_subscription(self, kind: Any, topic: str, callback: Any, qos: Any) -> None:
        self.subscription = (topic, callback, qos)

    def get_logger(self) -> Any:
        return SimpleNamespace(error=lambda text, **_: self.errors.append(text))


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    def message(**fields: Any) -> Any:
        return lambda: SimpleNamespace(**{name: make() for name, make in fields.items()})

    stubs = {
        "rclpy": {},
        "rclpy.node": {"Node": _Node},
        "rclpy.qos": {
            "QoSHistoryPolicy": SimpleNamespace(KEEP_LAST="last"),
            "QoSReliabilityPolicy": SimpleNamespace(BEST_EFFORT="best effort"),
            "QoSProfile": lambda **fields: SimpleNamespace(**fields),
        },
        "sensor_msgs": {},
        "sensor_msgs.msg": {"Image": object},
        "vision_msgs": {},
        "vision_msgs.msg": {
            "Detection2DArray": object,
            "Classification": message(header=lambda: None, results=list),
            "ObjectHypothesis": message(class_id=str, score=float),
        },
    }
    for name, values in stubs.items():
        module = ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("edgevision_node", NODE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    bundle = write_artifacts(tmp_path / "tiny.evb", {"tflite-float32": classifier_artifact()})
    monkeypatch.setattr(_Node, "parameters", {"bundle": str(bundle)})
    found = module.EdgeVisionNode()
    yield found
    found.model.close()


def test_the_node_answers_the_newest_image_with_its_header(node: Any) -> None:
    topic, on_image, qos = node.subscription
    assert (topic, node.topic) == ("image", "classification")
    assert (qos.history, qos.depth, qos.reliability) == ("last", 1, "best effort")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    image = SimpleNamespace(
        header=object(), encoding="bgr8", height=8, width=8, step=24, is_bigendian=0, data=pixels.reshape(-1)
    )
    on_image(image)
    (answer,) = node.published
    assert answer.header is image.header
    best = node.model(pixels, color="bgr").top()[0]
    assert (answer.results[0].class_id, answer.results[0].score) == (best.label, best.score)


def test_an_image_that_cannot_be_read_is_told_and_the_next_is_answered(node: Any) -> None:
    _, on_image, _ = node.subscription
    on_image(
        SimpleNamespace(header=None, encoding="32FC1", height=8, width=8, step=32, is_bigendian=0, data=b"")
    )
    assert node.published == []
    assert "distances, not a picture" in node.errors[0]
