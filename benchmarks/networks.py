"""Networks and frames of the benchmarks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from bare_runtimes import bare_litert, bare_openvino
from numpy.typing import NDArray

import edgevision
from edgevision import BareModel, InputOptions, SessionSettings

HERE = Path(__file__).parent
SHARED = HERE.parents[1] / "shared"
LARGE = ((640, 480), (1280, 720))


@dataclass(frozen=True)
class Network:
    """One network on one backend, one thread.

    Attributes:
        name: such as ``ResNet-8``.
        task: ``classify`` or ``detect``.
        backend: ``tflite`` or ``openvino``.
        artifact: file that the bare runtime loads.
        path: path that EdgeVision loads, a bundle or `artifact` itself.
        frames_wh: sizes of the input frames.
        bare: argument of `edgevision.load` for a bare file.
    """

    name: str
    task: str
    backend: str
    artifact: Path
    path: Path
    frames_wh: tuple[tuple[int, int], ...] = LARGE
    bare: BareModel | None = field(default=None)

    def load(self) -> Any:
        """The network loaded by EdgeVision."""
        return edgevision.load(self.path, self.backend, settings=SessionSettings(threads=1), bare=self.bare)

    def bare_invoke(self) -> Callable[[], object]:
        """The call of the bare runtime."""
        return {"tflite": bare_litert, "openvino": bare_openvino}[self.backend](self.artifact)


def networks(shared: Path = SHARED) -> list[Network]:
    """All networks whose files exist; run `make_bundles.py` for the bundles."""
    models = shared / "models"
    v1 = models / "mobilenet_v1_0.25_224_quant_metadata.tflite"
    v2 = models / "mobilenet_v2_1.0_224_ptq_nometadata.tflite"
    coco = models / "coco_ssd_mobilenet_v1_quant_metadata.tflite"
    soft = BareModel(score_kind="softmax")
    ranged = BareModel(image=InputOptions(value_range=(-1.0, 1.0)), score_kind="softmax")
    all_networks = [
        *_of_bundle("ResNet-8", "classify", HERE / "resnet8.evb", ((32, 32),)),
        *(Network("MobileNet v1 0.25", "classify", b, v1, v1, bare=soft) for b in ("tflite", "openvino")),
        *(Network("MobileNet v2", "classify", b, v2, v2, bare=ranged) for b in ("tflite", "openvino")),
        Network("COCO SSD", "detect", "tflite", coco, coco),
        *_of_bundle("blood cells", "detect", HERE / "blood_cells.evb", LARGE),
    ]
    return [network for network in all_networks if network.artifact.exists()]


def frame(size_wh: tuple[int, int], shared: Path = SHARED) -> NDArray[np.uint8]:
    """A photo with cats and a dog, (h, w, 3) uint8 RGB."""
    photo = cv2.imread(str(shared / "images" / "cats_and_dogs.jpg"), cv2.IMREAD_COLOR)
    if photo is None:
        raise FileNotFoundError(f"{shared / 'images' / 'cats_and_dogs.jpg'}: cannot be read")
    rgb = cv2.cvtColor(photo, cv2.COLOR_BGR2RGB)
    return np.asarray(cv2.resize(rgb, size_wh, interpolation=cv2.INTER_AREA), np.uint8)


def _of_bundle(name: str, task: str, bundle: Path, frames_wh: tuple[tuple[int, int], ...]) -> list[Network]:
    artifacts = bundle / "artifacts"
    return [
        Network(name, task, "tflite", artifacts / "tflite-int8" / "model.tflite", bundle, frames_wh),
        Network(name, task, "openvino", artifacts / "openvino-int8" / "model.xml", bundle, frames_wh),
    ]
