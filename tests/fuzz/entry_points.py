"""Calls that work, of everything public: their arguments are then replaced by bad ones."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

import edgevision as ev
import test_face_arguments as face
from edgevision.artifact import Artifact, read_artifact
from edgevision.plugins import registry
from edgevision.testing.models import fake_classifier, fake_detector, fake_image_to_image
from evaluation.tiny_bundle import LABELS, write_tiny_bundle

TFLITE = Path(__file__).parents[1] / "data" / "tiny.tflite"
PHOTO = face.PHOTO


@dataclass(frozen=True)
class Entry:
    """One public call.

    Attributes:
        name: such as ``Classifier.__call__ on tflite``.
        call: takes the arguments by name.
        good: arguments with which it works; each may be replaced.
        check: a call that must work, and answer the same, after every bad one.
    """

    name: str
    call: Callable[..., object]
    good: dict[str, Any]
    check: Callable[[], bytes] = field(default=lambda: b"")


def entries(folder: Path, only: str = "") -> list[Entry]:
    """All calls, on all runtimes that are installed; `folder` is the working directory."""
    write_files(folder)
    found = [*settings(), *values(), *models(), *functions(folder), *sessions(folder)]
    return [entry for entry in found if only in entry.name]


def write_files(folder: Path) -> None:
    from edgevision.imaging.write import write_image

    for number, label in enumerate(LABELS):
        (folder / "five" / label).mkdir(parents=True)
        write_image(folder / "five" / label / "1.png", PHOTO + number)
    write_image(folder / "a.png", PHOTO)
    (folder / "empty").write_bytes(b"")
    (folder / "empty.keras").write_bytes(b"")
    (folder / "text.json").write_text('{"a": [1, 2]}')
    with ev.Journal(folder / "old.db", frames="all") as journal:
        journal.record(face.classification(), PHOTO)
    write_tiny_bundle(folder / "tiny.evb")
    write_tiny_bundle(folder / "signed.evb")
    if _imports("cryptography"):
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        key = ec.generate_private_key(ec.SECP256R1()).private_bytes(*form)
        (folder / "key.pem").write_bytes(key)


def settings() -> Iterator[Entry]:
    """Constructors of what a caller builds and passes on: every field."""
    for owner, plain in face.SETTINGS:
        fields = {f.name: f for f in dataclasses.fields(owner) if f.init}
        good = {
            name: plain[name] if name in plain else default(f)
            for name, f in fields.items()
            if name in plain or default(f) is not dataclasses.MISSING
        }
        yield Entry(owner.__name__, owner, good)
    yield Entry(
        "Artifact", ev.Artifact, {"format": "onnx", "precision": "float32", "files": {"a.onnx": b"x"}}
    )


def default(f: Any) -> Any:
    return f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default


def values() -> Iterator[Entry]:
    """Methods of results and settings."""
    result, found, made = face.classification(), face.detector()(PHOTO), face.generated()
    images = face.images()
    journal, reader = ev.Journal("runs.db"), ev.read_journal("old.db")
    row = next(row for row in reader if row.frame_is_kept)
    table: dict[str, tuple[Callable[..., object], dict[str, Any]]] = {
        "Classification": (
            ev.Classification,
            {"scores": face.SCORES, "labels": ("a", "b", "c"), "multi_label": False, "score_threshold": 0.0},
        ),
        "Classification.top": (result.top, {"k": 1}),
        "Classification.above": (result.above, {"score_threshold": 0.5}),
        "Classification.to_dict": (result.to_dict, {"k": 1}),
        "Detections.to_coco": (found.to_coco, {"image_id": 1}),
        "GeneratedImages.save": (made.save, {"folder": "made", "stem": "image"}),
        "GeneratedImages.grid": (made.grid, {"columns": 2, "gap": 1}),
        "GeneratedImages.changed": (made.changed, {"geometry": ev.Geometry(rotate_degrees=90)}),
        "Geometry.apply": (ev.Geometry(rotate_degrees=90).apply, {"images": made.images}),
        "ImageSet.open": (ev.ImageSet.open, {"path": "five"}),
        "ImageSet.from_arrays": (
            ev.ImageSet.from_arrays,
            {
                **{"images": [PHOTO, PHOTO], "labels": [0, 1], "class_names": ["a", "b"], "name": "set"},
                "groups": None,
            },
        ),
        "ImageSet.sample": (images.sample, {"count": 1, "seed": 0}),
        "ImageSet.file_content": (images.file_content, {"place": 0}),
        "ImageSet.at": (images.at, {"places": (0,)}),
        "ImageSet.without": (images.without, {"digests": [images.digest]}),
        "Reliability.of": (
            ev.Reliability.of,
            {"confidence": face.SCORES, "correct": np.array([True, False, True]), "bins": 3},
        ),
        "Evaluation.worst": (face.worst_of, {"count": 1}),
        "Confusion.of": (ev.Confusion.of, {"truth": np.array([0, 1]), "predicted": np.array([0, 0])}),
        "Confusion.matrix": (ev.Confusion(((0, 1, 2),)).matrix, {"classes": 3}),
        "Curve.of": (ev.Curve.of, {"scores": face.SCORES, "positive": np.array([True, False, True])}),
        "TensorSpec.with_batch": (face.IMAGE.with_batch, {"batch": 1}),
        "TensorSpec.dequantize": (face.IMAGE.dequantize, {"values": np.zeros((1, 8, 8, 3), np.uint8)}),
        "TensorSpec.quantize": (face.IMAGE.quantize, {"values": np.zeros((1, 8, 8, 3), np.float32)}),
        "Preprocessing.resized": (face.PLAIN.resized, {"image": PHOTO}),
        "Preprocessing.resized_pixels": (face.PLAIN.resized_pixels, {"pixels": PHOTO}),
        "Preprocessing.from_dict": (
            ev.Preprocessing.from_dict,
            {"data": face.PLAIN.to_dict(), "where": "manifest"},
        ),
        "Journal": (
            journalled,
            {
                **{"path": "new.db", "frames": "sample", "sample_every": 2, "on_error": "raise"},
                **{"queue_rows": 9, "commit_s": 0.01, "wait": False},
            },
        ),
        "Journal.record": (
            journal.record,
            {"answer": result, "image": PHOTO, "color": "rgb", "model": face.classifier()},
        ),
        "Journal.flush": (journal.flush, {"timeout_s": 5.0}),
        "JournalHead.parse": (ev.JournalHead.parse, {"text": str(journal.head)}),
        "JournalReader.frame": (reader.frame, {"row": row}),
        "JournalReader.frame_content": (reader.frame_content, {"row": row}),
        "Metrics.write": (ev.Metrics().write, {"path": "new.prom"}),
        "ScoreCalibration.check_labels": (ev.ScoreCalibration(1.5).check_labels, {"labels": ("a", "b")}),
        "SessionSettings.cache_folder": (lambda part: ev.SessionSettings().cache_folder(part), {"part": "a"}),
    }
    for name, (call, good) in table.items():
        yield Entry(name, call, good)


def journalled(**arguments: Any) -> None:
    ev.Journal(**arguments).close()


def observed(observer: Any) -> None:
    with ev.observe(observer):
        pass


def models() -> Iterator[Entry]:
    """Models of every task, on a network without a runtime."""
    labels = ("a", "b", "c")
    session = face.classifier_with(labels).session
    yield Entry(
        "Classifier",
        ev.Classifier,
        {
            **{"session": session, "preprocessing": face.PLAIN, "labels": labels, "score_kind": "softmax"},
            **{"output": None, "score_calibration": None, "score_sigmoids": None, "score_threshold": 0.0},
        },
    )
    for name, model, further in (
        (
            "Classifier",
            fake_classifier(
                labels,
                lambda image: [image.mean() / 512, 0.25, 0.5],
                operating_point=ev.OperatingPoint("b", 1, 0.25, "sensitivity", 0.9),
            ),
            {"operating_threshold": 0.5},
        ),
        (
            "Detector",
            fake_detector(labels, [("a", 0.75, (1.0, 1.0, 8.0, 8.0))], size_wh=(16, 16)),
            {"score_threshold": 0.5, "iou_threshold": 0.5, "max_detections": 5},
        ),
        ("ImageToImage", fake_image_to_image(lambda image: image), {"ensemble": 1}),
    ):
        yield from calls_of(name, model, further)
    latent, diffusion = face.latent(), face.diffusion()
    yield Entry(
        "LatentGenerator.sample",
        latent.sample,
        {"count": 1, "seed": 1, "condition": "a"},
        lambda: latent.sample(2, 5, "a").images.tobytes(),
    )
    yield Entry(
        "LatentGenerator.interpolate",
        latent.interpolate,
        {"seed_a": 1, "seed_b": 2, "steps": 3, "condition": "a"},
    )
    yield Entry(
        "DiffusionGenerator.sample",
        diffusion.sample,
        {
            **{"count": 1, "seed": 1, "condition": "a", "steps": 2, "guidance": 1.5},
            **{"sampler": "ddim", "progress": None},
        },
        lambda: diffusion.sample(2, 5, "a", steps=2).images.tobytes(),
    )


def calls_of(name: str, model: Any, further: dict[str, Any]) -> Iterator[Entry]:
    def check() -> bytes:
        return repr(model(PHOTO).to_dict() if hasattr(model(PHOTO), "to_dict") else model(PHOTO)).encode()

    yield Entry(f"{name}.__call__", model, {"images": PHOTO, "color": "rgb", **further}, check)
    streaming = {"source": [PHOTO], "policy": "wait", "max_age_ms": 1e6, "deadline_ms": 1e6, "settings": None}
    streaming["track"] = None

    def stream(source: Any, settings: Any, **given: Any) -> list[Any]:
        many = isinstance(source, (range, list, tuple)) and len(source) > 1000  # as good as a thousand frames
        given["settings"] = _impatient(settings)
        # A source may go on for ever, and so does its stream.
        return list(islice(model.stream(source[:1000] if many else source, **given), 1000))

    yield Entry(f"{name}.stream", consumed(stream), streaming, check)
    changed = {"color": "rgb", **further}
    yield Entry(f"Stream.change_call on {name}", lambda **given: _changed(model, given), changed, check)
    if isinstance(model, ev.Detector):
        following = {**streaming, "tracker": "one"}
        del following["track"]

        def track(settings: Any, **given: Any) -> list[str]:
            return face.tracked(model, settings=_impatient(settings), **given)

        yield Entry(f"{name}.track", track, following, check)
    if isinstance(model, (ev.Classifier, ev.Detector)):
        explaining = {"image": PHOTO, "target": None, "method": "rise", "budget": 16}
        explaining |= {"settings": ev.ExplainSettings(budget=16), "color": "rgb", "progress": None}
        yield Entry(f"{name}.explain", model.explain, explaining, check)
        explanation = model.explain(PHOTO, budget=16)
        checking = {"image": PHOTO, "explanation": explanation, "steps": 2, "color": "rgb"}
        yield Entry(f"{name}.explanation_curves", model.explanation_curves, checking, check)
    for method in ("classify_batch", "scores", "detect_batch"):
        if hasattr(model, method):
            batch = {"images": [PHOTO, PHOTO], "color": "rgb"}
            yield Entry(f"{name}.{method}", getattr(model, method), batch, check)
    if hasattr(model, "read"):
        spec = model.session.inputs[0]
        outputs = model.session.run({spec.name: np.zeros(spec.with_batch(1), spec.dtype)})
        yield Entry(f"{name}.read", model.read, {"outputs": outputs, "sizes_wh": [(8, 8)]}, check)


def _impatient(settings: Any) -> Any:
    """Settings of a stream, by default such that a number, which is a camera, is not waited for 30 s."""
    return ev.StreamSettings(reconnect_s=0) if settings is None else settings


def _changed(model: Any, arguments: dict[str, Any]) -> None:
    with model.stream([PHOTO]) as stream:
        stream.change_call(**arguments)


def functions(folder: Path) -> Iterator[Entry]:
    """The package's functions, with every parameter of their signatures."""
    settings, tflite = ev.SessionSettings(), face.ON_TFLITE
    good: dict[str, dict[str, Any]] = {
        "load": {"path": "tiny.evb", "backend": "tflite", "tune": False},
        "load_classifier": {"path": "tiny.evb", "backend": "tflite", "device": None},
        "load_detector": {"path": "tiny.evb", "backend": "tflite", "device": None},
        "load_generator": {"path": "tiny.evb", "backend": "tflite", "device": None},
        "read_bundle": {"path": "tiny.evb"},
        "read_frame": {"path": "a.png", "index": None},
        "read_frames": {"path": "a.png"},
        "read_journal": {"path": "old.db"},
        "verify_journal": {"path": "old.db", "head": None},
        "replay_journal": {"path": "old.db", "model": face.classifier()},
        "evaluate": {"bundle": "tiny.evb", "data": "five", "on": tflite},
        "batch": {
            "bundle": "tiny.evb",
            "sources": "five",
            "output": "table",
            "on": tflite,
            "settings": ev.BatchSettings(format="jsonl"),
            "evaluate": False,
            "compare_with": None,
        },
        "compare": {"a": "tiny.evb", "b": "tiny.evb", "data": "five", "a_on": tflite, "b_on": tflite},
        "convert": {"source": "empty.keras", "output": "new.evb", "targets": ("raspberry-pi-5",)},
        "quantization_aware": {"model": None, "targets": ("raspberry-pi-5",), "targets_files": ()},
        "plan_evaluation": {"max_drop": 2.0, "expected_flips": 0.02},
        "sign_bundle": {"bundle": "signed.evb", "key": "key.pem", "force": True},
        "verify_bundle": {"bundle": "signed.evb", "trust": None},
        "install": {"bundle": "tiny.evb", "folder": "device", "backend": "tflite"},
        "roll_back": {"folder": "device", "backend": "tflite"},
        "export": {"bundle": "tiny.evb", "output": "new", "form": "mediapipe"},
        "sbom": {"bundle": "tiny.evb", "form": "soup", "backend": "tflite"},
        "pack": {"bundle": "tiny.evb", "output": "packed.evb"},
        "write_report": {"bundle": "tiny.evb", "output": "new.html"},
        "tune": {
            "bundle": "tiny.evb",
            "backends": ("tflite",),
            "threads": (1,),
            "batches": (1,),
            "seconds": 0.01,
        },
        "bench": {"model": face.classifier(), "frame_wh": (16, 12), "batch": 1, "seconds": 0.01},
        "open_session": {
            "backend": registry().backend("tflite"),
            "artifact": read_artifact(TFLITE),
            "settings": settings,
        },
    }
    for name, function in ((name, getattr(ev, name)) for name in good):
        signature = inspect.signature(function)
        rest = {
            name: parameter.default
            for name, parameter in signature.parameters.items()
            if parameter.default is not inspect.Parameter.empty
        }
        yield Entry(name, consumed(brief(function)), {**rest, **good[name]})
    yield Entry("observe", observed, {"observer": ev.Metrics()})


def brief(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which may be asked to measure for minutes, and then does for a moment."""

    def call(**arguments: Any) -> Any:
        seconds = arguments.get("seconds")
        if type(seconds) in (int, float) and 1 < seconds < 3600:
            arguments["seconds"] = 0.01
        return function(**arguments)

    return call


def consumed(function: Callable[..., Any]) -> Callable[..., object]:
    """The function, with what it yields read to the end, and what it opens closed."""

    def call(**arguments: Any) -> object:
        result = function(**arguments)
        if inspect.isgenerator(result):
            return list(result)
        if hasattr(result, "close"):
            result.close()
        return result

    return call


def sessions(folder: Path) -> Iterator[Entry]:
    """Sessions and classifiers on every runtime that is installed."""
    from tiny_onnx import tiny_onnx_bytes

    artifacts = {"tflite": read_artifact(TFLITE)}
    if registry().backend("onnx") and _imports("onnxruntime", "onnx"):
        artifacts["onnx"] = Artifact("onnx", "float32", {"tiny.onnx": tiny_onnx_bytes()})
    if _imports("openvino"):
        artifacts["openvino"] = artifacts["tflite"]
    how = ev.Preprocessing((8, 8), (0.0, 1.0))
    for backend, artifact in artifacts.items():
        session = ev.open_session(registry().backend(backend), artifact)
        spec = session.inputs[0]
        image = np.random.default_rng(0).random(spec.with_batch(1), np.float32)
        check = _answer(session, spec.name, image)
        inputs = {"inputs": {spec.name: image}}
        yield Entry(f"CheckedSession.run on {backend}", session.run, inputs, check)
        yield Entry(
            f"CheckedSession.run of a tensor on {backend}",
            lambda tensor, session=session, name=spec.name: session.run({name: tensor}),
            {"tensor": image},
            check,
        )
        yield Entry(
            f"CheckedSession.lease on {backend}",
            lambda batch, session=session: leased(session, batch),
            {"batch": 1},
            check,
        )
        preprocessing = dataclasses.replace(how, layout="nchw") if spec.shape[1] == 3 else how
        model = ev.Classifier(session, preprocessing, LABELS, "softmax", "scores")
        yield from (
            dataclasses.replace(entry, name=f"{entry.name} on {backend}")
            for entry in calls_of("Classifier", model, {})
        )


def _imports(*modules: str) -> bool:
    import importlib.util

    return all(importlib.util.find_spec(module) for module in modules)


def _answer(session: Any, name: str, image: Any) -> Callable[[], bytes]:
    return lambda: b"".join(values.tobytes() for values in session.run({name: image}).values())


def leased(session: Any, batch: Any) -> object:
    with session.lease(batch) as slot:
        return slot.run()
