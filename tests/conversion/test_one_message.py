"""One message asks for all that a conversion lacks: targets, images, and what the model leaves open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgevision import hookimpl
from edgevision.conversion.convert import Conversion
from edgevision.conversion.settings import ConversionRequest, ConversionSettings
from edgevision.converter import SourceFacts
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import MissingOptionError
from edgevision.imaging.input_options import InputOptions
from edgevision.plugins import Registry, discover
from edgevision.tasks import decoders
from edgevision.tasks.options import TaskOptions
from edgevision.tensors import TensorSpec

IMAGES = ImageSet.from_arrays(np.zeros((2, 32, 32, 3), np.uint8))
SHAPES = {"grid": (84, 21), "linear": (5,), "image": (32, 32, 3)}
RANGE, EVALUATION, TARGET = "--input-range 0..255", "--evaluation FOLDER", "--target NAME"


@dataclass
class Source:
    """A trained model that says nothing of itself."""

    path: Path
    outputs: tuple[TensorSpec, ...]
    inputs: tuple[TensorSpec, ...] = (TensorSpec("image", (None, 32, 32, 3), "float32"),)
    kind: str = "silent"
    description: str = "silent"
    sha256: str = "0" * 64
    facts: SourceFacts = field(default_factory=lambda: SourceFacts(score_kind="linear"))
    versions: Mapping[str, str] = field(default_factory=dict)

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        raise AssertionError("nothing is run before all is stated")


class Reader:
    name = "silent"

    def reads(self, path: Path) -> bool:
        return path.suffix == ".silent"

    def read(self, path: Path, **_: Any) -> Source:
        return Source(path, (TensorSpec("o", (None, *SHAPES[path.stem]), "float32"),))


@pytest.fixture
def plugins() -> Registry:
    found = discover([])
    found.register(SimpleNamespace(edgevision_readers=hookimpl(lambda: [Reader()])), "silent")
    found.register(decoders, "decoders")
    return found


@pytest.mark.parametrize(
    ("name", "images", "task", "options"),
    [
        ("linear", None, {}, [TARGET, EVALUATION, RANGE]),
        ("linear", IMAGES, {}, [TARGET, RANGE, "--scores logits"]),
        ("linear", IMAGES, {"image": InputOptions(value_range=(0, 1))}, [TARGET, "--scores logits"]),
        (
            "grid",
            None,
            {},
            [TARGET, EVALUATION, RANGE, "--labels FILE", "objectness=true", "box_unit=pixels"],
        ),
        (
            "grid",
            None,
            {"labels": ["a"], "decoder_settings": {"objectness": True}},
            [TARGET, EVALUATION, RANGE, "box_unit=pixels"],
        ),
        ("image", None, {}, [TARGET, EVALUATION, RANGE, "--output-range 0..1"]),
        ("absent", None, {}, [TARGET, EVALUATION]),
    ],
    ids=str,
)
def test_one_message_asks_for_all(
    name: str,
    images: ImageSet | None,
    task: Mapping[str, Any],
    options: Sequence[str],
    plugins: Registry,
    tmp_path: Path,
) -> None:
    path = tmp_path / f"{name}.silent"
    if name != "absent":
        path.write_bytes(b"")
    settings = ConversionSettings(task=TaskOptions(**task))
    request = ConversionRequest(path, tmp_path / "x.evb", (), (), images, None, settings)
    with pytest.raises(MissingOptionError) as raised:
        Conversion.prepare(request, plugins)
    questions = raised.value.questions
    missing = [option for option in options if not any(option in question for question in questions)]
    assert not missing, questions
    assert len(questions) == len(options), questions
    assert raised.value.exit_code == 2
    assert not list(tmp_path.glob("*.evb"))
