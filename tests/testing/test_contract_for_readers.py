"""The contract for readers of trained models: a sound one passes, and deliberate mistakes are named."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mistakes import Mistakes

from edgevision.converter import SourceFacts
from edgevision.errors import SourceError
from edgevision.tensors import TensorSpec
from edgevision.testing import check_reader

#: A linear layer from (2, 2, 1) to three values, in a file of text.
WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3) / 12
IMAGE = np.array([[[[0.1], [0.2]], [[0.3], [0.4]]]], np.float32)
EXPECTED = {"image": IMAGE}, {"scores": IMAGE.reshape(1, 4) @ WEIGHTS}


class LinearSource:
    kind, description, facts = "linear", "a matrix", SourceFacts()
    inputs: Any = (TensorSpec("image", (None, 2, 2, 1), "float32"),)
    outputs: Any = (TensorSpec("scores", (None, 3), "float32"),)
    versions: Mapping[str, str] = {"numpy": np.__version__}

    def __init__(self, path: Path, weights: Any) -> None:
        self.path, self.weights = path, weights
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()

    def run(self, inputs: Any) -> Any:
        return {"scores": (inputs["image"].reshape(-1, 4) @ self.weights).astype(np.float32)}


class Sound:
    name: Any = "linear"
    source: Any = LinearSource

    def reads(self, path: Path) -> Any:
        return path.is_file() and path.suffix == ".linear"

    def read(self, path: Path, *, trust_source: bool, input_size_wh: Any) -> Any:
        return self.source(path, self.weights(path))

    def weights(self, path: Path) -> Any:
        try:
            values = np.array([float(word) for word in path.read_text().split()], np.float32)
            return values.reshape(4, 3)
        except (OSError, ValueError) as error:
            raise SourceError(f"{path}: expected 12 numbers: {error}") from error


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("linear") / "model.linear"
    path.write_text(" ".join(map(str, WEIGHTS.ravel())))
    return path


def test_a_sound_reader_keeps_the_contract(model: Path) -> None:
    check_reader(Sound(), model, EXPECTED, others=[model.parent])


def test_a_wrong_model_goes_unnoticed_without_expected_outputs(model: Path) -> None:
    check_reader(Transposed(), model)


MISTAKES = Mistakes()
mistake = MISTAKES.mistake


@mistake("with the name ''")
class Nameless(Sound):
    name = ""


@mistake("expected False")
class ReadsEverything(Sound):
    def reads(self, path: Path) -> Any:
        return True


@mistake("expected True")
class ReadsTruthy(Sound):
    def reads(self, path: Path) -> Any:
        return path.suffix


@mistake("reads imports tensorlibrary")
class ImportsALibrary(Sound):
    def reads(self, path: Path) -> Any:
        import sys
        import types

        sys.modules["tensorlibrary"] = types.ModuleType("tensorlibrary")
        return super().reads(path)


@mistake("raised UnicodeDecodeError, which is none")
class ReadsAsText(Sound):
    def reads(self, path: Path) -> Any:
        return path.is_file() and path.read_text(encoding="utf-8") != "" and super().reads(path)


class ClosedBatch(LinearSource):
    inputs = (TensorSpec("image", (1, 2, 2, 1), "float32"),)


@mistake(r"expected float32 with an open batch")
class FixesTheBatch(Sound):
    source = ClosedBatch


class OtherDigest(LinearSource):
    def __init__(self, path: Path, weights: Any) -> None:
        super().__init__(path, weights)
        self.sha256 = "0" * 64


@mistake("sha256 is '0000")
class InventsTheDigest(Sound):
    source = OtherDigest


class NoFacts(LinearSource):
    facts: Any = None


@mistake("facts is None, expected SourceFacts")
class ForgetsTheFacts(Sound):
    source = NoFacts


class Doubles(LinearSource):
    def run(self, inputs: Any) -> Any:
        return {"scores": super().run(inputs)["scores"].astype(np.float64)}


@mistake("float64, expected .* float32")
class ReturnsDoubles(Sound):
    source = Doubles


class Scribbling(LinearSource):
    def run(self, inputs: Any) -> Any:
        inputs["image"] *= 2
        return super().run(inputs)


@mistake("run changed the inputs")
class ChangesInputs(Sound):
    source = Scribbling


class OneBuffer(LinearSource):
    def run(self, inputs: Any) -> Any:
        self.buffer = getattr(self, "buffer", np.zeros((3, 3), np.float32))
        answer = super().run(inputs)["scores"]
        self.buffer[: len(answer)] = answer * (1 if len(answer) == 3 else 2)
        return {"scores": self.buffer[: len(answer)]}


@mistake("a later run changed output")
class SharesItsBuffer(Sound):
    source = OneBuffer


class BatchStatistics(LinearSource):
    def run(self, inputs: Any) -> Any:
        scores = super().run(inputs)["scores"]
        return {"scores": scores - scores.mean(axis=0)}


@mistake("of an image alone differs")
class InTrainingMode(Sound):
    source = BatchStatistics


@mistake("differs by .* of its range from the expected")
class Transposed(Sound):
    def weights(self, path: Path) -> Any:
        return super().weights(path).reshape(3, 4).T


@mistake("models with other answers")
class RandomWeights(Sound):
    def weights(self, path: Path) -> Any:
        return super().weights(path) + np.random.default_rng().random((4, 3), np.float32)


@mistake("left temporary files|temporary files")
class LeavesFiles(Sound):
    def read(self, path: Path, *, trust_source: bool, input_size_wh: Any) -> Any:
        import tempfile

        Path(tempfile.mkdtemp(), "copy").write_bytes(path.read_bytes())
        return super().read(path, trust_source=trust_source, input_size_wh=input_size_wh)


@mistake("a file that does not exist: expected SourceError, got FileNotFoundError")
class ForeignError(Sound):
    def weights(self, path: Path) -> Any:
        return np.array(path.read_text().split(), np.float32).reshape(4, 3)


@mistake("a file that is empty: expected SourceError, and nothing was raised")
class FillsUp(Sound):
    def weights(self, path: Path) -> Any:
        if not path.exists():
            raise SourceError(f"{path}: no such file")
        words = [float(word) for word in path.read_text().split()]
        return np.array([*words, *[0.0] * (12 - len(words))], np.float32).reshape(4, 3)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named(name: str, model: Path) -> None:
    reader, words = MISTAKES[name]
    with pytest.raises(AssertionError, match=words):
        check_reader(reader(), model, EXPECTED)
