"""A ROS 2 node that publishes what a detector or a classifier finds in the images of a camera.

python3 edgevision_node.py --ros-args -p bundle:=/path/detector.evb -r image:=/camera/image_raw
"""

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image
from vision_msgs.msg import Classification, Detection2DArray

import edgevision
from edgevision import ros

#: The newest image alone: one that waits in a queue is answered when it is of no use any more.
NEWEST = QoSProfile(history=QoSHistoryPolicy.KEEP_LAST, depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT)


class EdgeVisionNode(Node):
    """Subscribes to ``image``, and publishes ``detections`` or ``classification`` with its header."""

    def __init__(self) -> None:
        super().__init__("edgevision")
        self.model = edgevision.load(self.declare_parameter("bundle", "").value)
        detects = isinstance(self.model, edgevision.Detector)
        kind, topic = (Detection2DArray, "detections") if detects else (Classification, "classification")
        self.write = ros.detections_message if detects else ros.classification_message
        self.results = self.create_publisher(kind, topic, 1)
        self.create_subscription(Image, "image", self.on_image, NEWEST)

    def on_image(self, message: Image) -> None:
        """Answer one image; one that cannot be read is told, and the next is waited for."""
        try:
            result = self.model(ros.read_image_message(message))
        except edgevision.EdgeVisionError as error:
            self.get_logger().error(str(error), throttle_duration_sec=1.0)
            return
        self.results.publish(self.write(result, message.header))


def main() -> None:
    """Run the node until it is shut down."""
    rclpy.init()
    node = EdgeVisionNode()
    try:
        rclpy.spin(node)
    finally:
        node.model.close()
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
