"""Explanations of a photo of two cats and two dogs, by a detector of COCO."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edgevision
from edgevision.explaining.faithfulness import share_within

pytest.importorskip("ai_edge_litert")


def _centred(shape: tuple[int, ...]) -> np.ndarray:
    """A Gaussian in the middle of the image: where photographers put what matters."""
    rows, columns = (np.linspace(-1, 1, side) for side in shape)
    gaussian: np.ndarray = np.exp(-2 * (rows[:, np.newaxis] ** 2 + columns**2)).astype(np.float32)
    return gaussian


def test_maps_of_a_cat_and_of_a_dog_lie_in_their_own_boxes_and_beat_a_centred_gaussian(shared: Path) -> None:
    image = shared / "images" / "cats_and_dogs.jpg"
    path = shared / "models" / "coco_ssd_mobilenet_v1_quant_metadata.tflite"
    settings = edgevision.SessionSettings(threads=1)
    with edgevision.load_detector(path, "tflite", settings=settings) as model:
        found = model(image)
        for label in ("cat", "dog"):
            one = next(each for each in found if each.label == label)
            explanation = model.explain(image, one, budget=320)
            left, top, right, bottom = one.box
            x, y = explanation.peak_xy
            assert left <= x <= right, label
            assert top <= y <= bottom, label
            share_of_image = (right - left) * (bottom - top) / explanation.map.size
            assert share_within(explanation.map, one.box) > 1.5 * share_of_image, label
            centred = replace(explanation, map=_centred(explanation.map.shape))
            own, other = (model.explanation_curves(image, each, steps=16) for each in (explanation, centred))
            assert own.insertion_area > other.insertion_area, label
            assert own.deletion_area < other.deletion_area, label
