"""Results as messages of vision_msgs, of all its versions; written to and read from bags."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgevision.errors import OptionError
from edgevision.ros import classification_message, detections_message, read_image_message
from edgevision.tasks.classify import Classification
from edgevision.tasks.detections import Detections

#: vision_msgs 4, of Humble and later: rosbags has the messages of ROS's own packages alone.
DEFINITIONS = {
    "vision_msgs/msg/Point2D": "float64 x\nfloat64 y",
    "vision_msgs/msg/Pose2D": "vision_msgs/Point2D position\nfloat64 theta",
    "vision_msgs/msg/BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y",
    "vision_msgs/msg/ObjectHypothesis": "string class_id\nfloat64 score",
    "vision_msgs/msg/ObjectHypothesisWithPose": "vision_msgs/ObjectHypothesis hypothesis\n"
    "geometry_msgs/PoseWithCovariance pose",
    "vision_msgs/msg/Detection2D": "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
    "vision_msgs/BoundingBox2D bbox\nstring id",
    "vision_msgs/msg/Detection2DArray": "std_msgs/Header header\nvision_msgs/Detection2D[] detections",
    "vision_msgs/msg/Classification": "std_msgs/Header header\nvision_msgs/ObjectHypothesis[] results",
}
FOUND = Detections(
    np.array([[10, 20, 30, 60], [0, 0, 5, 5]], np.float32),
    np.array([0.75, 0.5], np.float32),
    np.array([1, 0]),
    ("cat", "dog"),
)
SCORES = Classification(np.array([0.25, 0.75], np.float32), ("cat", "dog"))


class _Strict(SimpleNamespace):
    """As rclpy's messages: a field that the message does not have is an error."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no field '{name}'")
        super().__setattr__(name, value)


def _version_2() -> Any:
    """The messages of vision_msgs 2 (Foxy): `id` for the class, the score beside the pose."""
    return SimpleNamespace(
        ObjectHypothesis=lambda: _Strict(id="", score=0.0),
        ObjectHypothesisWithPose=lambda: _Strict(id="", score=0.0, pose=None),
        Detection2D=lambda: _Strict(
            header=None,
            results=[],
            bbox=_Strict(center=_Strict(x=0.0, y=0.0, theta=0.0), size_x=0.0, size_y=0.0),
        ),
        Detection2DArray=lambda: _Strict(header=None, detections=[]),
        Classification2D=lambda: _Strict(header=None, results=[]),
    )


@pytest.fixture(scope="module")
def store() -> Any:
    typesys = pytest.importorskip("rosbags.typesys", reason="needs the extra `dev`")
    found = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    for name, definition in DEFINITIONS.items():
        found.register(typesys.get_types_from_msg(definition, name))
    return found


@pytest.fixture(scope="module")
def messages(store: Any) -> Any:
    """The messages of vision_msgs 4 with the values that rclpy gives a new message."""

    def new(name: str) -> Any:
        values: dict[str, Any] = {}
        for field, (kind, detail) in store.get_msgdef(name).fields:
            values[field] = _new_value(kind.name, detail, new)
        return store.types[name](**values)

    names = [name.rpartition("/")[2] for name in DEFINITIONS]
    return SimpleNamespace(**{name: lambda name=name: new(f"vision_msgs/msg/{name}") for name in names})


def _new_value(kind: str, detail: Any, new: Any) -> Any:
    if kind == "NAME":
        return new(detail)
    if kind == "ARRAY":
        return np.zeros(detail[1])
    if kind == "SEQUENCE":
        return []
    return "" if detail[0] == "string" else 0


def _header(store: Any) -> Any:
    time = store.types["builtin_interfaces/msg/Time"](sec=5, nanosec=6)
    return store.types["std_msgs/msg/Header"](stamp=time, frame_id="camera")


def test_detections_have_their_boxes_classes_and_the_header(messages: Any, store: Any) -> None:
    sent = detections_message(FOUND, _header(store), messages)
    name = "vision_msgs/msg/Detection2DArray"
    read = store.deserialize_cdr(store.serialize_cdr(sent, name), name)
    assert (read.header.frame_id, read.header.stamp.nanosec) == ("camera", 6)
    first, second = read.detections
    assert (first.bbox.center.position.x, first.bbox.center.position.y) == (20, 40)
    assert (first.bbox.size_x, first.bbox.size_y) == (20, 40)
    assert [(one.hypothesis.class_id, one.hypothesis.score) for one in first.results] == [("dog", 0.75)]
    assert second.results[0].hypothesis.class_id == "cat"
    assert second.header.frame_id == "camera"


def test_the_id_of_an_object_that_is_followed_is_that_of_its_message(messages: Any, store: Any) -> None:
    tracked = replace(FOUND, tracker_id=np.array([-1, 4], np.int64))
    sent = detections_message(tracked, _header(store), messages)
    assert sorted(one.id for one in sent.detections) == ["", "4"]


def test_nothing_found_is_a_message_without_detections(messages: Any, store: Any) -> None:
    assert detections_message(FOUND[:0], _header(store), messages).detections == []


def test_classes_come_best_first(messages: Any, store: Any) -> None:
    sent = classification_message(SCORES, _header(store), messages=messages)
    name = "vision_msgs/msg/Classification"
    read = store.deserialize_cdr(store.serialize_cdr(sent, name), name)
    assert [(one.class_id, one.score) for one in read.results] == [("dog", 0.75), ("cat", 0.25)]
    assert len(classification_message(SCORES, _header(store), 1, messages).results) == 1


def test_the_messages_of_older_releases_are_written_too() -> None:
    kinds, header = _version_2(), object()
    (first, _) = detections_message(FOUND, header, kinds).detections
    assert (first.bbox.center.x, first.bbox.center.y, first.bbox.size_y) == (20, 40, 40)
    assert (first.results[0].id, first.results[0].score) == ("dog", 0.75)
    classified = classification_message(SCORES, header, 1, kinds)
    assert classified.header is header
    assert classified.results[0].id == "dog"


@pytest.mark.parametrize(
    "call",
    [
        lambda: detections_message(SCORES, None, _version_2()),
        lambda: classification_message(FOUND, None, messages=_version_2()),
        lambda: classification_message(SCORES, None, 0, _version_2()),
        lambda: detections_message(FOUND, None),
    ],
)
def test_what_is_no_result_or_has_no_messages_is_refused(call: Any) -> None:
    with pytest.raises(OptionError):
        call()


def test_images_are_read_from_a_bag(tmp_path: Path, store: Any) -> None:
    rosbag2 = pytest.importorskip("rosbags.rosbag2", reason="needs the extra `dev`")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 10, 3), np.uint8)
    kind = "sensor_msgs/msg/Image"
    image = store.types[kind](_header(store), 8, 10, "bgr8", 0, 30, pixels.reshape(-1))
    bag = tmp_path / "bag"
    with rosbag2.Writer(bag, version=9) as writer:
        topic = writer.add_connection("/camera", kind, typestore=store)
        writer.write(topic, 1, store.serialize_cdr(image, kind))
    with rosbag2.Reader(bag) as reader:
        for connection, _, raw in reader.messages():
            frame = read_image_message(store.deserialize_cdr(raw, connection.msgtype))
            np.testing.assert_array_equal(frame.pixels, pixels)
            assert frame.color == "bgr"


def test_nothing_of_ros_is_imported() -> None:
    code = (
        "import sys, edgevision.ros; "
        "print([name for name in sys.modules if name.split('.')[0] in ('rclpy', 'vision_msgs', 'cv_bridge')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
