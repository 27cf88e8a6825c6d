"""A source of any task that sees other images than in its training is found out by its errors."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError
from edgevision.evaluation.source_check import check_source
from edgevision.evaluation.source_session import SourceSession
from edgevision.imaging.preprocess import Preprocessing
from edgevision.session import CheckedSession
from edgevision.tensors import TensorSpec
from edgevision_segment.description import SegmentTask
from edgevision_segment.evaluation import SegmentationEvaluator

SIDE = 8


def _source(channel: int, scale: float) -> Any:
    """A network that marks what is bright in one channel."""
    image = TensorSpec("image", (None, SIDE, SIDE, 3), "float32")
    output = TensorSpec("map", (None, SIDE, SIDE, 2), "float32")
    facts = SimpleNamespace(preprocessing=None, pixel_range=None, interpolation=None)

    def run(inputs: Any) -> Any:
        bright = np.clip(inputs["image"][..., channel] / scale, 0, 1)
        return {"map": np.stack([1 - bright, bright], -1).astype(np.float32)}

    return SimpleNamespace(
        kind="fake", path=Path("m.keras"), inputs=(image,), outputs=(output,), facts=facts, run=run
    )


def _set(count: int) -> tuple[ImageSet, list[np.ndarray]]:
    random = np.random.default_rng(5)
    images, masks = [], []
    for _ in range(count):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        x, y = random.integers(0, SIDE - 3, 2)
        mask[y : y + 3, x : x + 3] = 1
        image = random.integers(0, 60, (SIDE, SIDE, 3)).astype(np.uint8)
        image[..., 2] = np.where(mask, 40, 200)
        image[..., 0] = np.where(mask, 220, image[..., 0])
        images.append(image)
        masks.append(mask)
    return ImageSet.from_arrays(images), masks


def _found(source: Any, count: int = 24, strict: bool = False) -> Any:
    images, masks = _set(count)
    how = Preprocessing((SIDE, SIDE), (0.0, 255.0))
    evaluator = SegmentationEvaluator(
        SegmentTask("map", "softmax"), ("background", "cell"), how, masks, images.shown_names
    )
    model = evaluator.model(CheckedSession(SourceSession(source), "fake"))
    answers = evaluator.answers(model, list(images))
    return check_source(source, evaluator, images, answers, strict)


def test_the_other_channel_order_and_another_range_are_named() -> None:
    (swapped,) = _found(_source(2, 255.0))
    assert swapped.check == "colour-order"
    assert "given to it as BGR (pass --color bgr)" in swapped.text
    (ranged,) = _found(_source(0, 1.0))
    assert ranged.check == "value-range"
    assert "pass --input-range=0..1" in ranged.text
    with pytest.raises(InputError, match="--strict refuses the source m.keras: the source itself has a mean"):
        _found(_source(2, 255.0), strict=True)


def test_a_source_that_is_right_or_too_few_images_give_no_warning() -> None:
    assert _found(_source(0, 255.0)) == ()
    assert _found(_source(2, 255.0), count=6) == ()
