"""Arguments in any of their usual forms: `str` and `Path`, numpy's scalars, lists, tuples and arrays.

The rows follow from the signatures: a public function, method or settings class that takes such a
value and has no row fails.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import os
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import edgevision as ev
from edgevision.plugins import registry
from edgevision.testing.models import fake_classifier, fake_image_to_image
from public_face import exported_classes, exported_functions, function_of, hints_of, own_classes

Call = Callable[..., object]


class PathObject:
    """What a library that is not `pathlib` passes for a path."""

    def __init__(self, path: str | Path) -> None:
        self._path = str(path)

    def __fspath__(self) -> str:
        return self._path


class Row(NamedTuple):
    """One parameter with a value in its plainest form."""

    owner: str
    parameter: str
    plain: Any
    call: Callable[[Any], object]


# From a type hint to the kinds of values that it takes


def alternatives(hint: Any) -> Iterator[Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        for part in typing.get_args(hint):
            yield from alternatives(part)
    else:
        yield hint


def kinds(hint: Any) -> set[str]:
    """Among ``path``, ``whole``, ``real`` and ``sequence``."""
    found = set()
    for part in alternatives(hint):
        kind = typing.get_origin(part) or part
        if kind in (Path, os.PathLike):
            found.add("path")
        elif kind is int:
            found.add("whole")
        elif kind is float:
            found.add("real")
        elif kind in (tuple, list, collections.abc.Sequence, collections.abc.Collection):
            found.add("sequence")
    return found


def forms(plain: Any, allowed: set[str]) -> dict[str, Any]:
    """The same value in the other forms that a caller may have it in."""
    if isinstance(plain, (str, Path)):
        return {"str": str(plain), "Path": Path(plain), "os.PathLike": PathObject(plain)}
    if isinstance(plain, int):
        return {kind.__name__: kind(plain) for kind in (np.int64, np.int32, np.uint8)}
    if isinstance(plain, float):
        assert float(np.float32(plain)) == plain, "choose a number that float32 holds exactly"
        return {"float64": np.float64(plain), "float32": np.float32(plain)}
    assert isinstance(plain, tuple), plain
    assert "sequence" in allowed
    return {"list": list(plain), "tuple": plain, "array": np.array(plain), "scalars": [*np.array(plain)]}


def outcome(call: Callable[[Any], object], value: Any) -> str:
    """What the call returns or raises, comparable; an error that is no `EdgeVisionError` fails."""
    with np.printoptions(threshold=10**9):
        try:
            return repr(call(value))
        except ev.EdgeVisionError as error:
            return f"{type(error).__name__}: {error}"


def check(row: Row, hint: Any) -> None:
    expected = outcome(row.call, row.plain)
    for form, value in forms(row.plain, kinds(hint)).items():
        assert outcome(row.call, value) == expected, f"{row.owner}({row.parameter}) as {form}"


# Settings: the fields of what a caller builds and passes on


#: Statements about pixels with more than 8 bits, of which only one may be passed.
MAPPINGS: dict[str, Any] = {
    "bit_depth": 12,
    "pixel_range": (0.0, 4095.0),
    "window": (40.0, 400.0),
    "window_percentiles": (1.0, 99.0),
}
SETTINGS: list[tuple[type, dict[str, Any]]] = [
    (ev.SessionSettings, {"threads": 2, "cache_dir": Path("cache"), "image_size_wh": (8, 4)}),
    (
        ev.Isolation,
        {
            "deadline_ms": 100.0,
            "most_restarts": 5,
            "within_s": 60.0,
            "start_timeout_s": 10.0,
            "memory_limit_mb": 500.0,
        },
    ),
    (ev.Requirements, {"max_latency_ms": 50.0}),
    (ev.HealthChecks, {"every_s": 5.0, "stale_after_s": 10.0, "return_after": 3}),
    (ev.Fallback, {"path": Path("other.evb")}),
    (
        ev.InputGate,
        {"dark_share": 0.5, "saturated_share": 0.25, "sharpness": 0.125, "frozen_frames": 5},
    ),
    (ev.PredictionSetSpecification, {"coverage": 0.75, "seed": 3}),
    (
        ev.PredictionSets,
        {
            "method": "lac",
            "coverage": 0.75,
            "quantile": 0.5,
            "images": 20,
            "penalty": 0.5,
            "free_ranks": 2,
            "seed": 3,
        },
    ),
    (ev.AttentionSpecification, {"images": 8, "max_drift": 0.5, "budget": 64, "cells": 4, "seed": 3}),
    (ev.ExplainSettings, {"budget": 64, "seed": 3, "cells": 4, "reliability": 0.5}),
    (
        ev.ScoreSigmoids,
        {"transformation": "log", "parameters": ((0.5, 2.0, 1.0, 0.25),), "default_score": 0.5},
    ),
    (
        ev.TrustPolicy,
        {
            "keys": (b"-----BEGIN PUBLIC KEY-----",),
            "roots": (b"-----BEGIN CERTIFICATE-----",),
            "subjects": ("CN=a", "CN=b"),
        },
    ),
    (ev.RunSettings, {}),
    (ev.BatchSettings, {"workers": 2, "top": 3, "part_rows": 4}),
    (ev.PackSettings, {"keep": ("tflite", "int8"), "drop": ("float32",), "command": ("edgevision", "pack")}),
    (ev.BareModel, {"labels": ("cat", "dog")}),
    (
        ev.InputOptions,
        {"value_range": (0.0, 1.0), "mean": (0.5,), "scale": (2.0,), "pad_value": 7, "size_wh": (8, 4)},
    ),
    *((ev.InputOptions, {name: value}) for name, value in MAPPINGS.items()),
    (
        ev.TaskOptions,
        {
            "labels": Path("labels.txt"),
            "annotations": Path("boxes.json"),
            "truth": Path("truth"),
            "output_range": (0.0, 1.0),
            "overlap": 4,
        },
    ),
    (ev.Budget, {"max_drop": 0.5, "min_agreement": 0.75}),
    (
        ev.OperatingPointSpecification,
        {"positive": "cat", "metric": "sensitivity", "at_least": 0.75, "confidence": 0.75},
    ),
    (
        ev.ConversionSettings,
        {
            "calibration_samples": 9,
            "converters": ("keras-tflite",),
            "evaluation_samples": 8,
            "imports": ("keras_hub",),
            "command": ("edgevision", "convert"),
            "targets_files": (Path("mine.toml"),),
        },
    ),
    (
        ev.SourceLimits,
        {"memory_gb": 2.5, "reading_s": 30.0, "idle_s": 60.0, "total_s": 90.0, "open_files": 64},
    ),
    (
        ev.Preprocessing,
        {
            "size_wh": (8, 4),
            "value_range": (0.0, 1.0),
            "mean": (0.5, 0.5, 0.5),
            "scale": (2.0,),
            "pad_value": 7,
        },
    ),
    *(
        (ev.Preprocessing, {"size_wh": (8, 4), "value_range": (0.0, 1.0), name: value})
        for name, value in MAPPINGS.items()
    ),
    (
        ev.YuvFrame,
        {"data": np.zeros((6, 8), np.uint8), "format": "nv12", "size_wh": (4, 4), "stride": 8},
    ),
    (ev.Geometry, {"crop_xywh": (0, 1, 2, 3), "rotate_degrees": 90}),
    (ev.ScoreCalibration, {"temperature": 1.5}),
    (
        ev.OperatingPoint,
        {"positive": "cat", "class_id": 1, "threshold": 0.5, "metric": "sensitivity", "at_least": 0.75},
    ),
    (
        ev.DetectTask,
        {"decoder": "yolo", "score_threshold": 0.5, "iou_threshold": 0.25, "max_detections": 9},
    ),
    (
        ev.GenerateTask,
        {
            "kind": "latent",
            "output": "image",
            "output_range": (0.0, 1.0),
            "color": "rgb",
            "settings": {"input": "v"},
        },
    ),
    (ev.ImageToImageSettings, {"overlap": 8}),
    (ev.LatentSettings, {"input": "vector"}),
    (ev.Condition, {"input": "class", "kind": "one-hot", "classes": 3, "null_class": 2}),
    (ev.NoiseSchedule, {"kind": "linear", "steps": 9, "beta_start": 0.25, "beta_end": 0.5}),
    (ev.NoiseSchedule, {"kind": "cosine", "steps": 9, "offset": 0.25}),
    (ev.NoiseSchedule, {"kind": "betas", "values": (0.25, 0.5)}),
    (
        ev.DiffusionSettings,
        {
            "image_input": "image",
            "timestep_input": "t",
            "timestep": "index",
            "prediction": "epsilon",
            "schedule": ev.NoiseSchedule("cosine", 9, offset=0.25),
            "condition": ev.Condition("class", "one-hot", 3, 2),
            "steps": 5,
            "guidance": 1.5,
        },
    ),
    (ev.StreamSettings, {"stall_s": 2.0, "open_timeout_s": 5.0, "reconnect_s": 30.0, "workers": 2}),
    (ev.Quantization, {"scale": 0.5, "zero_point": 3}),
    (ev.TensorSpec, {"name": "image", "shape": (1, 2), "dtype": "uint8"}),
]


def settings_rows() -> Iterator[tuple[Row, Any]]:
    for owner, plain in SETTINGS:
        hints = hints_of(owner)
        for field, value in plain.items():
            if kinds(hints[field]):

                def build(form: Any, owner: type = owner, plain: Any = plain, field: str = field) -> object:
                    return owner(**{**plain, field: form})

                yield Row(owner.__name__, field, value, build), hints[field]


SETTINGS_ROWS = list(settings_rows())


@pytest.mark.parametrize(
    ("row", "hint"), SETTINGS_ROWS, ids=[f"{row.owner}-{row.parameter}" for row, _ in SETTINGS_ROWS]
)
def test_a_setting_is_the_same_in_every_form(row: Row, hint: Any) -> None:
    """Equal in its repr: what is stored is the plain form, which JSON and a hash take."""
    check(row, hint)


def settings_classes() -> set[type]:
    """Dataclasses that a caller passes to a public function or a model, and the settings inside of them."""
    waiting = [ev.Quantization, ev.TensorSpec]
    callables = [*exported_functions().values()]
    for owner in own_classes(ev.Model):
        callables += [vars(owner)["__init__"], *(vars(owner)[n] for n in ("__call__",) if n in vars(owner))]
    for function in callables:
        for parameter, hint in hints_of(inspect.unwrap(function)).items():
            if parameter != "return":
                waiting += own_classes(hint)
    found: set[type] = set()
    while waiting:
        owner = waiting.pop()
        if owner not in found and dataclasses.is_dataclass(owner):
            found.add(owner)
            waiting += [part for hint in hints_of(owner).values() for part in own_classes(hint)]
    return found


#: Dataclasses that a caller passes but does not build from parts -> how they are built.
BUILT_OTHERWISE = {
    ev.Artifact: "read from a bundle, or by a converter",
    ev.QuantizationRecord: "by a converter",
    ev.FloatOperation: "by a converter",
    ev.ImageSet: "by `open` and `from_arrays`, which have rows",
    ev.Grouping: "by `ImageSet.grouped`, which has rows",
    ev.ImageCopy: "by `ImageSet.distinct`",
    ev.Frame: "by `read_frame` and `read_frames`, which have rows",
}


def test_every_setting_of_every_settings_class_has_a_row() -> None:
    covered: dict[type, set[str]] = {}
    for owner, plain in SETTINGS:
        covered.setdefault(owner, set()).update(plain)
    missing = []
    for owner in settings_classes() - set(BUILT_OTHERWISE):
        hints = hints_of(owner)
        names = [field.name for field in dataclasses.fields(owner) if field.init]
        missing += [
            f"{owner.__name__}.{name}"
            for name in names
            if kinds(hints[name]) and name not in covered.get(owner, ())
        ]
    assert missing == []


# Functions and methods


SCORES = np.array([0.125, 0.75, 0.125], np.float32)
PHOTO = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)


def classification() -> ev.Classification:
    return ev.Classification(SCORES, ("a", "b", "c"))


def fake_session(inputs: list[ev.TensorSpec], outputs: list[ev.TensorSpec], answers: Any = None) -> Any:
    from edgevision.testing import FakeBackend

    backend = FakeBackend(answers)
    return ev.open_session(backend, backend.artifact(inputs, outputs))


IMAGE = ev.TensorSpec("image", (None, 8, 8, 3), "uint8")
PLAIN = ev.Preprocessing((8, 8), (0.0, 255.0))


def classifier_above(score_threshold: Any) -> list[Any]:
    session = classifier_with(("a", "b", "c")).session
    model = ev.Classifier(session, PLAIN, ("a", "b", "c"), "softmax", score_threshold=score_threshold)
    return [model.score_threshold]


def classifier_with(labels: Any) -> ev.Classifier:
    session = fake_session([IMAGE], [ev.TensorSpec("scores", (None, 3), "float32")], {"scores": SCORES})
    return ev.Classifier(session, PLAIN, labels, "softmax")


def classifier() -> ev.Classifier:
    return classifier_with(("a", "b", "c"))


def decided(operating_threshold: Any) -> Any:
    point = ev.OperatingPoint("b", 1, 0.25, "sensitivity", 0.9)
    model = fake_classifier(("a", "b"), (0.5, 0.5), operating_point=point)
    result = model(PHOTO, operating_threshold=operating_threshold)
    assert result.operating_point is not None
    return [result.operating_point.threshold, result.positive]


def edited() -> ev.ImageToImage:
    return fake_image_to_image(lambda image: image, size_wh=(16, 16))


def streamed(model: Any, limit: str, milliseconds: Any) -> list[str]:
    return [result.status for _, result in model.stream([PHOTO, PHOTO], **{limit: milliseconds})]


class _OneTracker:
    """A tracker without a library."""

    name, summary, uses_image = "one", "for tests", False

    def create(self, settings: Any) -> Any:
        return self

    def update(self, boxes: Any, scores: Any, *rest: Any) -> Any:
        return np.zeros(len(scores), np.int64)

    @ev.hookimpl
    def edgevision_trackers(self) -> list[Any]:
        return [self]


def tracked(model: ev.Detector, **arguments: Any) -> list[str]:
    plugin = _OneTracker()
    registry().register(plugin, "one")
    try:
        stream = model.track(**arguments)
        return [str(result.value.tracker_id) for _, result in stream]
    finally:
        registry().manager.unregister(plugin)


def tracked_within(limit: str, milliseconds: Any) -> list[str]:
    return tracked(detector(), source=[PHOTO, PHOTO], tracker="one", **{limit: milliseconds})


BOXES: dict[str, Any] = {
    "boxes": [[[1, 2, 8, 6], [0, 0, 4, 4], [0, 0, 3, 4]]],
    "scores": [[0.75, 0.5, 0.25]],
}


def detector_with(labels: Any) -> ev.Detector:
    from edgevision.plugins import registry

    outputs = [ev.TensorSpec("boxes", (None, 3, 4), "float32"), ev.TensorSpec("scores", (None, 3), "float32")]
    settings = {"boxes": "boxes", "scores": "scores", "box_format": "xyxy", "box_unit": "pixels"}
    task = ev.DetectTask("boxes-scores", settings)
    session = fake_session([IMAGE], outputs, BOXES)
    return ev.Detector(session, PLAIN, labels, task, registry().decoder("boxes-scores"))


def detector() -> ev.Detector:
    return detector_with(("thing",))


def found(detections: Any) -> object:
    return detections.to_dict()


CONDITION = {"input": "class", "kind": "class-id", "classes": 3, "null_class": 2}
CLASS_INPUT = ev.TensorSpec("class", (None,), "int64")


def latent_with(labels: Any) -> ev.LatentGenerator:
    settings: Any = {"input": "vector", "condition": CONDITION}
    task = ev.GenerateTask("latent", "made", (0.0, 1.0), "gray", settings)
    inputs = [ev.TensorSpec("vector", (None, 4), "float32"), CLASS_INPUT]
    session = fake_session(inputs, [ev.TensorSpec("made", (None, 2, 2, 1), "float32")])
    return ev.LatentGenerator(session, task, labels)


def latent() -> ev.LatentGenerator:
    return latent_with(("a", "b", "c"))


def diffusion_with(labels: Any) -> ev.DiffusionGenerator:
    settings: Any = {
        "image_input": "noisy",
        "timestep_input": "time",
        "timestep": "index",
        "prediction": "epsilon",
        "schedule": {"kind": "cosine", "steps": 9, "offset": 0.25},
        "condition": CONDITION,
    }
    task = ev.GenerateTask("diffusion", "made", (0.0, 1.0), "gray", settings)
    noisy = ev.TensorSpec("noisy", (None, 2, 2, 1), "float32")
    inputs = [noisy, ev.TensorSpec("time", (None,), "float32"), CLASS_INPUT]
    output = ev.TensorSpec("made", (None, 2, 2, 1), "float32")
    session = fake_session(inputs, [output], lambda fed: {"made": fed["noisy"] * 0.5})
    return ev.DiffusionGenerator(session, task, labels)


def diffusion() -> ev.DiffusionGenerator:
    return diffusion_with(("a", "b", "c"))


def generated() -> ev.GeneratedImages:
    return ev.GeneratedImages(np.arange(3 * 16, dtype=np.uint8).reshape(3, 4, 4, 1), (1, 2, 3))


def images() -> ev.ImageSet:
    return ev.ImageSet.from_arrays([PHOTO, PHOTO + 1, PHOTO + 2], [0, 1, 1], ["a", "b"])


def grouped(data: ev.ImageSet) -> object:
    assert data.grouping is not None
    return data.grouping.source, data.grouping.names, data.grouping.of_images.tolist()


def listed(data: ev.ImageSet) -> object:
    return data.image_names, data.class_names, None if data.labels is None else data.labels.tolist()


def measured_reliability(bins: Any) -> ev.Reliability:
    return ev.Reliability.of(SCORES, np.array([True, False, True]), bins)


def worst_of(count: Any) -> object:
    measures = types.SimpleNamespace(errors=np.array([0.0, 1.0, 2.0]))
    return ev.Evaluation.worst(types.SimpleNamespace(measures=measures), count)  # type: ignore[arg-type]


def read_by(model: ev.Classifier | ev.Detector, sizes_wh: Any) -> object:
    """A model's own decoding of outputs that its session returned."""
    inputs = {"image": np.zeros((1, 8, 8, 3), np.uint8)}
    return [result.to_dict() for result in model.read(model.session.run(inputs), sizes_wh)]


def test_a_row_for_a_sequence_of_images_takes_a_list_a_tuple_and_one_array() -> None:
    """Values that are arrays themselves, and so not in the table."""
    batch = np.stack([PHOTO, PHOTO])
    for model in (classifier(), detector()):
        expected = [result.to_dict() for result in model([PHOTO, PHOTO])]
        for form in (list(batch), tuple(batch), batch):
            assert [result.to_dict() for result in model(form)] == expected
    for model in (classifier(), detector()):
        assert curves(model, 2) == curves(model, 2, np.asfortranarray(PHOTO))
        assert mapped(model, budget=16) == mapped(model, budget=16, image=np.asfortranarray(PHOTO))
    for form in (list(batch), tuple(batch), batch):
        assert [result.to_dict() for result in classifier().classify_batch(form)] == [
            result.to_dict() for result in classifier()([PHOTO, PHOTO])
        ]
        assert len(detector().detect_batch(form)) == len(classifier().scores(form)) == 2
        assert ev.ImageSet.from_arrays(form).digest == ev.ImageSet.from_arrays(batch).digest


#: Parameters that take arrays of pixels: the test above has them.
TAKES_PIXELS = {
    "Classifier.classify_batch(images)",
    "Classifier.explain(image)",
    "Classifier.explanation_curves(image)",
    "Classifier.scores(images)",
    "Detector.detect_batch(images)",
    "Detector.explain(image)",
    "Detector.explanation_curves(image)",
    "ImageSet.from_arrays(images)",
    "Journal.record(image)",
}

#: Parameters of public methods that EdgeVision itself calls, with values that it has computed.
CALLED_BY_EDGEVISION = {
    "Journal.edgevision_model_loaded(path)",
    "Budget.requirements(confidence)",
    "Budget.requirements(default_agreement)",
    "CheckedSession.__init__(threads)",
    "Grouping.at(places)",
    "Grouping.read(image_names)",
    "Grouping.read(others)",
    "Grouping.read(source)",
    "Grouping.read_if_any(image_names)",
    "Grouping.read_if_any(others)",
    "Grouping.read_if_any(source)",
    "ImageSet.grouped(others)",
    "SetFacts.of(left_out)",
    "ImageSet.grouped_if_any(groups)",
    "ImageSet.grouped_if_any(others)",
    "Requirement.exact(limit)",
    "Requirement.exact(measured)",
    "ScoreCalibration.check_labels(labels)",
    "ScoreQuality.of(floor)",
    "SessionSettings.check_device(known)",
    "SessionSettings.check_options(known)",
}


def mapped(model: Any, target: Any = None, budget: Any = 16, image: Any = PHOTO) -> bytes:
    """The map of an explanation."""
    found: bytes = model.explain(image, target, budget=budget).map.tobytes()
    return found


def curves(model: Any, steps: Any, image: Any = PHOTO) -> bytes:
    """Insertion along an explanation."""
    found: bytes = model.explanation_curves(
        image, model.explain(PHOTO, budget=16), steps=steps
    ).insertion.tobytes()
    return found


METHODS = [
    Row("Classification.top", "k", 2, lambda k: classification().top(k)),
    Row("Classification.above", "score_threshold", 0.5, lambda score: classification().above(score)),
    Row("Classification.to_dict", "k", 2, lambda k: classification().to_dict(k)),
    Row("Classifier.__init__", "score_threshold", 0.5, classifier_above),
    Row("Classifier.__init__", "labels", ("a", "b", "c"), lambda labels: classifier_with(labels).labels),
    Row("Classifier.read", "sizes_wh", ((8, 8),), lambda sizes: read_by(classifier(), sizes)),
    Row("Detector.__init__", "labels", ("thing",), lambda labels: found(detector_with(labels)(PHOTO))),
    Row("Classifier.__call__", "operating_threshold", 0.5, lambda threshold: decided(threshold)),
    Row(
        "Detector.__call__",
        "score_threshold",
        0.5,
        lambda score: found(detector()(PHOTO, score_threshold=score)),
    ),
    Row("Detector.__call__", "iou_threshold", 0.75, lambda iou: found(detector()(PHOTO, iou_threshold=iou))),
    Row("Detector.__call__", "max_detections", 1, lambda most: found(detector()(PHOTO, max_detections=most))),
    Row("Detector.read", "sizes_wh", ((8, 8),), lambda sizes: read_by(detector(), sizes)),
    *(
        Row(f"{name}.stream", limit, 60_000.0, lambda ms, make=make, limit=limit: streamed(make(), limit, ms))
        for name, make in (("Classifier", classifier), ("Detector", detector), ("ImageToImage", edited))
        for limit in ("max_age_ms", "deadline_ms")
    ),
    *(
        Row(f"{name}.explain", "budget", 16, lambda budget, make=make: mapped(make(), budget=budget))
        for name, make in (("Classifier", classifier), ("Detector", detector))
    ),
    *(
        Row(f"{name}.explanation_curves", "steps", 2, lambda steps, make=make: curves(make(), steps))
        for name, make in (("Classifier", classifier), ("Detector", detector))
    ),
    Row("Classifier.explain", "target", 1, lambda target: mapped(classifier(), target)),
    Row("Detector.explain", "target", 0, lambda target: mapped(detector(), target)),
    Row("Detector.track", "max_age_ms", 60_000.0, lambda ms: tracked_within("max_age_ms", ms)),
    Row("Detector.track", "deadline_ms", 60_000.0, lambda ms: tracked_within("deadline_ms", ms)),
    Row("Detections.to_coco", "image_id", 7, lambda image_id: detector()(PHOTO).to_coco(image_id)),
    Row("Detections.__getitem__", "key", (1, 0), lambda key: found(detector()(PHOTO)[_places(key)])),
    Row("LatentGenerator.__init__", "labels", ("a", "b", "c"), lambda names: latent_with(names).labels),
    Row("LatentGenerator.sample", "count", 2, lambda count: latent().sample(count, 1, "a")),
    Row("LatentGenerator.sample", "seed", 5, lambda seed: latent().sample(1, seed, "a")),
    Row("LatentGenerator.sample", "condition", 1, lambda wish: latent().sample(2, 1, wish)),
    Row("LatentGenerator.sample", "condition", ("a", "b"), lambda wish: latent().sample(2, 1, wish)),
    Row("LatentGenerator.sample", "condition", (0, 1), lambda wish: latent().sample(2, 1, wish)),
    Row("LatentGenerator.interpolate", "seed_a", 1, lambda seed: latent().interpolate(seed, 2, 3, "a")),
    Row("LatentGenerator.interpolate", "seed_b", 2, lambda seed: latent().interpolate(1, seed, 3, "a")),
    Row("LatentGenerator.interpolate", "steps", 3, lambda steps: latent().interpolate(1, 2, steps, "a")),
    Row("LatentGenerator.interpolate", "condition", 1, lambda wish: latent().interpolate(1, 2, 3, wish)),
    Row("DiffusionGenerator.__init__", "labels", ("a", "b", "c"), lambda names: diffusion_with(names).labels),
    Row("DiffusionGenerator.sample", "count", 2, lambda count: diffusion().sample(count, 1, "a", steps=2)),
    Row("DiffusionGenerator.sample", "seed", 5, lambda seed: diffusion().sample(1, seed, "a", steps=2)),
    Row("DiffusionGenerator.sample", "condition", 1, lambda wish: diffusion().sample(2, 1, wish, steps=2)),
    Row("DiffusionGenerator.sample", "steps", 2, lambda steps: diffusion().sample(1, 1, "a", steps=steps)),
    Row(
        "DiffusionGenerator.sample",
        "guidance",
        1.5,
        lambda guidance: diffusion().sample(1, 1, "a", steps=2, guidance=guidance),
    ),
    Row("GeneratedImages.__getitem__", "position", 1, lambda position: generated()[position]),
    Row("GeneratedImages.save", "folder", Path("made"), lambda folder: generated().save(folder)),
    Row("GeneratedImages.grid", "columns", 3, lambda columns: generated().grid(columns)),
    Row("GeneratedImages.grid", "gap", 2, lambda gap: generated().grid(2, gap)),
    Row("ImageSet.open", "path", Path("photos"), lambda path: listed(ev.ImageSet.open(path))),
    Row(
        "ImageSet.from_arrays",
        "labels",
        (0, 1),
        lambda labels: listed(ev.ImageSet.from_arrays([PHOTO, PHOTO], labels)),
    ),
    Row(
        "ImageSet.from_arrays",
        "class_names",
        ("a", "b"),
        lambda names: listed(ev.ImageSet.from_arrays([PHOTO, PHOTO], [0, 1], names)),
    ),
    Row("ImageSet.open", "groups", Path("groups.csv"), lambda how: grouped(ev.ImageSet.open("photos", how))),
    Row("ImageSet.open", "groups", (7, 8), lambda how: grouped(ev.ImageSet.open("photos", how))),
    Row(
        "ImageSet.from_arrays",
        "groups",
        ("x", "y"),
        lambda how: grouped(ev.ImageSet.from_arrays([PHOTO, PHOTO], groups=how)),
    ),
    Row("ImageSet.grouped", "groups", ("x", "y", "y"), lambda how: grouped(images().grouped(how))),
    Row("ImageSet.sample", "count", 2, lambda count: listed(images().sample(count))),
    Row("ImageSet.sample", "seed", 3, lambda seed: listed(images().sample(2, seed))),
    Row("ImageSet.file_content", "place", 1, lambda place: images().file_content(place)),
    Row("ImageSet.at", "places", (2, 0), lambda places: listed(images().at(places))),
    Row("Evaluation.worst", "count", 1, lambda count: worst_of(count)),
    Row("Confusion.matrix", "classes", 3, lambda classes: ev.Confusion(((0, 1, 2),)).matrix(classes)),
    Row("Reliability.of", "bins", 5, measured_reliability),
    Row("Journal.__init__", "path", Path("runs.db"), lambda path: journalled(path)),
    Row("Journal.__init__", "sample_every", 2, lambda every: journalled(frames="sample", sample_every=every)),
    Row("Journal.__init__", "queue_rows", 9, lambda most: journalled(queue_rows=most)),
    Row("Journal.__init__", "commit_s", 0.0625, lambda seconds: journalled(commit_s=seconds)),
    Row("Journal.flush", "timeout_s", 8.0, lambda seconds: journalled(flush=seconds)),
    Row("JournalReader.__init__", "path", Path("old.db"), lambda path: read_rows(ev.JournalReader(path))),
    Row("Metrics.write", "path", Path("a.prom"), lambda path: ev.Metrics().write(path)),
    Row("CheckedSession.lease", "batch", 2, lambda batch: leased(batch)),
    Row("TensorSpec.with_batch", "batch", 2, lambda batch: IMAGE.with_batch(batch)),
]


def _places(key: Any) -> Any:
    """A tuple would index two dimensions, as in numpy."""
    return list(key) if isinstance(key, tuple) else key


def journalled(path: Any = "runs.db", flush: Any = 5.0, **options: Any) -> object:
    with ev.Journal(path, **options) as journal:
        journal.record({"status": "ok"}, PHOTO)
        journal.record({"status": "ok"}, PHOTO)
        journal.flush(flush)
    with ev.read_journal("runs.db") as rows:
        kept = [row.frame_is_kept for row in rows][-3:]
    Path("runs.db").unlink()
    return kept


def read_rows(journal: ev.JournalReader) -> object:
    with journal:
        return [row.kind for row in journal]


def leased(batch: Any) -> object:
    with classifier().session.lease(batch) as slot:
        return slot.inputs["image"].shape


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with photos in two classes, for relative paths."""
    from edgevision.imaging.write import write_image

    for label in ("a", "b"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        write_image(tmp_path / "photos" / label / "1.png", PHOTO)
    (tmp_path / "groups.csv").write_text("image,group\na/1.png,x\nb/1.png,y\n")
    with ev.Journal(tmp_path / "old.db") as journal:
        journal.record({"status": "ok"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("row", METHODS, ids=lambda row: f"{row.owner}-{row.parameter}-{row.plain}")
@pytest.mark.usefixtures("folder")
def test_an_argument_of_a_method_means_the_same_in_every_form(row: Row) -> None:
    assert not outcome(row.call, row.plain).startswith("OptionError"), "a row shows what works"
    owner, _, method = row.owner.partition(".")
    function = function_of(inspect.getattr_static(getattr(ev, owner), method))
    assert function is not None
    check(row, hints_of(function)[row.parameter] if row.parameter != "key" else tuple[int, ...])


def _methods() -> Iterator[tuple[str, str]]:
    """(class.method, parameter) of the public methods that take a path, a number or a sequence."""
    for owner in exported_classes().values():
        for base in owner.__mro__:
            if base.__module__.split(".")[0] != "edgevision":
                continue
            shown = {"__call__", "__getitem__", *(() if dataclasses.is_dataclass(base) else ("__init__",))}
            for name, member in vars(base).items():
                function = function_of(member)
                hidden = name.startswith("_") and name not in shown
                if function is None or function.__module__ != base.__module__ or hidden:
                    continue
                for parameter, hint in hints_of(function).items():
                    if parameter != "return" and kinds(hint):
                        yield f"{owner.__name__}.{name}", parameter


def test_every_method_with_a_path_a_number_or_a_sequence_has_a_row() -> None:
    rows = {f"{row.owner}({row.parameter})" for row in METHODS} | TAKES_PIXELS | CALLED_BY_EDGEVISION
    assert {f"{name}({parameter})" for name, parameter in _methods()} - rows == set()


def _convert(**arguments: Any) -> object:
    """As far as a conversion gets without TensorFlow: all arguments are read before the model is."""
    here = ev.ConversionSettings(source_limits=None)  # a process for each row would take seconds
    plain: dict[str, Any] = {"source": "empty.keras", "output": "new.evb", "targets": ("raspberry-pi-5",)}
    return ev.convert(**{**plain, "settings": here, **arguments})


def _trained(**arguments: Any) -> object:
    return ev.quantization_aware(**{"model": None, "targets": ("intel-cpu",), **arguments})


def _tuned(**arguments: Any) -> object:
    plain: dict[str, Any] = {"bundle": "tiny.evb", "backends": ("tflite",), "threads": (1,), "batches": (1,)}
    result = ev.tune(**{**plain, "seconds": 0.0625, **arguments})
    return [(row.artifact, row.backend, row.threads, row.batch, row.status) for row in result.rows]


def _benched(**arguments: Any) -> object:
    result = ev.bench(classifier(), **{"frame_wh": (16, 12), "batch": 1, "seconds": 0.0625, **arguments})
    document = result.to_dict()
    import json

    json.dumps(document)
    return document["frame_wh"], document["batch"]


def _evaluated(**arguments: Any) -> object:
    plain: dict[str, Any] = {"bundle": "tiny.evb", "data": "five", "on": ON_TFLITE}
    return ev.evaluate(**{**plain, **arguments}).to_dict()["metrics"]


def _batched(**arguments: Any) -> object:
    settings = ev.BatchSettings(format="jsonl")
    plain = {"bundle": "tiny.evb", "sources": "five", "output": "table", "on": ON_TFLITE}
    return ev.batch(**{**plain, "settings": settings, **arguments}).ok


def _compared(**arguments: Any) -> object:
    plain: dict[str, Any] = {"a": "tiny.evb", "b": "tiny.evb", "data": "five"}
    return ev.compare(**{**plain, "a_on": ON_TFLITE, "b_on": ON_TFLITE, **arguments}).to_dict()["verdict"]


def _planned(**arguments: Any) -> object:
    plain = {"max_drop": 8.0, "expected_flips": 0.0625, "sensitivity": 0.5}
    return ev.plan_evaluation(**{**plain, **arguments}).to_dict()


def _loaded(load: Callable[..., Any] = ev.load, path: Any = "tiny.evb", **arguments: Any) -> object:
    with load(path, **arguments) as model:
        return model, model.session.threads


ON_TFLITE = ev.RunSettings(backend="tflite", tune=False)

#: A path to nothing is refused by name, in every form; the others are used.
FUNCTIONS = [
    Row("bench", "frame_wh", (16, 12), lambda size: _benched(frame_wh=size)),
    Row("bench", "batch", 2, lambda batch: _benched(batch=batch)),
    Row("bench", "seconds", 0.0625, lambda seconds: _benched(seconds=seconds)),
    Row("compare", "a", Path("tiny.evb"), lambda path: _compared(a=path)),
    Row("compare", "b", Path("tiny.evb"), lambda path: _compared(b=path)),
    Row("compare", "data", Path("five"), lambda path: _compared(data=path)),
    Row("compare", "annotations", Path("no.json"), lambda path: _compared(annotations=path)),
    Row("compare", "truth", Path("nothing"), lambda path: _compared(truth=path)),
    Row("compare", "groups", Path("no.csv"), lambda path: _compared(groups=path)),
    Row("compare", "groups", ("x", "y", "y", "x", "z"), lambda names: _compared(groups=names)),
    Row("convert", "source", Path("no.keras"), lambda path: _convert(source=path)),
    Row("convert", "output", Path("no.txt"), lambda path: _convert(output=path)),
    Row("convert", "targets", ("raspberry-pi-5", "no-such"), lambda names: _convert(targets=names)),
    Row("convert", "evaluation", Path("nothing"), lambda path: _convert(evaluation=path)),
    Row(
        "convert",
        "calibration",
        Path("nothing"),
        lambda path: _convert(evaluation="five", precisions=("int8",), calibration=path),
    ),
    Row("convert", "precisions", ("auto", "int8"), lambda names: _convert(precisions=names)),
    Row("convert", "groups", Path("no.csv"), lambda path: _convert(evaluation="five", groups=path)),
    Row("convert", "groups", ("x",), lambda names: _convert(evaluation="five", groups=names)),
    Row("quantization_aware", "targets", ("intel-cpu", "no-such"), lambda names: _trained(targets=names)),
    Row(
        "quantization_aware", "targets_files", (Path("no.toml"),), lambda paths: _trained(targets_files=paths)
    ),
    Row("evaluate", "bundle", Path("tiny.evb"), lambda path: _evaluated(bundle=path)),
    Row("evaluate", "data", Path("five"), lambda path: _evaluated(data=path)),
    Row("evaluate", "annotations", Path("no.json"), lambda path: _evaluated(annotations=path)),
    Row("evaluate", "truth", Path("nothing"), lambda path: _evaluated(truth=path)),
    Row("evaluate", "groups", Path("no.csv"), lambda path: _evaluated(groups=path)),
    Row("evaluate", "groups", (1, 2, 2, 1, 3), lambda names: _evaluated(groups=names)),
    Row("batch", "bundle", Path("no.evb"), lambda path: ev.batch(path, "five", "table")),
    Row("batch", "sources", Path("nothing"), lambda path: _batched(sources=path)),
    Row("batch", "sources", ("five", "nothing"), lambda paths: _batched(sources=paths)),
    Row("batch", "output", Path("tiny.evb"), lambda path: _batched(output=path)),
    Row("batch", "compare_with", Path("tiny.evb"), lambda path: _batched(compare_with=path)),
    Row("batch", "annotations", Path("no.json"), lambda path: _batched(annotations=path)),
    Row("batch", "truth", Path("nothing"), lambda path: _batched(truth=path)),
    Row("batch", "groups", Path("no.csv"), lambda path: _batched(evaluate=True, groups=path)),
    Row("batch", "groups", (1, 2, 2, 1, 3), lambda names: _batched(evaluate=True, groups=names)),
    Row("export", "bundle", Path("no.evb"), lambda path: ev.export(path, "new", form="mediapipe")),
    Row("export", "output", Path("no/new"), lambda path: ev.export("tiny.evb", path, form="mediapipe")),
    Row("install", "bundle", Path("no.evb"), lambda path: ev.install(path, "device")),
    Row("install", "folder", Path("tiny.evb"), lambda path: ev.install("tiny.evb", path)),
    Row("install", "threads", 0, lambda threads: ev.install("no.evb", "device", threads=threads)),
    Row("roll_back", "folder", Path("no"), lambda path: ev.roll_back(path)),
    Row("roll_back", "threads", 0, lambda threads: ev.roll_back("no", threads=threads)),
    Row("load", "path", Path("tiny.evb"), lambda path: _loaded(path=path)),
    Row("load", "threads", 2, lambda threads: _loaded(threads=threads)),
    Row("load", "health_every_s", 30.0, lambda seconds: _loaded(health_every_s=seconds)),
    Row("load", "fallback", ("tiny.evb",), lambda others: _loaded(fallback=others)),
    Row("load", "deadline_ms", 60_000.0, lambda limit: _loaded(isolate=True, deadline_ms=limit)),
    Row("load_classifier", "path", Path("tiny.evb"), lambda path: _loaded(ev.load_classifier, path)),
    Row("load_detector", "path", Path("tiny.evb"), lambda path: _loaded(ev.load_detector, path)),
    Row("load_generator", "path", Path("tiny.evb"), lambda path: _loaded(ev.load_generator, path)),
    Row("pack", "bundle", Path("no.evb"), lambda path: ev.pack(path, "new.evb")),
    Row("pack", "output", Path("no.txt"), lambda path: ev.pack("tiny.evb", path)),
    Row("sign_bundle", "bundle", Path("no.evb"), lambda path: ev.sign_bundle(path, "no.pem")),
    Row("sign_bundle", "key", Path("no.pem"), lambda path: ev.sign_bundle("tiny.evb", path)),
    Row(
        "sign_bundle",
        "certificates",
        ("no.crt",),
        lambda paths: ev.sign_bundle("tiny.evb", "tiny.evb/manifest.json", certificates=paths),
    ),
    Row("verify_bundle", "bundle", Path("no.evb"), lambda path: ev.verify_bundle(path)),
    Row("plan_evaluation", "max_drop", 0.5, lambda number: _planned(max_drop=number)),
    Row("plan_evaluation", "min_agreement", 0.75, lambda number: _planned(min_agreement=number)),
    Row("plan_evaluation", "sensitivity", 0.5, lambda number: _planned(sensitivity=number)),
    Row("plan_evaluation", "expected_flips", 0.125, lambda number: _planned(expected_flips=number)),
    Row("plan_evaluation", "expected_drop", 0.5, lambda number: _planned(expected_drop=number)),
    Row(
        "plan_evaluation", "expected_sensitivity", 0.75, lambda number: _planned(expected_sensitivity=number)
    ),
    Row("plan_evaluation", "positive_share", 0.25, lambda number: _planned(positive_share=number)),
    Row("plan_evaluation", "images_per_group", 2.5, lambda number: _planned(images_per_group=number)),
    Row("plan_evaluation", "correlation", 0.5, lambda number: _planned(correlation=number)),
    Row("plan_evaluation", "confidence", 0.75, lambda number: _planned(confidence=number)),
    Row("plan_evaluation", "power", 0.75, lambda number: _planned(power=number)),
    Row("read_bundle", "path", Path("tiny.evb"), lambda path: ev.read_bundle(path)),
    Row("tune", "bundle", Path("tiny.evb"), lambda path: _tuned(bundle=path)),
    Row("tune", "backends", ("tflite",), lambda names: _tuned(backends=names)),
    Row("read_frame", "path", Path("five/a/1.png"), lambda path: ev.read_frame(path).pixels.sum()),
    Row("read_frame", "index", 0, lambda index: ev.read_frame("five/a/1.png", index).pixels.sum()),
    Row("read_frames", "path", Path("five/a/1.png"), lambda path: len(list(ev.read_frames(path)))),
    Row("read_journal", "path", Path("old.db"), lambda path: read_rows(ev.read_journal(path))),
    Row("verify_journal", "path", Path("old.db"), lambda path: ev.verify_journal(path).to_dict()),
    Row("replay_journal", "path", Path("old.db"), lambda path: list(ev.replay_journal(path, print))),
    Row("sbom", "bundle", Path("no.evb"), lambda path: ev.sbom(path)),
    Row("tune", "threads", (1,), lambda threads: _tuned(threads=threads)),
    Row("tune", "batches", (1, 2), lambda batches: _tuned(batches=batches)),
    Row("tune", "seconds", 0.0625, lambda seconds: _tuned(seconds=seconds)),
    Row("write_report", "bundle", Path("no.evb"), lambda path: ev.write_report(path, "new.html")),
    Row("write_report", "output", Path("no.txt"), lambda path: ev.write_report("tiny.evb", path)),
]


@pytest.fixture
def bundle(folder: Path) -> Path:
    """``tiny.evb`` with five classes, and ``five`` with an image of each, in the current folder."""
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    from edgevision.imaging.write import write_image
    from evaluation.tiny_bundle import LABELS, write_tiny_bundle

    for number, label in enumerate(LABELS):
        (folder / "five" / label).mkdir(parents=True)
        write_image(folder / "five" / label / "1.png", PHOTO + number)
    (folder / "empty.keras").write_bytes(b"")
    return write_tiny_bundle(folder / "tiny.evb")


@pytest.mark.parametrize("row", FUNCTIONS, ids=lambda row: f"{row.owner}-{row.parameter}-{row.plain}")
@pytest.mark.usefixtures("bundle")
def test_an_argument_of_a_function_means_the_same_in_every_form(row: Row) -> None:
    check(row, hints_of(getattr(ev, row.owner))[row.parameter])


def test_every_function_with_a_path_a_number_or_a_sequence_has_a_row() -> None:
    rows = {(row.owner, row.parameter) for row in FUNCTIONS}
    needed = {
        (name, parameter)
        for name, function in exported_functions().items()
        for parameter, hint in hints_of(function).items()
        if parameter != "return" and kinds(hint)
    }
    assert needed - rows == set()


def test_a_type_checker_accepts_a_path_as_text_and_as_path_everywhere() -> None:
    hints = {
        f"{name}({parameter})": hint
        for name, function in exported_functions().items()
        for parameter, hint in hints_of(function).items()
        if parameter != "return"
    }
    for owner in settings_classes() - set(BUILT_OTHERWISE):
        hints |= {f"{owner.__name__}.{name}": hint for name, hint in hints_of(owner).items()}
    for row in METHODS:
        owner_name, _, method = row.owner.partition(".")
        function = function_of(inspect.getattr_static(getattr(ev, owner_name), method))
        assert function is not None
        hints |= {
            f"{row.owner}({name})": hint for name, hint in hints_of(function).items() if name != "return"
        }
    paths = {where: set(alternatives(hint)) for where, hint in hints.items() if "path" in kinds(hint)}
    assert len(paths) > 20
    assert [where for where, types_ in paths.items() if str not in types_] == []


# Arguments that mean nothing: refused by name, and never by an error of Python or numpy


class Meaningless:
    """No path, no number, and no sequence of either."""


def meaningless(allowed: set[str]) -> dict[str, Any]:
    values: dict[str, Any] = {"an object": Meaningless()}
    if "path" in allowed:
        values |= {"bytes": b"a", "no text": "", "a NUL": "a\0b", "a long path": "a" * 5000}
    elif allowed & {"whole", "real"}:
        values |= {"text": "nan", "NaN": np.nan, "complex": 1j, "array": np.array([[1, 2]])}
    if "whole" in allowed:
        values["half"] = 0.5
    if "sequence" in allowed:
        values |= {"number": 5, "text": "ab", "objects": [Meaningless()], "dictionary": {"a": 1}}
    return values


def check_refusal(row: Row, hint: Any) -> None:
    for form, value in meaningless(kinds(hint)).items():
        try:
            row.call(value)
        except (ev.EdgeVisionError, MemoryError):
            continue
        except Exception as error:
            pytest.fail(f"{row.owner}({row.parameter}) as {form}: {type(error).__name__}: {error}")


@pytest.mark.parametrize(
    ("row", "hint"), SETTINGS_ROWS, ids=[f"{row.owner}-{row.parameter}" for row, _ in SETTINGS_ROWS]
)
def test_a_setting_without_meaning_raises_no_foreign_error(row: Row, hint: Any) -> None:
    check_refusal(row, hint)


@pytest.mark.parametrize("row", METHODS, ids=lambda row: f"{row.owner}-{row.parameter}-{row.plain}")
@pytest.mark.usefixtures("folder")
def test_an_argument_of_a_method_without_meaning_raises_no_foreign_error(row: Row) -> None:
    if row.owner.endswith("__getitem__"):
        pytest.skip("indexing raises IndexError, as it does everywhere in Python")
    owner, _, method = row.owner.partition(".")
    function = function_of(inspect.getattr_static(getattr(ev, owner), method))
    assert function is not None
    check_refusal(row, hints_of(function)[row.parameter])


@pytest.mark.parametrize("row", FUNCTIONS, ids=lambda row: f"{row.owner}-{row.parameter}-{row.plain}")
@pytest.mark.usefixtures("bundle")
def test_an_argument_of_a_function_without_meaning_raises_no_foreign_error(row: Row) -> None:
    if row.parameter == "seconds":
        pytest.skip("the largest number of seconds is a wish that is granted")
    check_refusal(row, hints_of(getattr(ev, row.owner))[row.parameter])


@pytest.mark.parametrize(
    "call",
    [
        lambda: classification().to_dict(0),
        lambda: detector()(PHOTO).to_coco("7"),
        lambda: detector()(PHOTO).to_coco(0.5),
        lambda: images().sample(1, None),
        lambda: images().at([0.5]),
        lambda: images().at([3]),
        lambda: ev.InputOptions(value_range=()),
        lambda: ev.InputOptions(value_range="01"),
        lambda: ev.InputOptions(mean=0),
        lambda: ev.InputOptions(scale=(0.0,)),
        lambda: ev.InputOptions(resize="squeeze"),
        lambda: ev.TaskOptions(output_range="01"),
        lambda: ev.TaskOptions(output_range=(np.nan, 1.0)),
        lambda: ev.RunSettings(tune="no"),
        lambda: ev.TensorSpec("image", (True, -1), "uint8"),
        lambda: ev.Quantization("0.5", 0),
        lambda: ev.load("no.evb", settings={"threads": 1}),
        lambda: ev.load("tiny.evb", ["tflite"]),
        lambda: ev.SessionSettings(options=5),
        lambda: ev.SessionSettings(options=["delegate"]),
        lambda: ev.ConversionSettings(budget=0.5),
        lambda: ev.ConversionSettings(task="classify"),
        lambda: ev.convert("a.keras", "a.evb", targets=["generic-cpu"], settings={"force": True}),
        lambda: ev.evaluate("tiny.evb", "five", {"backend": "tflite"}),
        lambda: ev.compare("tiny.evb", "tiny.evb", "five", a_on="tflite"),
        lambda: ev.bench("tiny.evb"),
        lambda: ev.load("no.evb", selftest="no"),
        lambda: ev.load("no.tflite", bare={}),
        lambda: ev.load("tiny.evb", isolate="no"),
        lambda: ev.load("tiny.evb", isolate=True, deadline_ms=-1),
        lambda: ev.load("tiny.evb", deadline_ms=100),
        lambda: ev.load("tiny.evb", standby=True),
        lambda: ev.load("tiny.evb", require={"device": "cpu"}),
        lambda: ev.Requirements(fully_accelerated="no"),
        lambda: ev.Requirements(max_latency_ms=0),
        lambda: ev.Isolation(most_restarts=-1),
        lambda: ev.SessionSettings(threads=10**30),
    ],
    ids=lambda call: "",
)
@pytest.mark.usefixtures("bundle")
def test_a_value_that_would_silently_mean_something_else_is_refused(call: Any) -> None:
    with pytest.raises(ev.EdgeVisionError):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda frame: classifier().classify_batch(frame),
        lambda frame: classifier().scores(frame),
        lambda frame: detector().detect_batch(frame),
        lambda frame: ev.ImageSet.from_arrays(frame),
    ],
)
@pytest.mark.parametrize("frame", [PHOTO, "a.png", Path("a.png"), None], ids=["array", "str", "Path", "None"])
def test_one_image_where_several_go_is_refused(call: Any, frame: Any) -> None:
    """A frame (h, w, 3) would be h grey images."""
    with pytest.raises(ev.errors.InputError, match="for one image pass"):
        call(frame)
