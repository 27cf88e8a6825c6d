"""One step of `architectures.py`, in a process of its own: trains, converts or measures one network.

The argument is a JSON object; the last line of the output is the result, another JSON object.
"""

from __future__ import annotations

import inspect
import json
import resource
import shutil
import sys
import traceback
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from agreement import agreements
from architectures import PRECISIONS, RUNTIMES, Row, rows
from brief_training import Lesson, named
from cifar_pictures import cifar_pictures, gray, resized
from numpy.typing import NDArray

import edgevision
from edgevision import Budget, ConversionSettings, InputOptions, TaskOptions
from edgevision.artifact import Artifact
from edgevision.bundle.storage import read_bundle
from edgevision.datasets.image_sets import ImageSet
from edgevision.plugins import registry
from edgevision.session import CheckedSession, open_session
from edgevision.system.timing import interleave

_TRAINING_IMAGES = 20_000
_FLOAT32_IMAGES = 500
_LATENCY_SECONDS = 4.0


class Step:
    """The network, the images and the settings of a step.

    Args:
        order: as written by `architectures.Steps`.
    """

    def __init__(self, order: Mapping[str, Any]) -> None:
        self.row: Row = next(row for row in rows() if row.id == order["row"])
        self.folder = Path(order["work"], self.row.id)
        self.data = Path(order["shared"], "data")
        self.models = Path(order["shared"], "models")
        self.images: int = order["images"]
        self.calibration: int = order["calibration"]
        self.train_seconds: float = order["train_seconds"]
        self.folder.mkdir(exist_ok=True)

    @property
    def source(self) -> Path:
        """The trained model: a file, or a SavedModel where Keras cannot load the file that it writes."""
        saved = self.folder / "source.keras"
        return saved if saved.exists() else self.folder / "source"

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What the training says of the network."""
        facts: dict[str, Any] = json.loads((self.folder / "network.json").read_text())
        return facts

    @cached_property
    def evaluation(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The evaluation images in the size of the network, and their classes."""
        images, classes = cifar_pictures(self.data / "cifar10-test.zip", self.images)
        return resized(images, *self.row.size_wh), classes

    @cached_property
    def calibration_set(self) -> ImageSet:
        """The calibration images."""
        images, classes = cifar_pictures(self.data / "cifar10-train.zip", self.calibration)
        return ImageSet.from_arrays(resized(images, *self.row.size_wh), classes, name="CIFAR-10, training")

    def inputs(self, count: int | None = None) -> NDArray[np.float32]:
        """Network inputs of the evaluation images: (n, h, w, channels) float32."""
        pictures = self.evaluation[0][:: max(1, self.images // count)] if count else self.evaluation[0]
        if self.facts["channels"] == 1:
            pictures = gray(pictures)
        return pictures.astype(np.float32) * np.float32(self.facts["white"] / 255)


def train(step: Step) -> dict[str, Any]:
    """Build and train the network, and keep its own answers on the evaluation images."""
    from architecture_networks import build

    images, classes = cifar_pictures(step.data / "cifar10-train.zip", _TRAINING_IMAGES)
    network = build(step.row)
    network.teach(Lesson(images, classes, step.row.size_wh, network.white), step.train_seconds)
    facts = {
        "kind": network.kind,
        "white": network.white,
        "channels": network.channels,
        "stated_range": network.stated_range,
        "parameters": network.model.count_params(),
    }
    (step.folder / "network.json").write_text(json.dumps(facts))
    network.save(step.folder)
    answers = _keras_answers(network.model, step.inputs())
    np.savez(step.folder / "reference.npz", **answers)
    return {**facts, **network.quality(step.evaluation, answers)}


def _keras_answers(model: Any, inputs: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    parts = []
    for start in range(0, len(inputs), 100):
        answers = model(named(model, inputs[start : start + 100]), training=False)
        if not isinstance(answers, dict):
            many = answers if isinstance(answers, (list, tuple)) else [answers]
            answers = {f"{place}": value for place, value in enumerate(many)}
        parts.append({name: np.asarray(value) for name, value in answers.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def convert(step: Step, runtime: str, precision: str) -> dict[str, Any]:
    """Convert with EdgeVision, as a user does."""
    if step.facts["kind"] == "classes":
        artifact = _by_convert(step, runtime, precision)
    else:  # no task of EdgeVision has such answers: the converter alone
        source = _read(step)
        calibration = _calibration(step, source) if precision == "int8" else None
        artifact = _converter(runtime).convert(source, precision, calibration)
    _write(artifact, step.folder / runtime / precision)
    record = artifact.quantization
    return {"size": artifact.size_bytes, "recipe": "" if record is None else record.recipe}


def _by_convert(step: Step, runtime: str, precision: str) -> Artifact:
    stated = step.facts["stated_range"]
    task = TaskOptions(image=InputOptions(value_range=None if stated is None else tuple(stated)))
    evaluation, classes = step.evaluation
    few = slice(None, None, max(1, step.images // _FLOAT32_IMAGES))
    bundle = step.folder / f"{runtime}-{precision}.evb"
    edgevision.convert(
        step.source,
        bundle,
        targets=[RUNTIMES[runtime]],
        precisions=[precision],
        calibration=step.calibration_set if precision == "int8" else None,
        evaluation=ImageSet.from_arrays(evaluation[few], classes[few], name="CIFAR-10, test"),
        settings=ConversionSettings(
            task=task, budget=Budget(min_agreement=0.0), force=True, pictures=False, **_trust(step)
        ),
    )
    opened = read_bundle(bundle)
    artifact = opened.artifact(opened.manifest.artifacts[0])
    shutil.rmtree(bundle)
    return artifact


def _trust(step: Step) -> dict[str, Any]:
    """The setting by which the layers of KerasHub are loaded."""
    if not step.row.from_hub:
        return {}
    names = inspect.signature(ConversionSettings).parameters
    return {"imports": ("keras_hub",)} if "imports" in names else {"trust_source": True}


def plain(step: Step, runtime: str, precision: str) -> dict[str, Any]:
    """Convert with the usual converter of the format."""
    source = _read(step)
    converter = _converter(runtime)
    if not hasattr(converter, "convert_plain"):
        raise NotImplementedError(f"{converter.name} has no convert_plain")
    artifact = converter.convert_plain(source, precision, _calibration(step, source))
    _write(artifact, step.folder / runtime / "plain")
    return {"size": artifact.size_bytes}


def _read(step: Step) -> Any:
    reader = next(reader for reader in registry().readers().values() if reader.reads(step.source))
    arguments: dict[str, Any] = {"trust_source": step.row.from_hub, "input_size_wh": None}
    if "imports" in inspect.signature(reader.read).parameters:
        arguments |= {"imports": ("keras_hub",) if step.row.from_hub else (), "trust_source": False}
    return reader.read(step.source, **arguments)


def _converter(runtime: str) -> Any:
    return next(each for each in registry().converters().values() if each.format == runtime)


def _calibration(step: Step, source: Any) -> list[dict[str, NDArray[np.float32]]]:
    (spec,) = source.inputs
    images = np.stack(list(step.calibration_set))
    if step.facts["channels"] == 1:
        images = gray(images)
    values = images.astype(np.float32) * np.float32(step.facts["white"] / 255)
    return [{spec.name: value[None]} for value in values]


def _write(artifact: Artifact, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in artifact.files.items():
        (folder / name).write_bytes(content)


def measure(step: Step, runtime: str) -> dict[str, Any]:
    """Compare the artifacts with Keras, and with each other in time."""
    reference = dict(np.load(step.folder / "reference.npz"))
    result: dict[str, Any] = {}
    hits, sessions = {}, {}
    for made in (*PRECISIONS, "plain"):
        folder = step.folder / runtime / made
        if not folder.exists():
            continue
        session = _open(runtime, folder)
        sessions[made] = session
        inputs = step.inputs(_FLOAT32_IMAGES if made == "float32" else None)
        answers = _answers(session, inputs)
        rarer = max(1, step.images // _FLOAT32_IMAGES) if made == "float32" else 1
        expected = {name: values[::rarer] for name, values in reference.items()}
        hits[made] = agreements(step.facts["kind"], expected, answers)
        result[made] = {"agreement": float(hits[made].mean()), **_accuracy(step, answers, rarer)}
    if {"int8", "plain"} <= hits.keys():
        np.savez_compressed(step.folder / f"hits-{runtime}.npz", ours=hits["int8"], plain=hits["plain"])
        result["difference"] = _difference(hits["int8"], hits["plain"])
    one = step.inputs(1)[:1]
    calls = {made: _call(session, one) for made, session in sessions.items()}
    for made, times in interleave(calls, _LATENCY_SECONDS).items():
        result[made]["cpu_us"], result[made]["least_us"] = times.cpu_us, times.least_wall_us
    return result


def _open(runtime: str, folder: Path) -> CheckedSession:
    files = {
        path.name: path.read_bytes()
        for path in sorted(folder.iterdir(), key=lambda path: path.suffix != ".xml")
    }
    artifact = Artifact(runtime, "unknown", files)
    return open_session(registry().backend(runtime), artifact, edgevision.SessionSettings(threads=1))


def _call(session: CheckedSession, image: NDArray[np.float32]) -> Any:
    (spec,) = session.inputs
    inputs = {spec.name: spec.quantize(image)}
    return lambda: session.run(inputs)


def _answers(session: CheckedSession, inputs: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    (spec,) = session.inputs
    parts = [session.run({spec.name: spec.quantize(image[None])}) for image in inputs]
    return {
        spec.name: spec.dequantize(np.concatenate([part[spec.name] for part in parts]))
        for spec in session.outputs
    }


def _accuracy(step: Step, answers: Mapping[str, Any], rarer: int) -> dict[str, float]:
    if step.facts["kind"] != "classes":
        return {}
    (scores,) = answers.values()
    return {"accuracy": float((scores.argmax(1) == step.evaluation[1][::rarer]).mean())}


def _difference(ours: NDArray[Any], usual: NDArray[Any]) -> list[float]:
    """Agreement of ours minus that of the usual converter, with the limits of its 95 % interval."""
    from edgevision.metrics.intervals import newcombe, percentile, resampled_sums

    if ours.dtype == bool:
        interval = newcombe(ours, usual)
    else:
        interval = percentile(resampled_sums(ours - usual) / len(ours))
    return [float(ours.mean() - usual.mean()), interval.low, interval.high]


def _peak_memory_mb() -> float:
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(each).ru_maxrss for each in whose) / 1024


def main() -> None:
    """Do the step, and print its result."""
    order = json.loads(sys.argv[1])
    kind, *words = order["step"]
    try:
        result = {
            "error": None,
            **{"train": train, "convert": convert, "plain": plain, "measure": measure}[kind](
                Step(order), *words
            ),
        }
    except Exception as error:
        traceback.print_exc()
        result = {"error": f"{type(error).__name__}: {error}"[:600]}
    print(json.dumps({**result, "peak_mb": _peak_memory_mb()}))


if __name__ == "__main__":
    main()
