"""The backend `average`: its artifacts are text with an image's shape, its answer the mean of each image."""

import numpy as np

import edgevision
from edgevision.backend import DeviceInfo
from edgevision.errors import ArtifactError, DeviceError
from edgevision.slots import PooledSession, SlotPool
from edgevision.tensors import TensorSpec


class AverageSlot:
    def __init__(self, shape):
        self.inputs = {"image": np.zeros(shape, np.float32)}

    def run(self):
        images = self.inputs["image"]
        return {"mean": images.reshape(len(images), -1).mean(axis=1, keepdims=True)}


class AverageBackend:
    name, formats, options = "average", ("average",), ()
    version = staticmethod(lambda: f"numpy {np.__version__}")
    devices = staticmethod(lambda: [DeviceInfo("cpu", "any CPU that numpy runs on")])

    def open(self, artifact, settings):
        settings.check_options(self.name, self.options)
        if settings.device not in (None, "cpu"):
            raise DeviceError(f"backend 'average' has no device '{settings.device}'; it has: cpu")
        try:
            height, width, channels = map(int, artifact.content.split(b"x"))
        except ValueError as error:
            raise ArtifactError(f"{artifact.name}: expected HEIGHTxWIDTHxCHANNELS: {error}") from error
        inputs = (TensorSpec("image", (None, height, width, channels), "float32"),)
        slots = SlotPool(lambda batch: AverageSlot(inputs[0].with_batch(batch)))
        return PooledSession(inputs, (TensorSpec("mean", (None, 1), "float32"),), "cpu", "float32", slots)


edgevision_backends = edgevision.hookimpl(lambda: [AverageBackend()], specname="edgevision_backends")
