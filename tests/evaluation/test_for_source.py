"""The task of a trained model, and options that are of another one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edgevision.converter import SourceFacts
from edgevision.errors import OptionError
from edgevision.evaluation.for_source import check_stated
from edgevision.plugins import registry
from edgevision.tasks.options import TaskOptions
from edgevision.tensors import TensorSpec


@dataclass(frozen=True)
class _Source:
    """A trained classifier, which is never run."""

    facts: SourceFacts = field(default_factory=lambda: SourceFacts(pixel_range=(0.0, 1.0)))
    path: Path = Path("m.keras")
    inputs: tuple[TensorSpec, ...] = (TensorSpec("image", (None, 32, 32, 3), "float32"),)
    outputs: tuple[TensorSpec, ...] = (TensorSpec("scores", (None, 5), "float32"),)
    versions: dict[str, str] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"decoder_settings": {"anchors": [1]}},
            "are for detectors, .* read as a classifier; pass --decoder",
        ),
        (
            {"thresholds": {"score_threshold": 0.3}},
            "are for detectors, .* read as a classifier; pass --decoder",
        ),
        ({"output_range": (0, 1)}, "are for models that generate images, .* classifier; remove them"),
        ({"truth": "expected"}, "are for models that generate images"),
        ({"overlap": 8}, "are for models that generate images"),
    ],
)
def test_options_of_another_task_are_refused(options: dict[str, Any], message: str) -> None:
    source: Any = _Source()
    check_stated(source, TaskOptions(score_kind="softmax"), None, registry())
    with pytest.raises(OptionError, match=message):
        check_stated(source, TaskOptions(score_kind="softmax", **options), None, registry())
