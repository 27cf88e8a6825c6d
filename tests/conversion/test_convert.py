"""convert(): arguments that are refused before any long work, the evidence, and the progress."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

import edgevision
from edgevision.bundle.storage import read_bundle
from edgevision.conversion.convert import ConversionSettings, convert
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError, OptionError, OutputError, SourceError
from edgevision.evidence.document import read_evidence
from edgevision.evidence.requirements import Budget
from edgevision.imaging.input_options import InputOptions
from edgevision.tasks.options import TaskOptions

pytestmark = pytest.mark.convert


@pytest.fixture(scope="module")
def digits(quickstart: Path) -> Path:
    return quickstart / "quickstart"


def test_the_quickstart_shows_evidence_for_three_targets(digits: Path) -> None:
    bundle = read_bundle(digits / "digits.evb")
    evidence = read_evidence(bundle.read(bundle.manifest.evidence).decode(), "evidence")
    assert [result.artifact for result in evidence.results] == [
        "tflite-int8",
        "openvino-int8",
        "onnx-int8-symmetric",
    ]
    for result in evidence.results:
        assert result.passed
        assert result.comparison.images == 597
        assert result.comparison.metric("accuracy").source >= 0.9, "the network has learned its digits"
    assert evidence.calibration is not None
    assert (evidence.calibration.images, evidence.evaluation.images) == (500, 597)
    assert any(
        note.startswith("onnx-int8-symmetric was measured on onnx cpu: this machine does not have")
        for note in evidence.notes
    )
    for result in evidence.results:
        assert result.latency_ms is not None
        assert result.timing is not None
        assert 0 < result.timing.least_ms <= result.latency_ms <= result.timing.p95_ms
        assert result.peak_memory_mb is not None
        assert 20 < result.peak_memory_mb < 2000, "a process with numpy and one runtime"


def test_input_and_output_are_inferred_from_the_model(digits: Path) -> None:
    manifest = read_bundle(digits / "digits.evb").manifest
    assert manifest.preprocessing.value_range == (0.0, 255.0)
    assert (manifest.task.score_kind, manifest.task.output) == ("softmax", "digit")
    assert read_bundle(digits / "digits.evb").labels == tuple("0123456789")


def test_full_integer_artifacts_take_image_bytes_directly(digits: Path) -> None:
    entry = read_bundle(digits / "digits.evb").manifest.artifacts[0]
    assert (entry.inputs[0].dtype, entry.outputs[0].dtype) == ("int8", "int8")
    assert entry.inputs[0].quantization is not None
    assert entry.inputs[0].quantization.zero_point == -128
    assert entry.inputs[0].quantization.scale == pytest.approx(1.0, abs=0.01)


def test_calibration_images_never_count_as_evaluation_images(digits: Path, tmp_path: Path) -> None:
    both = ImageSet.open(digits / "evaluation").sample(40)
    calibration = both.sample(15)
    evidence = convert(
        digits / "digits.keras",
        tmp_path / "digits.evb",
        targets=["generic-cpu"],
        calibration=calibration,
        evaluation=both,
        settings=ConversionSettings(budget=Budget(min_agreement=0.0)),
    )
    assert (evidence.evaluation.images, evidence.evaluation.left_out) == (25, 15)
    assert evidence.notes[0].startswith("15 evaluation images were left out")


def test_paths_may_be_text_and_numbers_numpys(digits: Path, tmp_path: Path) -> None:
    evidence = convert(
        str(digits / "digits.keras"),
        str(tmp_path / "digits.evb"),
        targets=np.array(["generic-cpu"]),
        precisions=("float32",),
        evaluation=str(digits / "evaluation"),
        settings=ConversionSettings(
            budget=Budget(np.float32(5), np.float32(0.9)), evaluation_samples=np.int64(200)
        ),
    )
    assert evidence.evaluation.images == 200
    assert [requirement.passed for requirement in evidence.results[0].requirements] == [True, True]
    bundle = read_bundle(tmp_path / "digits.evb")
    assert read_evidence(bundle.read(bundle.manifest.evidence).decode(), "evidence") == evidence


def _arrays(count: int, seed: int = 0) -> ImageSet:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)
    return ImageSet.from_arrays(pixels)


def test_images_may_be_arrays_without_labels(digits: Path, tmp_path: Path) -> None:
    evidence = convert(
        digits / "digits.keras",
        tmp_path / "digits.evb",
        targets=["onnx-cpu", "intel-cpu"],
        evaluation=_arrays(20),
        precisions=["float32"],
    )
    assert [result.comparison.metrics for result in evidence.results] == [(), ()]
    assert all(result.comparison.agreement == 1.0 for result in evidence.results)
    assert edgevision.load(tmp_path / "digits.evb").labels[3] == "class 3"


def test_progress_names_every_stage_in_order(digits: Path, tmp_path: Path) -> None:
    stages: list[tuple[str, int, int]] = []
    convert(
        digits / "digits.keras",
        tmp_path / "digits.evb",
        targets=["generic-cpu"],
        evaluation=_arrays(70),
        precisions=["float32"],
        progress=lambda *step: stages.append(step),
    )
    names = list(dict.fromkeys(stage for stage, _, _ in stages))
    assert names == [
        "reading digits.keras",
        "measuring the source",
        "converting to tflite-float32",
        "measuring",
        "timing",
        "writing the bundle",
    ]
    done = [step for _, step, _ in stages]
    assert done == sorted(done)
    assert all(step <= steps for _, step, steps in stages)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"targets": []}, OptionError, "no target"),
        ({"targets": ["pi"]}, OptionError, "no target 'pi'"),
        ({"precisions": ["int8"]}, OptionError, "tflite-int8: .* pass --calibration FOLDER"),
        (
            {"precisions": ["int8"], "calibration": _arrays(20)},
            InputError,
            "contains every image of the evaluation set",
        ),
        ({"evaluation": "absent", "precisions": ["float32"]}, InputError, "absent"),
        ({"source": "absent.keras"}, SourceError, "no such file or directory"),
        ({"source": __file__}, SourceError, r"expected a \.keras or \.h5 file"),
        ({"output": "model"}, OutputError, r"ends in \.evb; pass -o model\.evb"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_before_the_model_is_read(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes, error, message
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = {
        "source": digits / "digits.keras",
        "output": "model.evb",
        "targets": ["generic-cpu"],
        "evaluation": _arrays(20),
        **changes,
    }
    with pytest.raises(error, match=message):
        convert(**arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("field", "value"), [("calibration_samples", 0), ("evaluation_samples", -1)])
def test_a_setting_out_of_range_is_refused(field: str, value: float) -> None:
    with pytest.raises(OptionError, match=field):
        ConversionSettings(**{field: value})


@pytest.fixture(scope="module")
def normalized(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network whose batch normalization has the statistics of digits; its predictions are meaningless."""
    keras = pytest.importorskip("keras", reason="needs the extra `convert`")
    keras.utils.set_random_seed(3)
    layers = keras.layers
    scale, convolution, norm = layers.Rescaling(1 / 255), layers.Conv2D(8, 3), layers.BatchNormalization()
    image = keras.Input((32, 32, 3), name="image")
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(norm(convolution(scale(image)))))
    model = keras.Model(image, layers.Dense(10, activation="softmax")(x))
    taken = convolution(scale(np.stack(list(ImageSet.open(digits / "training").sample(200)))))
    norm.moving_mean.assign(np.mean(taken, axis=(0, 1, 2)))
    norm.moving_variance.assign(np.var(taken, axis=(0, 1, 2)))
    path = tmp_path_factory.mktemp("normalized") / "model.keras"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Keras's own, with numpy 2
        model.save(path)
    return path


LENIENT = Budget(min_agreement=0.0)


def test_a_synthetic_calibration_set_is_always_marked(normalized: Path, digits: Path, tmp_path: Path) -> None:
    evidence = convert(
        normalized,
        tmp_path / "model.evb",
        targets=["generic-cpu"],
        precisions=["int8"],
        calibration="synthetic",
        evaluation=ImageSet.from_arrays(list(ImageSet.open(digits / "evaluation").sample(60))),
        settings=ConversionSettings(budget=LENIENT, calibration_samples=32, strict=True),
    )
    assert evidence.calibration is not None
    assert evidence.calibration.name == "synthetic (batch-norm statistics of the source)"
    assert evidence.calibration.images == 32
    assert evidence.calibration_findings[0].check == "synthetic"
    assert evidence.calibration_coverage is not None
    bundle = read_bundle(tmp_path / "model.evb")
    assert read_evidence(bundle.read(bundle.manifest.evidence).decode(), "evidence") == evidence


def test_images_cannot_be_synthesized_without_batch_normalization(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no batch normalizations.*pass --calibration FOLDER"):
        convert(
            digits / "digits.keras",
            tmp_path / "digits.evb",
            targets=["generic-cpu"],
            calibration="synthetic",
            evaluation=digits / "evaluation",
        )
    assert list(tmp_path.iterdir()) == []


def test_a_good_calibration_set_has_no_warning_and_covers_the_evaluation_set(digits: Path) -> None:
    bundle = read_bundle(digits / "digits.evb")
    evidence = read_evidence(bundle.read(bundle.manifest.evidence).decode(), "evidence")
    assert evidence.calibration_findings == ()
    coverage = evidence.calibration_coverage
    assert coverage is not None
    assert (coverage.calibration_images, coverage.evaluation_images) == (128, 128)
    assert coverage.clipped < 0.001
    assert coverage.unsteady < 0.2


def test_strict_refuses_with_all_warnings_before_any_conversion(normalized: Path, digits: Path) -> None:
    stages: list[str] = []
    few = ImageSet.open(digits / "training").sample(40)
    with pytest.raises(
        InputError, match=r"few-images: .*\(40 images\).*; value-range: .*--input-range=0\.\.255"
    ):
        convert(
            normalized,
            digits / "strict.evb",
            targets=["generic-cpu"],
            precisions=["int8"],
            calibration=few,
            evaluation=digits / "evaluation",
            settings=ConversionSettings(
                task=TaskOptions(image=InputOptions(value_range=(0.0, 1.0))), strict=True, force_input=True
            ),
            progress=lambda stage, _done, _steps: stages.append(stage),
        )
    assert stages == ["reading model.keras"]
    assert not (digits / "strict.evb").exists()


def test_an_image_that_both_sets_have_in_different_formats_is_left_out_and_named(
    digits: Path, tmp_path: Path
) -> None:
    images = ImageSet.open(digits / "evaluation").sample(30)
    for place, image in enumerate(images):
        name = f"calibration/{place}.jpg" if place < 12 else f"evaluation/{place}.png"
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), image, [cv2.IMWRITE_JPEG_QUALITY, 100])
        if place < 3:
            cv2.imwrite(str(tmp_path / f"calibration/{place}.png"), image)
    for place in range(3):
        (tmp_path / f"calibration/{place}.png").rename(tmp_path / f"evaluation/copy {place}.png")
    evidence = convert(
        digits / "digits.keras",
        tmp_path / "digits.evb",
        targets=["generic-cpu"],
        precisions=["int8"],
        calibration=tmp_path / "calibration",
        evaluation=tmp_path / "evaluation",
        settings=ConversionSettings(budget=LENIENT),
    )
    (finding,) = [one for one in evidence.calibration_findings if one.check == "also-in-evaluation"]
    assert finding.images == ("copy 0.png", "copy 1.png", "copy 2.png")
    assert (evidence.evaluation.images, evidence.evaluation.left_out) == (18, 3)
