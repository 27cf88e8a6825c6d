"""Results as messages of `vision_msgs`, with the header of the image that they are about."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from edgevision.errors import OptionError
from edgevision.system.arguments import instance, whole_number
from edgevision.tasks.classify import Classification
from edgevision.tasks.detections import Detections


def detections_message(detections: Detections, header: Any, messages: Any = None) -> Any:
    """A ``vision_msgs/Detection2DArray``.

    Args:
        detections: objects in pixels of the image.
        header: that of the image's message; it is kept, time stamp and frame included.
        messages: the module of the messages; by default ``vision_msgs.msg``, of any of its versions.

    Returns:
        One detection per object, the best first: its box by centre and size in pixels, its class by name.

    Raises:
        OptionError: an argument has another type, or vision_msgs cannot be imported.
    """
    instance(detections, Detections, "detections")
    kinds = _vision_msgs() if messages is None else messages
    array = kinds.Detection2DArray()
    array.header = header
    for detection in detections:
        found = kinds.Detection2D()
        found.header = header
        left, top, right, bottom = detection.box
        center = found.bbox.center
        point = getattr(center, "position", center)  # since vision_msgs 4; before, center was the point
        point.x, point.y = (left + right) / 2, (top + bottom) / 2
        found.bbox.size_x, found.bbox.size_y = right - left, bottom - top
        hypothesis = kinds.ObjectHypothesisWithPose()
        # Since vision_msgs 3 class and score are in a message of their own.
        _set_class(getattr(hypothesis, "hypothesis", hypothesis), detection.label, detection.score)
        found.results.append(hypothesis)
        if detection.tracker_id is not None and detection.tracker_id >= 0 and hasattr(found, "id"):
            found.id = str(detection.tracker_id)  # for "consistency across multiple detection messages"
        array.detections.append(found)
    return array


def classification_message(
    classification: Classification, header: Any, top: int = 5, messages: Any = None
) -> Any:
    """A ``vision_msgs/Classification``; before its version 3, a ``Classification2D``.

    Args:
        classification: of the image.
        header: that of the image's message; it is kept.
        top: number of classes, 1 or more, the best first.
        messages: the module of the messages; by default ``vision_msgs.msg``.

    Raises:
        OptionError: an argument has another type or is out of range, or vision_msgs cannot be imported.
    """
    instance(classification, Classification, "classification")
    top = whole_number(top, "top", least=1)
    kinds = _vision_msgs() if messages is None else messages
    message = (getattr(kinds, "Classification", None) or kinds.Classification2D)()
    message.header = header
    for one in classification.top(min(top, len(classification.scores))):
        hypothesis = kinds.ObjectHypothesis()
        _set_class(hypothesis, one.label, one.score)
        message.results.append(hypothesis)
    return message


def _set_class(hypothesis: Any, label: str, score: float) -> None:
    # Before vision_msgs 3 the class was called `id`.
    setattr(hypothesis, "class_id" if hasattr(hypothesis, "class_id") else "id", label)
    hypothesis.score = float(score)


def _vision_msgs() -> Any:
    try:
        return import_module("vision_msgs.msg")
    except ImportError as error:
        raise OptionError(
            "vision_msgs cannot be imported; run: sudo apt install ros-$ROS_DISTRO-vision-msgs, and source "
            "/opt/ros/$ROS_DISTRO/setup.bash"
        ) from error
