"""ROS 2 messages in and out, without cv_bridge: images for a model, and its results for other nodes.

Nothing of ROS is imported with this package, and no build against a version of numpy is needed: messages are
read by their fields, and `vision_msgs` is imported when the first result is written.
"""

from edgevision.ros.images import read_image_message
from edgevision.ros.results import classification_message, detections_message

__all__ = ["classification_message", "detections_message", "read_image_message"]
