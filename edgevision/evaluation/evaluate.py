"""evaluate(): what a bundle reaches on images whose truth is known, on the device in hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.backend import SessionSettings
from edgevision.bundle.storage import Bundle, read_bundle
from edgevision.datasets.image_sets import ImageSet, SetFacts
from edgevision.evaluation.evaluator import MeasuringEvaluator
from edgevision.evaluation.for_bundle import evaluator_for_bundle
from edgevision.evaluation.run import measure, workers_on
from edgevision.loading.load import choose_artifact
from edgevision.metrics.comparison import MOST_IMAGES
from edgevision.metrics.measures import ClassMetricValues, Measures, MetricValue
from edgevision.plugins import registry
from edgevision.session import open_session
from edgevision.system.machine import now, this_machine
from edgevision.system.progress import Progress
from edgevision.tasks.description import Task
from edgevision.tasks.score_calibration import ScoreCalibration


@dataclass(frozen=True)
class RunSettings:
    """Which artifact of a bundle is run, and on what; as the arguments of `edgevision.load`.

    Attributes:
        backend, device, precision: what must run; `None` takes what `load` would.
        settings: threads, and what else `load` takes; its device is `device`.
        tune: as for `load`.
    """

    backend: str | None = None
    device: str | None = None
    precision: str | None = None
    settings: SessionSettings = field(default_factory=SessionSettings)
    tune: bool | None = None


@dataclass(frozen=True)
class Ran:
    """One artifact, and what it ran on.

    Attributes:
        bundle: the bundle's path.
        artifact: its id in the bundle.
        sha256, size_bytes: of the artifact.
        backend, version, device, precision: as in the evidence.
        score_calibration: of a classifier, where it has one: what it is measured at.
    """

    bundle: str
    artifact: str
    sha256: str
    size_bytes: int
    backend: str
    version: str
    device: str
    precision: str
    score_calibration: ScoreCalibration | None = None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What one artifact reaches on images whose truth is known.

    Attributes:
        created: when, UTC, ISO 8601.
        machine: what it was measured on.
        ran: the artifact, and what it ran on.
        task: what the bundle does, with its thresholds.
        labels: one name a class.
        data: the images.
        image_names: one an image.
        measures: what it reaches, in the terms of the evidence.
        answers: one an image: float32 scores ``(classes,)``, `Detections`, or the image that was made.
    """

    created: str
    machine: Mapping[str, Any]
    ran: Ran
    task: Task
    labels: tuple[str, ...]
    data: SetFacts
    image_names: tuple[str, ...]
    measures: Measures
    answers: Sequence[Any] = field(repr=False)

    def figure(self, name: str) -> MetricValue:
        """The figure called `name`.

        Raises:
            KeyError: it was not measured.
        """
        for figure in self.measures.metrics:
            if figure.name == name:
                return figure
        raise KeyError(name)

    def worst(self, count: int) -> list[int]:
        """Places of up to `count` images that it got wrong, the worst first."""
        errors = self.measures.errors
        order = np.argsort(-errors, kind="stable")[:count]
        return [int(place) for place in order if errors[place] > 0]

    def to_dict(self) -> dict[str, Any]:
        """For JSON; of the images it got wrong the worst, and how many there were."""
        measures = self.measures
        wrong = [
            {"image": self.image_names[place], "error": round(float(measures.errors[place]), 6)}
            for place in self.worst(MOST_IMAGES)
        ]
        return {
            "created": self.created,
            "machine": dict(self.machine),
            **asdict(self.ran),
            "task": self.task.name,
            "labels": list(self.labels),
            "data": asdict(self.data),
            "figures": [_figure_document(one) for one in measures.metrics],
            "by_class": [_class_document(one) for one in measures.by_class],
            "confusion": None if measures.confusion is None else asdict(measures.confusion),
            "reliability": None if measures.reliability is None else asdict(measures.reliability),
            "wrong": int((measures.errors > 0).sum()),
            "worst": wrong,
            "notes": list(measures.notes),
        }


def evaluate(
    bundle: str | Path,
    data: str | Path | ImageSet,
    on: RunSettings | None = None,
    *,
    annotations: str | Path | None = None,
    truth: str | Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a bundle on images whose truth is known, in the terms of the evidence.

    Args:
        bundle: a bundle.
        data: the images: a folder a class for a classifier, else a folder, or a zip of either.
            ``ImageSet.open(path).sample(500)`` is a part of one.
        on: which of its artifacts is run, and on what.
        annotations: of a detector: the objects in the images, as COCO JSON or a folder of VOC XML.
        truth: of a network that makes images: what it should make, under the same names.
        progress: told (what is being done, images done, images in all).

    Raises:
        BundleError: the bundle is damaged.
        OptionError: an option is wrong, or the one that tells the truth is missing.
        InputError: an image or the truth cannot be used, or nothing tells the truth.
        PluginError, MissingRuntimeError, DeviceError: what was asked for cannot be had here.
        ArtifactError, InferenceError: the runtime refuses the artifact, or fails.
    """
    images = opened(data)
    told = TruthPaths.of(annotations, truth)
    run = run_bundle(Path(bundle), images, on or RunSettings(), told, progress)
    return Evaluation(
        created=now(),
        machine=this_machine(),
        ran=run.ran,
        task=run.evaluator.task,
        labels=run.evaluator.labels,
        data=SetFacts(images.name, len(images), images.digest, labelled=True),
        image_names=images.image_names,
        measures=run.measures,
        answers=run.answers,
    )


@dataclass(frozen=True)
class TruthPaths:
    """Where the truth is told, beside the folders that the images lie in."""

    annotations: Path | None = None
    truth: Path | None = None

    @classmethod
    def of(cls, annotations: str | Path | None, truth: str | Path | None) -> TruthPaths:
        """From what a caller gives."""
        return cls(*(None if path is None else Path(path) for path in (annotations, truth)))


@dataclass(frozen=True, eq=False)
class BundleRun:
    """The answers of one artifact of a bundle."""

    bundle: Bundle
    ran: Ran
    evaluator: MeasuringEvaluator
    answers: Sequence[Any]

    @property
    def measures(self) -> Measures:
        """What the answers reach."""
        measures = self.evaluator.measure(self.answers)
        if measures is None:
            raise TypeError("a bundle's evaluator knows the truth")
        return measures


def run_bundle(
    path: Path,
    images: ImageSet,
    on: RunSettings,
    told: TruthPaths,
    progress: Progress | None = None,
) -> BundleRun:
    """Run one artifact of a bundle over images; raises as `evaluate`."""
    bundle, plugins = read_bundle(path), registry()
    asked = replace(on.settings, device=on.device or on.settings.device)
    choice = choose_artifact(bundle, on.backend, asked, on.precision, plugins, on.tune)
    # What `load` would take, but with threads as many calls at once share them.
    workers, settings = workers_on(images, asked)
    evaluator = evaluator_for_bundle(bundle, choice.entry, images, told.annotations, told.truth, plugins)
    artifact = bundle.artifact(choice.entry)
    with closing(open_session(choice.backend, artifact, settings)) as session:
        stage = f"measuring {path.name} {choice.entry.id}"

        def tell(done: int) -> None:
            if progress is not None:
                progress(stage, done, len(images))

        (answers,) = measure(evaluator, [evaluator.model(session)], images, tell, workers)
        ran = Ran(
            str(path),
            choice.entry.id,
            artifact.sha256,
            artifact.size_bytes,
            session.backend,
            choice.backend.version(),
            session.device,
            session.precision,
            choice.entry.score_calibration,
        )
    return BundleRun(bundle, ran, evaluator, answers)


def opened(data: str | Path | ImageSet) -> ImageSet:
    """The images that a caller names.

    Raises:
        InputError: they cannot be read.
    """
    return data if isinstance(data, ImageSet) else ImageSet.open(Path(data))


def _figure_document(one: MetricValue) -> dict[str, Any]:
    return {"name": one.name, "value": one.value, "unit": one.unit, "interval": asdict(one.interval)}


def _class_document(one: ClassMetricValues) -> dict[str, Any]:
    figures = [_figure_document(figure) for figure in one.metrics]
    return {"label": one.label, "support": one.support, "figures": figures}
