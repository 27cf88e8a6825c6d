"""pack(): slimmed and zipped bundles, and artifacts compiled elsewhere, proved or marked."""

from __future__ import annotations

import json
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest

import edgevision
from edgevision.bundle.manifest import to_json
from edgevision.bundle.storage import open_bundle, read_bundle
from edgevision.datasets.image_sets import SetFacts
from edgevision.errors import ArtifactError, DeviceError, InferenceError, OptionError, OutputError
from edgevision.evidence.document import evidence_json, read_evidence
from edgevision.evidence.records import Evidence
from edgevision.plugins import Registry, registry
from tiny_bundles import classifier_artifact, write_artifacts

IDS = ("tflite-float32", "tflite-int8")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    artifacts = {
        name: classifier_artifact(f"tiny{end}.tflite") for name, end in zip(IDS, ("", "_int8"), strict=True)
    }
    facts = SetFacts("photos", 4, "0" * 64, labelled=True)
    text = evidence_json(Evidence("2026-11-24T00:00:00Z", "0" * 64, {}, facts, None, ()))
    return write_artifacts(tmp_path / "tiny.evb", artifacts, evidence=text.encode())


def compiled(folder: Path, wrong: bool = False) -> Path:
    """The int8 network as another compiler would write it: other bytes, the same answers unless `wrong`."""
    graph: Any = registry().backend("tflite").editable_graph(classifier_artifact("tiny_int8.tflite"))
    scores = graph.output("scores")
    graph.set_outputs({"scores": graph.binary("maximum", scores, graph.constant(np.array([0.9 * wrong])))})
    path = folder / "model_compiled.tflite"
    path.write_bytes(graph.artifact().content)
    return path


def pack(bundle: Path, output: Path, **options: Any) -> Any:
    own = {name: options.pop(name) for name in ("zipped", "force") if name in options}
    return edgevision.pack(bundle, output, settings=edgevision.PackSettings(**options), **own)


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({}, IDS),
        ({"keep": ["int8"]}, IDS[1:]),
        ({"drop": ["tflite-int8"]}, IDS[:1]),
        ({"keep": ["tflite"], "drop": ["float32"]}, IDS[1:]),
    ],
)
def test_artifacts_are_kept_and_left_out_by_id_format_and_precision(
    bundle: Path, tmp_path: Path, options: Any, left: Any
) -> None:
    done = pack(bundle, tmp_path / "out.evb", **options)
    assert (done.artifacts, done.unproved) == (left, {})
    packed = read_bundle(tmp_path / "out.evb")
    assert tuple(entry.id for entry in packed.manifest.artifacts) == left
    with np.load(tmp_path / "out.evb" / "selftest.npz") as answers:
        assert {name.partition("/")[0] for name in answers.files} == {"images", "expected", *left}
        assert {name.split("/")[2] for name in answers.files if "/results/" in name} == set(left)
    text = packed.read(packed.manifest.evidence).decode()
    notes = read_evidence(text, "evidence").notes
    assert bool(notes) == (left != IDS)
    with edgevision.load(tmp_path / "out.evb", selftest="always") as model:
        assert model.labels


def test_the_manifest_says_how_a_bundle_was_packed_and_names_no_folder(
    bundle: Path, tmp_path: Path, edgevision_command: Any
) -> None:
    words = ("pack", bundle, "-o", tmp_path / "out.evb", "--drop", "float32", "--author", "J. D.")
    assert edgevision_command(*words).returncode == 0
    record = read_bundle(tmp_path / "out.evb").manifest.provenance
    assert record is not None
    assert (record.author, record.settings["drop"]) == ("J. D.", ["float32"])
    assert record.command[2:7] == ("tiny.evb", "-o", "out.evb", "--drop", "float32")
    (source,) = record.inputs
    assert (source.role, source.name, source.sha256) == ("bundle", "tiny.evb", read_bundle(bundle).digest)


def test_a_zip_is_the_same_bundle_and_the_same_bytes_each_time(bundle: Path, tmp_path: Path) -> None:
    pack(bundle, tmp_path / "out.evb")
    for name in ("a.evb", "b.zip"):
        pack(bundle, tmp_path / name, zipped=True)
        assert zipfile.is_zipfile(tmp_path / name)
        assert read_bundle(tmp_path / name).digest == read_bundle(tmp_path / "out.evb").digest
        with edgevision.load(tmp_path / name) as model:
            assert model.labels
    assert (tmp_path / "a.evb").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with pytest.raises(OutputError, match="already exists; pass --force"):
        pack(bundle, tmp_path / "a.evb", zipped=True)
    pack(bundle, tmp_path / "a.evb", zipped=True, force=True)
    (tmp_path / "other.zip").write_bytes(b"not ours")
    with pytest.raises(OutputError, match="is not a zipped bundle, so it is not replaced"):
        pack(bundle, tmp_path / "other.zip", zipped=True, force=True)


def test_a_compiled_artifact_that_gives_its_known_answers_is_proved(bundle: Path, tmp_path: Path) -> None:
    path = compiled(tmp_path)
    done = pack(bundle, tmp_path / "out.evb", replacements={"tflite-int8": path})
    assert done.unproved == {}
    before = open_bundle(bundle)
    packed = read_bundle(tmp_path / "out.evb")
    entry = packed.manifest.artifacts[1]
    assert entry.compiled_from == before.artifact(before.manifest.artifacts[1]).sha256
    assert entry.files[0].path == "artifacts/tflite-int8/model_compiled.tflite"
    assert packed.artifact(entry).content == path.read_bytes()
    assert entry.inputs[0].shape[0] == 1
    text = packed.read(packed.manifest.evidence).decode()
    assert "was compiled elsewhere from the artifact that was measured" in read_evidence(text, "e").notes[-1]
    schema = json.loads(files("edgevision.schemas").joinpath("manifest.schema.json").read_text())
    jsonschema.validate(json.loads(to_json(packed.manifest)), schema)


def test_one_that_gives_other_answers_is_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InferenceError, match="does not give its known answers"):
        pack(bundle, tmp_path / "out.evb", replacements={"tflite-int8": compiled(tmp_path, wrong=True)})
    assert not (tmp_path / "out.evb").exists()


@pytest.fixture
def unproved(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Packs a bundle whose int8 artifact was compiled for a device that is not there at the time."""

    def without_device(*_: object) -> Any:
        raise DeviceError("no Edge TPU is plugged in")

    def packed(wrong: bool = False) -> Path:
        with monkeypatch.context() as patch:
            patch.setattr(Registry, "available_backend", without_device)
            replacements = {"tflite-int8": compiled(tmp_path, wrong)}
            done = pack(bundle, tmp_path / "out.evb", replacements=replacements, keep=["int8"])
        assert done.unproved == {"tflite-int8": "tflite: no Edge TPU is plugged in"}
        return tmp_path / "out.evb"

    return packed


def test_without_its_device_it_is_marked_and_checked_before_it_is_used(unproved: Any) -> None:
    path = unproved()
    (entry,) = open_bundle(path).manifest.artifacts
    assert entry.unproved == "tflite: no Edge TPU is plugged in"
    with edgevision.load(path) as model:
        assert model.labels


def test_an_unproved_artifact_with_other_answers_never_runs(unproved: Any, tmp_path: Path) -> None:
    path = unproved(wrong=True)
    with pytest.raises(InferenceError, match="does not give its known answers"):
        edgevision.load(path)
    for name in ("pear", "c"):
        (tmp_path / "images" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "images" / name / "a.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(InferenceError, match="does not give its known answers"):
        edgevision.evaluate(path, tmp_path / "images")


def test_packing_again_on_the_device_clears_the_mark(unproved: Any) -> None:
    path = unproved()
    done = pack(path, path, force=True)
    assert done.unproved == {}
    (entry,) = open_bundle(path).manifest.artifacts
    assert (entry.unproved, entry.compiled_from is None) == (None, False)


def test_what_every_backend_refuses_is_no_matter_of_the_device(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.tflite").write_bytes(b"no model at all")
    with pytest.raises(ArtifactError, match="not a valid TFLite model"):
        pack(bundle, tmp_path / "out.evb", replacements={"tflite-int8": tmp_path / "broken.tflite"})


def edge_tpu_file(folder: Path) -> Path:
    """A network with the operator that Google's compiler leaves, which only the delegate's library has."""
    graph: Any = registry().backend("tflite").editable_graph(classifier_artifact())
    code = next(code for code in graph.model.operatorCodes if code.builtinCode == 3)
    code.builtinCode, code.deprecatedBuiltinCode, code.customCode = 32, 32, b"edgetpu-custom-op"
    for operator in graph.model.subgraphs[0].operators:
        if graph.model.operatorCodes[operator.opcodeIndex] is code:
            operator.builtinOptionsType, operator.builtinOptions = 0, None
    path = folder / "model_edgetpu.tflite"
    path.write_bytes(graph.artifact().content)
    return path


def test_an_edge_tpu_file_without_its_delegate_says_so(tmp_path: Path) -> None:
    bare = edgevision.BareModel(edgevision.InputOptions(value_range=(0, 1)), score_kind="softmax")
    with pytest.raises(DeviceError, match="is compiled for an Edge TPU; pass its library in option delegate"):
        edgevision.load(edge_tpu_file(tmp_path), "tflite", bare=bare)


def test_what_cannot_be_packed_is_refused(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.evb"
    with pytest.raises(OptionError, match="has no artifact 'openvino'; it has: tflite-float32, tflite-int8"):
        pack(bundle, out, keep=["openvino"])
    with pytest.raises(OptionError, match="no artifact is left"):
        pack(bundle, out, drop=["tflite"])
    with pytest.raises(OptionError, match="has no artifact 'int8'"):
        pack(bundle, out, replacements={"int8": compiled(tmp_path)})
    with pytest.raises(OptionError, match="is replaced and left out at once"):
        pack(bundle, out, keep=["float32"], replacements={"tflite-int8": compiled(tmp_path)})
    own = bundle / "artifacts" / "tflite-int8" / "model.tflite"
    with pytest.raises(OptionError, match="is the bundle's own artifact"):
        pack(bundle, out, replacements={"tflite-int8": own})
    (tmp_path / "engine.plan").write_bytes(b"")
    with pytest.raises(OptionError, match="engine.plan"):
        pack(bundle, out, replacements={"tflite-int8": tmp_path / "engine.plan"})
    with pytest.raises((OptionError, ArtifactError)):
        pack(bundle, out, replacements={"tflite-int8": tmp_path / "absent.tflite"})
    with pytest.raises(
        ArtifactError, match="tflite-int8: the compiled file has the outputs .*; compile it from"
    ):
        pack(bundle, out, replacements={"tflite-int8": Path(__file__).parents[1] / "data" / "tiny.tflite"})
    assert not out.exists()


def test_the_command_says_what_is_not_proved(bundle: Path, tmp_path: Path, edgevision_command: Any) -> None:
    path = edge_tpu_file(tmp_path)
    words = ("--drop", "float32", "--replace", f"tflite-int8={path}", "--zip", "-o", tmp_path / "out.evb")
    done = edgevision_command("pack", bundle, *words)
    assert done.returncode == 0, done.stderr
    assert (
        "tflite-int8 is not proved yet: tflite: model_edgetpu.tflite: is compiled for an Edge TPU"
        in done.stdout
    )
    done = edgevision_command("inspect", tmp_path / "out.evb")
    assert "tflite-int8 was compiled elsewhere: not proved yet, and checked before it is used" in done.stdout
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    done = edgevision_command("predict", tmp_path / "out.evb", tmp_path / "a.png")
    assert (done.returncode, "is compiled for an Edge TPU" in done.stderr) == (7, True)
    done = edgevision_command("pack", bundle, "--replace", "tflite-int8", "-o", tmp_path / "other.evb")
    assert done.returncode == 2
    assert "expected ID=FILE" in done.stderr
