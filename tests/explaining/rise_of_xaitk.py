"""RISE of xaitk-saliency on an image and the brightness of a patch; run in an environment that has it.

python rise_of_xaitk.py IMAGE.npy TOP BOTTOM LEFT RIGHT OUTPUT.npy
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from smqtk_classifier import ClassifyImage
from xaitk_saliency.impls.gen_image_classifier_blackbox_sal.rise import RISEStack


class Brightness(ClassifyImage):
    """The brightness of a patch as the score of a class."""

    def __init__(self, rows: slice, columns: slice) -> None:
        self.patch = rows, columns

    def get_labels(self) -> list[str]:
        return ["patch"]

    def classify_images(self, images: Any) -> Any:
        for image in images:
            yield {"patch": float(np.asarray(image, np.float64)[self.patch].mean()) / 255}

    def get_config(self) -> dict[str, Any]:
        return {}


def main(image: str, top: str, bottom: str, left: str, right: str, output: str) -> None:
    network = Brightness(slice(int(top), int(bottom)), slice(int(left), int(right)))
    maps = RISEStack(n=2000, s=8, p1=0.5, seed=0).generate(np.load(image), network)
    np.save(output, maps[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
