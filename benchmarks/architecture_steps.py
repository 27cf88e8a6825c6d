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
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from agreement import agreements
from architectures import PRECISIONS, RUNTIMES, Row, rows
from brief_training import Lesson, named
from cifar_pictures import Pictures, cifar_pictures, gray
from numpy.typing import NDArray
from row_pictures import Labelled, calibration_pictures, evaluation_pictures

import edgevision
from edgevision import Budget, ConversionSettings, InputOptions, TaskOptions
from edgevision.artifact import Artifact
from edgevision.bundle.storage import read_bundle
from edgevision.converter import SourceOptions
from edgevision.datasets.image_sets import ImageSet
from edgevision.plugins import registry
from edgevision.session import CheckedSession, open_session
from edgevision.system.timing import interleave

_TRAINING_IMAGES = 20_000
#: Images that float32 is compared on, and that `convert` is given for its own evidence.
_FEW_IMAGES = 500
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
        """The trained model."""
        return Path(self.facts["source"])

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Facts of the network from its training."""
        facts: dict[str, Any] = json.loads((self.folder / "network.json").read_text())
        return facts

    @cached_property
    def evaluation(self) -> Labelled:
        """The evaluation images."""
        return evaluation_pictures(self.row, self.data, self.images)

    @cached_property
    def calibration_images(self) -> Labelled:
        """The calibration images."""
        return calibration_pictures(self.row, self.data, self.calibration)

    @property
    def few(self) -> slice:
        """Selects a few of the evaluation images."""
        return slice(None, None, max(1, len(self.evaluation.images) // _FEW_IMAGES))

    def inputs(self, pictures: Pictures) -> NDArray[np.float32]:
        """Network inputs: (n, h, w, channels) float32."""
        low, high = self.facts["value_range"]
        values = (gray(pictures) if self.facts["channels"] == 1 else pictures).astype(np.float32)
        return values * np.float32((high - low) / 255) + np.float32(low)


def train(step: Step) -> dict[str, Any]:
    """Build and train the network, and keep its own answers on the evaluation images."""
    from architecture_networks import build

    network = build(step.row, step.models)
    if network.source is None:
        images, classes = cifar_pictures(step.data / "cifar10-train.zip", _TRAINING_IMAGES)
        network.teach(Lesson(images, classes, step.row.size_wh, network.value_range[1]), step.train_seconds)
    facts = {
        "source": str(network.source or network.save(step.folder)),
        "kind": network.kind,
        "value_range": network.value_range,
        "channels": network.channels,
        "is_stated": network.is_stated,
        "parameters": network.model.count_params(),
    }
    (step.folder / "network.json").write_text(json.dumps(facts))
    answers = _keras_answers(network.model, step.inputs(step.evaluation.images))
    np.savez(step.folder / "reference.npz", **answers)
    return {**facts, **_accuracy(network.kind, step.evaluation.classes, answers)}


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
        artifact, recipe = _by_convert(step, runtime, precision)
    else:  # no task of EdgeVision has such answers, or the artifact alone is compared here
        source = _read(step)
        calibration = _calibration(step, source) if precision == "int8" else None
        artifact, recipe = _converter(runtime).convert(source, precision, calibration), ""
    _write(artifact, step.folder / runtime / precision)
    return {"size": artifact.size_bytes, "recipe": recipe}


def _by_convert(step: Step, runtime: str, precision: str) -> tuple[Artifact, str]:
    stated = tuple(step.facts["value_range"]) if step.facts["is_stated"] else None
    images, classes = step.evaluation
    evaluation = Labelled(images[step.few], None if classes is None else classes[step.few])
    bundle = step.folder / f"{runtime}-{precision}.evb"
    evidence = edgevision.convert(
        step.source,
        bundle,
        targets=[RUNTIMES[runtime]],
        precisions=[precision],
        calibration=_image_set(step.calibration_images) if precision == "int8" else None,
        evaluation=_image_set(evaluation),
        settings=ConversionSettings(
            task=TaskOptions(image=InputOptions(value_range=stated)),
            budget=Budget(min_agreement=0.0),
            calibration_samples=None,
            pictures=False,
            force=True,
            **_trust(step),
        ),
    )
    opened = read_bundle(bundle)
    artifact = opened.artifact(opened.manifest.artifacts[0])
    shutil.rmtree(bundle)
    quantization = evidence.results[0].quantization
    return artifact, "" if quantization is None else quantization.recipe


def _image_set(pictures: Labelled) -> ImageSet:
    return ImageSet.from_arrays(pictures.images, pictures.classes, name="images")


def _trust(step: Step) -> dict[str, Any]:
    """The setting by which the layers of KerasHub are loaded."""
    if not step.row.from_hub or step.source.is_dir():
        return {}
    names = inspect.signature(ConversionSettings).parameters
    return {"imports": ("keras_hub",)} if "imports" in names else {"trust_source": True}


def plain(step: Step, runtime: str, precision: str) -> dict[str, Any]:
    """Convert with the usual converter of the format."""
    source = _read(step)
    artifact = _converter(runtime).convert_plain(source, precision, _calibration(step, source))
    _write(artifact, step.folder / runtime / "plain")
    return {"size": artifact.size_bytes}


def _read(step: Step) -> Any:
    reader = next(reader for reader in registry().readers().values() if reader.reads(step.source))
    imports = ("keras_hub",) if step.row.from_hub and step.source.is_file() else ()
    return reader.read_with_options(
        step.source, SourceOptions(imports=imports), trust_source=False, input_size_wh=None
    )


def _converter(runtime: str) -> Any:
    return next(each for each in registry().converters().values() if each.format == runtime)


def _calibration(step: Step, source: Any) -> list[dict[str, NDArray[np.float32]]]:
    (spec,) = source.inputs
    return [{spec.name: value[None]} for value in step.inputs(step.calibration_images.images)]


def _write(artifact: Artifact, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in artifact.files.items():
        (folder / Path(name).name).write_bytes(content)


def measure(step: Step, runtime: str) -> dict[str, Any]:
    """Compare the artifacts with Keras, and with each other in time."""
    kind, reference = step.facts["kind"], dict(np.load(step.folder / "reference.npz"))
    images, classes = step.evaluation
    result: dict[str, Any] = {}
    hits, sessions = {}, {}
    for made in (*PRECISIONS, "plain"):
        if not (step.folder / runtime / made).exists():
            continue
        session = sessions[made] = _open(runtime, step.folder / runtime / made)
        some = step.few if made == "float32" else slice(None)
        answers = _answers(session, step.inputs(images[some]))
        hits[made] = agreements(kind, {name: values[some] for name, values in reference.items()}, answers)
        right = _accuracy(kind, None if classes is None else classes[some], answers)
        result[made] = {"agreement": float(hits[made].mean()), **right}
    if {"int8", "plain"} <= hits.keys():
        result["difference"] = _difference(hits["int8"], hits["plain"])
    one = step.inputs(images[:1])
    calls = {made: _call(session, one) for made, session in sessions.items()}
    for made, times in interleave(calls, _LATENCY_SECONDS).items():
        result[made]["cpu_us"], result[made]["least_us"] = times.cpu_us, times.least_wall_us
    return result


def _open(runtime: str, folder: Path) -> CheckedSession:
    paths = sorted(folder.iterdir(), key=lambda path: path.suffix != ".xml")
    artifact = Artifact(runtime, "unknown", {path.name: path.read_bytes() for path in paths})
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


def _accuracy(
    kind: str, classes: NDArray[np.int64] | None, answers: Mapping[str, NDArray[np.float32]]
) -> dict[str, float]:
    """Of images, or of the pixels of a map; nothing where the classes are unknown."""
    if kind not in ("classes", "map") or classes is None:
        return {}
    (scores,) = answers.values()
    found = scores.argmax(-1)
    return {"accuracy": float((found == classes.reshape(-1, *[1] * (found.ndim - 1))).mean())}


def _difference(ours: NDArray[Any], usual: NDArray[Any]) -> list[float]:
    """Agreement of ours minus that of the usual converter, with the limits of its 95 % interval."""
    from edgevision.metrics.measures import drop_interval, mean_of, share_of

    of = share_of if ours.dtype == bool else mean_of
    interval = drop_interval(of("agreement", ours), of("agreement", usual))
    low, high = (-1.0, 1.0) if interval is None else (interval.low, interval.high)
    return [float(ours.mean() - usual.mean()), low, high]


def _peak_memory_mb() -> float:
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(each).ru_maxrss for each in whose) / 1024


_STEPS: dict[str, Callable[..., dict[str, Any]]] = {
    "train": train,
    "convert": convert,
    "plain": plain,
    "measure": measure,
}


def main() -> None:
    """Do the step, and print its result."""
    order = json.loads(sys.argv[1])
    kind, *words = order["step"]
    try:
        result = {"error": None, **_STEPS[kind](Step(order), *words)}
    except Exception as error:
        traceback.print_exc()
        result = {"error": f"{type(error).__name__}: {error}"[:600]}
    print(json.dumps({**result, "peak_mb": _peak_memory_mb()}))


if __name__ == "__main__":
    main()
