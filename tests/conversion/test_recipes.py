"""Our own int8 against the plain converter's, on a real runtime: the better one is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_conversion import (
    TARGET,
    TinyConverter,
    TinyReader,
    TinySource,
    tiny_artifact,
    tiny_plugins,
    tiny_request,
)

import edgevision
from edgevision.artifact import Artifact, FloatOperation, QuantizationRecord
from edgevision.bundle.storage import read_bundle
from edgevision.conversion.convert import Conversion
from edgevision.conversion.expected_outputs import evenly
from edgevision.conversion.recipes import Converted, HeldOut, choose_recipe
from edgevision.converter import split_calibration
from edgevision.errors import ConversionError
from edgevision.evaluation.classification import ClassificationEvaluator
from edgevision.evidence.document import read_evidence
from edgevision.evidence.quantization import RecipeComparison
from edgevision.evidence.records import Measured
from edgevision.imaging.preprocess import Preprocessing
from edgevision.plugins import registry
from edgevision.tasks.description import ClassifyTask

pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")

OURS = QuantizationRecord(
    "edgevision",
    "TFLiteConverter 2",
    "mixed",
    {"mixed": 0.001, "min/max": 0.02},
    (FloatOperation("MUL", "ln_1", "slower in int8"), FloatOperation("RSQRT", "ln_1", "slower in int8")),
)
PLAIN = QuantizationRecord("plain", "TFLiteConverter 2")


def _good() -> Artifact:
    """The float network, as an int8 artifact without any error."""
    return replace(tiny_artifact("float32"), precision="int8", quantization=OURS)


def _poor(record: QuantizationRecord) -> Artifact:
    """The int8 network with shuffled weights, and so with wrong answers."""
    artifact = tiny_artifact("int8")
    start, weights = _last_weights(artifact.content)
    content = artifact.content[:start] + np.roll(weights, 7).tobytes() + artifact.content[start + 20 :]
    return replace(artifact, files={artifact.name: content}, quantization=record)


def _last_weights(content: bytes) -> tuple[int, np.ndarray]:
    """The weights of the last layer, ``(5, 4)``, and their place in the file."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (weights,) = (
        interpreter.get_tensor(one["index"])
        for one in interpreter.get_tensor_details()
        if list(one["shape"]) == [5, 4]
    )
    return content.index(weights.tobytes()), weights


def _is_written(network: Artifact, folder: Path, name: str = "tflite-int8") -> bool:
    """True if an artifact of the bundle is this network; it has gained a description of itself."""
    bundle = read_bundle(folder / "model.evb")
    (entry,) = (entry for entry in bundle.manifest.artifacts if entry.id == name)
    written = bundle.artifact(entry)
    return np.array_equal(_last_weights(written.content)[1], _last_weights(network.content)[1])


class PlainConverter(TinyConverter):
    def __init__(self, plain: Callable[[], Artifact], **made: Callable[[], Artifact]) -> None:
        super().__init__(**made)
        self.plain = plain
        self.plain_calls = 0

    def convert_plain(self, source: TinySource, precision: str, calibration: Any) -> Artifact:
        assert len(list(calibration)) == 40
        self.plain_calls += 1
        return self.plain()


def _refused() -> Artifact:
    raise ConversionError("the tool refuses ERF")


def _convert(tmp_path: Path, converter: TinyConverter, **settings: Any) -> Measured:
    request = tiny_request(
        tmp_path, ("int8",), calibrated=True, budget=edgevision.Budget(min_agreement=0.0), **settings
    )
    evidence = Conversion.prepare(request, tiny_plugins(converter)).run()
    bundle = read_bundle(request.output)
    assert read_evidence(bundle.read(bundle.manifest.evidence).decode(), "evidence") == evidence
    (result,) = evidence.results
    return result


def test_ours_is_written_where_it_is_better_and_the_evidence_has_both_errors(tmp_path: Path) -> None:
    result = _convert(tmp_path, PlainConverter(lambda: _poor(PLAIN), int8=_good))
    assert _is_written(_good(), tmp_path)
    quantization = result.quantization
    assert (quantization.recipe, quantization.tool) == ("edgevision", "TFLiteConverter 2")
    assert (quantization.range_rule, quantization.range_errors) == ("mixed", OURS.range_errors)
    assert quantization.float_operations == OURS.float_operations
    comparison = quantization.comparison
    assert (comparison.images, comparison.verdict, comparison.reason) == (8, "edgevision", "")
    assert comparison.measure == "mean squared error of the log probabilities, relative to their variance"
    assert comparison.error < 1e-6
    assert comparison.plain_error > 0.1
    assert list(quantization.notes) == ["2 operations stay in float: 'ln_1' (slower in int8)"]


def test_plain_is_written_where_ours_is_worse_beyond_noise(tmp_path: Path) -> None:
    plain = replace(_good(), quantization=PLAIN)
    result = _convert(tmp_path, PlainConverter(lambda: plain, int8=lambda: _poor(OURS)))
    assert _is_written(plain, tmp_path)
    assert result.quantization.recipe == "plain"
    assert result.quantization.float_operations == ()
    assert result.quantization.comparison.verdict == "plain"
    assert result.comparison.agreement == 1.0
    (note,) = result.quantization.notes
    assert note.startswith("the plain converter was better, so its artifact was written (error ")


def test_plain_is_written_where_ours_cannot_be_converted(tmp_path: Path) -> None:
    plain = replace(_good(), quantization=PLAIN)
    result = _convert(tmp_path, PlainConverter(lambda: plain, int8=_refused))
    assert result.quantization.recipe == "plain"
    assert (result.quantization.comparison.error, result.quantization.comparison.plain_error) == (
        None,
        pytest.approx(0, abs=1e-6),
    )
    assert result.quantization.comparison.reason == "the tool refuses ERF"


def test_where_the_plain_converter_fails_its_reason_is_recorded(tmp_path: Path) -> None:
    result = _convert(tmp_path, PlainConverter(_refused, int8=_good))
    comparison = result.quantization.comparison
    assert (comparison.verdict, comparison.plain_error) == ("edgevision", None)
    assert "not compared with the plain converter, which failed: the tool refuses ERF" in list(
        result.quantization.notes
    )


def test_where_both_fail_the_error_is_that_of_ours(tmp_path: Path) -> None:
    def ours() -> Artifact:
        raise ConversionError("ours refuses ERF")

    with pytest.raises(ConversionError, match="^ours refuses ERF$"):
        _convert(tmp_path, PlainConverter(_refused, int8=ours))


def test_a_converter_that_offers_no_plain_artifact_is_not_compared(tmp_path: Path) -> None:
    assert _convert(tmp_path, TinyConverter()).quantization is None


def test_a_target_without_float_gets_a_full_integer_artifact_of_its_own(tmp_path: Path) -> None:
    class Full(PlainConverter):
        full = 0

        def convert_full_integer(self, source: TinySource, precision: str, calibration: Any) -> Artifact:
            self.full += 1
            return tiny_artifact(precision)

    converter = Full(lambda: _poor(PLAIN), int8=_good)
    targets = {
        "tpu": TARGET.format("tpu", "tflite", "tflite", '["int8"]', ""),
        "cpu": TARGET.format("cpu", "tflite", "tflite", '["int8", "float32"]', ""),
    }
    request = tiny_request(
        tmp_path,
        ("int8",),
        targets=targets,
        calibrated=True,
        budget=edgevision.Budget(min_agreement=0.0),
    )
    evidence = Conversion.prepare(request, tiny_plugins(converter)).run()
    assert (converter.full, converter.plain_calls) == (1, 1), "a plain artifact may have float operations"
    manifest = read_bundle(request.output).manifest
    assert {entry.id: (entry.precision, entry.targets) for entry in manifest.artifacts} == {
        "tflite-int8-full-integer": ("int8", ("tpu",)),
        "tflite-int8": ("int8", ("cpu",)),
    }
    assert [result.artifact for result in evidence.results] == ["tflite-int8-full-integer", "tflite-int8"]
    assert _is_written(tiny_artifact("int8"), tmp_path, "tflite-int8-full-integer")
    assert _is_written(_good(), tmp_path)
    edgevision.load(request.output, precision="int8", selftest="always").close()


@pytest.mark.usefixtures("speeds")
@pytest.mark.parametrize("precision", ["int8", "auto"])
def test_a_backend_that_takes_symmetric_int8_alone_gets_ours_and_plain_in_that_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    class TwoForms(PlainConverter):
        def symmetric(self) -> PlainConverter:
            return PlainConverter(lambda: _poor(PLAIN), int8=_good)

    converter = TwoForms(_refused, int8=lambda: _poor(OURS))
    monkeypatch.setattr(type(registry().backend("tflite")), "symmetric_int8", True, raising=False)
    request = tiny_request(
        tmp_path, (precision,), calibrated=True, budget=edgevision.Budget(min_agreement=0.0)
    )
    (result,) = Conversion.prepare(request, tiny_plugins(converter)).run().results
    assert (result.artifact, converter.plain_calls) == ("tflite-int8-symmetric", 0)
    assert result.quantization is not None
    assert result.quantization.comparison is not None
    assert result.quantization.comparison.plain_error is not None
    assert _is_written(_good(), tmp_path, "tflite-int8-symmetric")


def test_a_target_without_float_gets_no_artifact_with_float_operations(tmp_path: Path) -> None:
    targets = {"tpu": TARGET.format("tpu", "tflite", "tflite", '["int8"]', "")}
    request = tiny_request(tmp_path, ("int8",), targets=targets, calibrated=True)
    with pytest.raises(
        ConversionError,
        match=r"^tflite-int8-full-integer: 2 operations stay in float, and tpu computes none: 'ln_1' ",
    ):
        Conversion.prepare(request, tiny_plugins(TinyConverter(int8=_good))).run()


@pytest.mark.usefixtures("speeds")
def test_where_int8_has_no_float_operation_one_artifact_serves_targets_with_and_without_float(
    tmp_path: Path,
) -> None:
    targets = {
        "cpu": TARGET.format("cpu", "tflite", "tflite", '["int8", "float32"]', ""),
        "tpu": TARGET.format("tpu", "tflite", "tflite", '["int8"]', ""),
    }
    for precision in ("int8", "auto"):
        request = tiny_request(
            tmp_path,
            (precision,),
            targets=targets,
            calibrated=True,
            force=True,
            budget=edgevision.Budget(min_agreement=0.0),
        )
        Conversion.prepare(request, tiny_plugins(TinyConverter())).run()
        (entry,) = read_bundle(request.output).manifest.artifacts
        assert (entry.id, entry.targets) == ("tflite-int8", ("cpu", "tpu"))


def _held_out(count: int = 40) -> HeldOut:
    source = TinyReader().read(Path("model.tiny"))
    images = np.random.default_rng(0).random((count, 1, 8, 8, 3), np.float32)
    task = ClassifyTask("scores", "softmax")
    evaluator = ClassificationEvaluator(task, tuple("abcde"), Preprocessing((8, 8), (0.0, 1.0)), None)
    return HeldOut(source, _Calls(images), evaluator)


class _Calls:
    """Calibration data that can only be iterated."""

    def __init__(self, images: np.ndarray) -> None:
        self._images = images

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return iter({"image": image} for image in self._images)


def test_the_held_out_images_are_those_that_converters_leave_out() -> None:
    images = np.random.default_rng(0).random((40, 1, 8, 8, 3), np.float32)
    np.testing.assert_array_equal(
        _held_out().inputs["image"], np.concatenate([images[place] for place in split_calibration(40)[1]])
    )
    assert len(_held_out(5).inputs["image"]) == 5, "of few images, all"


def test_of_large_images_so_many_are_held_out_as_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    one = 4 * (8 * 8 * 3 + 5 + 4)
    monkeypatch.setattr("edgevision.conversion.expected_outputs._MOST_BYTES", 6 * one)
    assert len(_held_out(100).inputs["image"]) == 6
    monkeypatch.setattr("edgevision.conversion.expected_outputs._MOST_BYTES", one)
    assert len(_held_out(100).inputs["image"]) == 4
    assert evenly(range(0, 20, 2), 5) == [2, 6, 10, 14, 18]


def _verdict(own: list[float], plain: list[float]) -> RecipeComparison:
    pair = [Converted(_good(), np.array(errors)) for errors in (own, plain)]
    return choose_recipe(*pair, _held_out())[1]


@pytest.mark.parametrize(
    ("own", "plain", "verdict"),
    [
        ([0.09, 0.10, 0.11], [0.01, 0.02, 0.02], "plain"),
        ([0.01, 0.02, 0.02], [0.09, 0.10, 0.11], "edgevision"),
        # Worse in the mean, but one image decides that.
        ([0.01, 0.01, 0.01, 0.30], [0.02, 0.02, 0.02, 0.02], "edgevision"),
        # Worse on every image, by an amount that nobody notices: below 0.1 % of the variance …
        ([0.0010, 0.0012, 0.0011], [0.0006, 0.0007, 0.0007], "edgevision"),
        # … or below 5 % of the error.
        ([0.502, 0.512, 0.522], [0.500, 0.510, 0.520], "edgevision"),
        ([0.5], [0.1], "edgevision"),
    ],
)
def test_the_verdict_asks_for_a_difference_beyond_noise(
    own: list[float], plain: list[float], verdict: str
) -> None:
    assert _verdict(own, plain).verdict == verdict


def test_outputs_that_are_not_numbers_lose() -> None:
    held_out = _held_out()
    scores = held_out._source.run(held_out.inputs)["scores"]
    nan, right = (held_out.errors({"scores": values}) for values in (scores * np.nan, scores))
    assert np.isfinite(nan).all()
    assert choose_recipe(Converted(_good(), nan), Converted(_good(), right), held_out)[1].verdict == "plain"
