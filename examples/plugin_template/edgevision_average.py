"""The backend `average`: an artifact is the size of an image, such as 8x8x3; the answer is its mean color."""

import edgevision
from edgevision.slots import FunctionBackend, FunctionSession
from edgevision.tensors import TensorSpec


def load(artifact: edgevision.Artifact) -> FunctionSession:
    image = TensorSpec("image", (None, *map(int, artifact.content.split(b"x"))), "float32")
    return FunctionSession([image], lambda inputs: {"mean": inputs["image"].mean(axis=(1, 2))})


@edgevision.hookimpl
def edgevision_backends() -> list[FunctionBackend]:
    return [FunctionBackend("average", load)]
