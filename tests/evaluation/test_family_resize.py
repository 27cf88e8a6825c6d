"""A detector that is converted is fed as its family is trained, unless something else is stated."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgevision.converter import SourceFacts
from edgevision.datasets.image_sets import ImageSet
from edgevision.evaluation.for_source import evaluator_for_source
from edgevision.imaging.input_options import InputOptions
from edgevision.plugins import registry
from edgevision.tasks.options import TaskOptions
from edgevision.tensors import TensorSpec


@dataclass(frozen=True)
class _Source:
    """A trained network of a YOLO head, which is never run."""

    facts: SourceFacts
    path: Path = Path("yolo.keras")
    inputs: tuple[TensorSpec, ...] = (TensorSpec("image", (None, 32, 32, 3), "float32"),)
    outputs: tuple[TensorSpec, ...] = (TensorSpec("out", (None, 7, 21), "float32"),)
    versions: dict[str, str] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("facts", "options", "expected"),
    [
        (SourceFacts(pixel_range=(0.0, 1.0)), InputOptions(), ("letterbox", 114)),
        (SourceFacts(pixel_range=(0.0, 1.0)), InputOptions(pad_value=0), ("letterbox", 0)),
        (SourceFacts(pixel_range=(0.0, 1.0)), InputOptions(resize="stretch"), ("stretch", 114)),
        (SourceFacts(pixel_range=(0.0, 1.0), resize="center-crop"), InputOptions(), ("center-crop", 114)),
    ],
)
def test_a_yolo_is_letterboxed_unless_something_else_is_stated(
    tmp_path: Path, facts: SourceFacts, options: InputOptions, expected: tuple[str, int]
) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((8, 8, 3), np.uint8))
    task: Any = TaskOptions(
        image=options,
        labels=["a", "b", "c"],
        decoder="yolo",
        decoder_settings={"output": "out", "transposed": True, "objectness": False, "box_unit": "pixels"},
    )
    source: Any = _Source(facts)
    evaluator: Any = evaluator_for_source(source, task, ImageSet.open(tmp_path), registry())
    assert (evaluator.preprocessing.resize, evaluator.preprocessing.pad_value) == expected
