"""load(): what is asked for is what runs, or the call raises and names the next step."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edgevision
from edgevision.backend import SessionSettings
from edgevision.bundle import known_answers
from edgevision.bundle.storage import read_bundle
from edgevision.errors import (
    ArtifactError,
    BundleError,
    DeviceError,
    InferenceError,
    OptionError,
    PluginError,
)
from edgevision.imaging.input_options import InputOptions
from edgevision.loading.bare import BareModel
from edgevision.loading.load import load
from edgevision.session import CheckedSession

TINY = Path(__file__).parents[1] / "data" / "tiny.tflite"

convert = pytest.mark.convert


@pytest.fixture(scope="module")
def bundle(quickstart: Path) -> Path:
    return quickstart / "quickstart" / "digits.evb"


@pytest.fixture(scope="module")
def sevens(quickstart: Path) -> list[Path]:
    return sorted((quickstart / "quickstart" / "evaluation" / "7").iterdir())[:20]


@convert
@pytest.mark.parametrize(
    ("backend", "artifact"), [("tflite", "tflite-int8"), ("openvino", "openvino-int8"), ("onnx", "onnx-int8")]
)
def test_each_backend_runs_its_own_artifact_with_the_same_answers(bundle, sevens, backend, artifact) -> None:
    with load(bundle, backend=backend) as model, load(bundle) as default:
        assert (model.session.backend, model.session.device) == (backend, "cpu")
        results, expected = model(sevens), default(sevens)
    agree = [a.top()[0].label == b.top()[0].label for a, b in zip(results, expected, strict=True)]
    assert np.mean(agree) >= 0.95
    assert np.mean([result.top()[0].label == "7" for result in results]) >= 0.9


@convert
def test_by_default_the_first_artifact_runs_whose_backend_is_available(bundle) -> None:
    with load(bundle) as model:
        assert model.session.backend == "tflite"


@convert
def test_a_zip_of_a_bundle_runs_as_the_bundle_does(bundle, sevens, tmp_path) -> None:
    packed = Path(shutil.make_archive(str(tmp_path / "digits"), "zip", bundle))
    assert zipfile.is_zipfile(packed)
    with load(packed) as model, load(bundle) as unpacked:
        np.testing.assert_array_equal(model(sevens[0]).scores, unpacked(sevens[0]).scores)


@convert
def test_every_backend_gives_the_known_answers(bundle) -> None:
    for backend in ("tflite", "openvino", "onnx"):
        load(bundle, backend=backend, selftest="always").close()


@convert
def test_a_device_that_gives_other_answers_is_refused(bundle, tmp_path, monkeypatch) -> None:
    true_answers = known_answers.compute_answers
    wrong = lambda *args: {name: -values for name, values in true_answers(*args).items()}  # noqa: E731
    monkeypatch.setattr(known_answers, "compute_answers", wrong)
    with pytest.raises(InferenceError, match="does not give its known answers"):
        load(bundle, backend="tflite", selftest="always")


@convert
def test_known_answers_are_always_checked_on_a_processor_that_may_overflow(bundle, monkeypatch) -> None:
    from edgevision_openvino import backend as openvino

    true_answers = known_answers.compute_answers
    wrong = lambda *args: {name: -values for name, values in true_answers(*args).items()}  # noqa: E731
    monkeypatch.setattr(known_answers, "compute_answers", wrong)
    monkeypatch.setenv("EDGEVISION_SELFTEST", "first-load")
    monkeypatch.setattr(openvino, "has_exact_int8_products", lambda: True)
    load(bundle, backend="openvino").close()
    monkeypatch.setattr(openvino, "has_exact_int8_products", lambda: False)
    with pytest.raises(InferenceError, match="does not give its known answers"):
        load(bundle, backend="openvino")
    load(bundle, backend="tflite").close()


@convert
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"backend": "tensorrt"}, PluginError, "no backend 'tensorrt'; available: "),
        ({"backend": "tflite", "device": "gpu"}, DeviceError, "gpu"),
        (
            {"device": "npu:7"},
            DeviceError,
            "no backend that it was converted for is available: .*has no device 'npu:7'",
        ),
        (
            {"precision": "float64"},
            OptionError,
            "has no artifact of precision 'float64'; it has: tflite-int8",
        ),
        (
            {"backend": "tflite", "settings": SessionSettings(options={"x": 1})},
            OptionError,
            "has no option 'x'",
        ),
        ({"threads": 0}, OptionError, "threads: expected a whole number, 1 or more, got 0"),
        (
            {"threads": 2, "settings": SessionSettings(threads=1)},
            OptionError,
            r"threads: 2 and settings\.threads 1 contradict each other",
        ),
        (
            {"device": "cpu", "settings": SessionSettings(device="gpu")},
            OptionError,
            "contradict each other",
        ),
        ({"bare": BareModel()}, OptionError, "a bundle defines its own preprocessing"),
    ],
    ids=str,
)
def test_a_request_that_cannot_be_met_is_refused_and_nothing_else_runs(
    bundle, arguments, error, message
) -> None:
    with pytest.raises(error, match=message):
        load(bundle, **arguments)


@convert
def test_a_damaged_artifact_is_refused_by_its_digest_and_its_size(bundle, tmp_path) -> None:
    broken = shutil.copytree(bundle, tmp_path / "digits.evb")
    artifact = next((broken / "artifacts").rglob("*.tflite"))
    content = artifact.read_bytes()
    for damaged in (content[:1000], content[:1000] + b"\0" + content[1001:]):
        assert damaged != content
        artifact.write_bytes(damaged)
        with pytest.raises(BundleError, match="is not the file that the manifest was written for"):
            load(broken)


@convert
def test_a_truncated_artifact_with_a_right_digest_is_refused_by_its_runtime(bundle, tmp_path) -> None:
    from edgevision.bundle.storage import file_entry, write_bundle

    opened = read_bundle(bundle)
    files = {entry.path: opened.read(entry) for entry in opened.manifest.files()}
    first, *others = opened.manifest.artifacts
    name = first.files[0].path
    files[name] = files[name][:1000]
    manifest = replace(
        opened.manifest, artifacts=(replace(first, files=(file_entry(name, files[name]),)), *others)
    )
    write_bundle(tmp_path / "cut.evb", manifest, files)
    with pytest.raises(ArtifactError, match="not a valid TFLite model"):
        load(tmp_path / "cut.evb", backend="tflite")


def test_a_bare_file_that_needs_an_option_is_refused_with_its_name() -> None:
    with pytest.raises(OptionError, match=r"tiny\.tflite: .*the model does not say .* --input-range"):
        load(TINY)


def test_a_bare_file_runs_with_the_callers_options() -> None:
    bare = BareModel(InputOptions(value_range=(0.0, 1.0)), score_kind="softmax", output="scores")
    labelled = replace(bare, labels=np.array(list("abcde")))
    with load(str(TINY), bare=labelled) as model:
        assert model(np.full((20, 20, 3), 128, np.uint8)).labels == ("a", "b", "c", "d", "e")
    with load(TINY, bare=bare) as model:
        result = model(np.full((20, 20, 3), 128, np.uint8))
    assert result.labels[0] == "class 0"
    assert np.isfinite(result.scores).all()


def test_a_bare_file_whose_output_type_is_unknown_is_refused_with_the_option_and_closed(monkeypatch) -> None:
    closed: list[CheckedSession] = []
    close = CheckedSession.close
    monkeypatch.setattr(CheckedSession, "close", lambda self: (closed.append(self), close(self))[1])
    bare = BareModel(InputOptions(value_range=(0.0, 1.0)), output="scores")
    message = r"tiny\.tflite: cannot infer the output type; pass --scores softmax, sigmoid, or logits"
    with pytest.raises(OptionError, match=message):
        load(str(TINY), bare=bare)
    assert len(closed) == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"decoder_settings": {"objectness": True}}, "decoder settings are for detectors, .* --decoder NAME"),
        ({"output": "score"}, "and none called 'score'; select .* --output-name"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(fields: dict[str, object], message: str) -> None:
    bare = BareModel(InputOptions(value_range=(0.0, 1.0)), score_kind="softmax", output="scores")
    with pytest.raises(OptionError, match=message):
        load(TINY, bare=replace(bare, **fields))


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("model.tflite", b"no model", ArtifactError, "not a valid TFLite model"),
        ("model.onnx", b"no model", ArtifactError, "model.onnx"),
        ("model.xml", b"<net/>", ArtifactError, r"model\.bin: cannot be read"),
        ("model.pb", b"", OptionError, r"expected a bundle \(\.evb\) or an artifact"),
    ],
)
def test_a_file_that_is_not_a_model_is_named(tmp_path, name, content, error, message) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=message):
        load(tmp_path / name)


def test_a_path_that_does_not_exist_is_named(tmp_path) -> None:
    with pytest.raises(ArtifactError, match=r"absent\.tflite: cannot be read: No such file"):
        load(tmp_path / "absent.tflite")
    with pytest.raises(BundleError, match="there is no such bundle"):
        load(tmp_path / "absent.evb")


@convert
def test_a_bare_classifier_imports_nothing_that_it_does_not_need() -> None:
    code = (
        "import sys, edgevision\n"
        "image = edgevision.InputOptions(value_range=(0, 1))\n"
        "bare = edgevision.BareModel(image, score_kind='softmax', output='scores')\n"
        "edgevision.load(sys.argv[1], 'tflite', bare=bare).close()\n"
        "print(*sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, TINY], capture_output=True, text=True, check=True)
    imported = set(done.stdout.splitlines()[-1].split())
    assert "edgevision.tasks.classify" in imported
    others = ("bundle.", "tasks.detect", "tasks.description", "tasks.generation", "tasks.recognition")
    # What asks for the kind of task, for sets of classes, streams or another process.
    others += ("tasks.kind", "tasks.task_choice", "tasks.prediction_sets", "descriptions.")
    others += ("streaming.", "isolation", "health", "system.clock", "loading.race")
    workstation = ("calibration", "conversion", "datasets", "evaluation", "evidence", "metrics", "reporting")
    unwanted = tuple(f"edgevision.{name}" for name in (*others, *workstation, "benchmarking", "execution"))
    # The layout alone says what is a bundle.
    assert {name for name in imported if name.startswith(unwanted)} <= {"edgevision.bundle.layout"}
    assert "edgevision.description" not in imported
    # Of the standard library, what neither numpy, OpenCV nor the runtime imports.
    assert not imported & {"zipfile", "shutil", "lzma", "bz2", "difflib", "signal", "logging", "json"}
    assert not imported & {"subprocess", "multiprocessing", "importlib.metadata", "email", "hashlib"}


def test_threads_are_an_argument_too(bundle) -> None:
    with load(bundle, "tflite", threads=1) as model:
        assert model.session.threads == 1


@convert
def test_the_repr_of_a_model_says_what_it_is_and_where_it_runs(bundle) -> None:
    with load(bundle, "tflite") as model:
        assert repr(model) == "<Classifier: tflite on cpu, int8, input 32x32, 10 classes>"


def test_load_is_at_the_top() -> None:
    assert edgevision.load is load


@pytest.mark.parametrize("argument", [{"precision": "int8"}, {"selftest": True}, {"tune": True}])
def test_an_argument_for_bundles_is_refused_for_a_bare_file(argument: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=f"{next(iter(argument))} is for bundles"):
        load(TINY, **argument)  # type: ignore[arg-type]
