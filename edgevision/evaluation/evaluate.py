"""evaluate(): the metrics of a bundle on images with ground truth, on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.calibration.dependent_images import dependence_findings
from edgevision.calibration.findings import Finding
from edgevision.datasets.groups import GroupSource
from edgevision.datasets.image_sets import ImageSet, SetFacts
from edgevision.errors import InputError
from edgevision.evaluation.ground_truth import GroundTruthPaths
from edgevision.evaluation.open_model import ArtifactRun, Measuring, MeasuringHere, RunSettings, open_model
from edgevision.evaluation.run import Images, open_images
from edgevision.imaging.find import LeftOut
from edgevision.imaging.levels import ValueMapping
from edgevision.metrics.comparison import MOST_IMAGES
from edgevision.metrics.measures import ClassMetricValues, Measures, MetricValue
from edgevision.plugins import registry
from edgevision.system.arguments import callback, instance, one_path, whole_number
from edgevision.system.machine import now, this_machine
from edgevision.system.progress import Progress
from edgevision.tasks.description import Task

_PLAIN = ValueMapping()


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The metrics of one artifact on images with ground truth.

    Attributes:
        created: UTC time, ISO 8601.
        machine: the machine that it was measured on.
        run: the artifact, with backend and device.
        task: the task of the bundle, with its thresholds.
        labels: one name per class.
        data: the images.
        image_names: one per image.
        measures: the metrics, as in the evidence.
        answers: one per image: float32 scores ``(classes,)``, `Detections`, or the generated image.
        left_out: files of the folder or archive that were not used, with the reasons; images that cannot be
            decoded, too.
        mapping: how the values of images became black and white.
        evaluator: what measured them, with the ground truth.
        findings: what the images show of how they depend on each other: copies, frames of one file, and
            near-duplicates in different groups.
    """

    created: str
    machine: Mapping[str, Any]
    run: ArtifactRun
    task: Task
    labels: tuple[str, ...]
    data: SetFacts
    image_names: tuple[str, ...]
    measures: Measures
    answers: Sequence[Any] = field(repr=False)
    left_out: tuple[LeftOut, ...] = field(default=(), repr=False)
    mapping: ValueMapping = _PLAIN
    findings: tuple[Finding, ...] = ()
    evaluator: Any = field(default=None, repr=False)

    def metric(self, name: str) -> MetricValue:
        """The metric called `name`.

        Raises:
            KeyError: it was not measured.
        """
        for metric in self.measures.metrics:
            if metric.name == name:
                return metric
        raise KeyError(name)

    def worst(self, count: int) -> list[int]:
        """Places of up to `count` images with errors, the largest error first.

        Raises:
            OptionError: `count` is not a whole number of 0 or more.
        """
        errors, count = self.measures.errors, whole_number(count, "count", least=0)
        order = np.argsort(-errors, kind="stable")[:count]
        return [int(place) for place in order if errors[place] > 0]

    def to_dict(self) -> dict[str, Any]:
        """The evaluation as JSON values, with the number of images with errors and the worst of them."""
        measures = self.measures
        worst = [
            {"image": self.image_names[place], "error": round(float(measures.errors[place]), 6)}
            for place in self.worst(MOST_IMAGES)
        ]
        return {
            "created": self.created,
            "machine": dict(self.machine),
            **asdict(self.run),
            "task": self.task.name,
            "labels": list(self.labels),
            "data": asdict(self.data),
            "metrics": [_metric_document(metric) for metric in measures.metrics],
            "by_class": [_class_document(row) for row in measures.by_class],
            "confusion": None if measures.confusion is None else asdict(measures.confusion),
            "reliability": None if measures.reliability is None else asdict(measures.reliability),
            "wrong": int((measures.errors > 0).sum()),
            "worst": worst,
            "notes": list(measures.notes),
            "findings": [asdict(finding) for finding in self.findings],
            "left_out": [{"file": str(path), "reason": reason} for path, reason in self.left_out],
        }


def evaluate(
    bundle: str | Path,
    data: Images,
    on: RunSettings | None = None,
    *,
    annotations: str | Path | None = None,
    truth: str | Path | None = None,
    groups: GroupSource | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a model on images with ground truth, with the metrics of the evidence.

    Images that cannot be decoded are not measured; they are among the result's `left_out`. Byte-identical
    copies count once.

    Args:
        bundle: a bundle; or a bare model file, described by itself and by `RunSettings.bare`.
        data: the images: one folder per class for a classifier, else a folder, or a zip of either.
            ``ImageSet.open(path).sample(500)`` is a random sample of one.
        on: the artifact to run, its backend and device.
        annotations: for a detector: the objects in the images, as COCO JSON or a folder of VOC XML.
        truth: for a model that generates images: the expected images, under the same names.
        groups: which images belong together, of one patient, video or site: ``folder:1``,
            ``pattern:{group}_*``, ``file``, a CSV file with the columns image,group, or one group per image;
            see `ImageSet.grouped`.
        progress: called after each block with (stage, images done, images in total).

    Raises:
        BundleError: the bundle is damaged.
        OptionError: an option is wrong, or `annotations` or `truth` is missing.
        InputError: an image or the ground truth cannot be used, or the images have no labels.
        PluginError, MissingRuntimeError, DeviceError: the requested backend or device is not available.
        ArtifactError, InferenceError: the runtime refuses the artifact, or fails.
    """
    path, images = one_path(bundle, "bundle"), open_images(data, groups).distinct()
    paths = GroundTruthPaths.of(annotations, truth)
    callback(progress, "progress")
    settings = RunSettings() if on is None else instance(on, RunSettings, "on")
    return evaluate_on(MeasuringHere(), path, images, settings, paths, progress)


def evaluate_on(
    measuring: Measuring,
    path: Path,
    images: ImageSet,
    on: RunSettings,
    paths: GroundTruthPaths,
    progress: Progress | None,
) -> Evaluation:
    """As `evaluate`, with what runs the model over the images.

    Args:
        measuring: it.
        path: the bundle or bare file.
        images: without copies; see `ImageSet.distinct`.
        on: as for `evaluate`.
        paths: ground truth that is stored apart from the images.
        progress: as for `evaluate`.

    Raises:
        EdgeVisionError: as `evaluate`.
    """
    with open_model(path, images, on, registry()) as opened:
        try:
            answers = opened.answers(images, paths, progress, measuring)
        except InputError:
            kept = measuring.readable(images)
            if not len(kept) or len(kept) == len(images):  # nothing is left, or the cause is another
                raise
            images = kept
            answers = opened.answers(images, paths, progress, measuring)
    preprocessing = answers.evaluator.preprocessing
    mapping = _PLAIN if preprocessing is None else preprocessing.mapping
    return Evaluation(
        created=now(),
        machine=this_machine(),
        run=opened.run,
        task=answers.evaluator.task,
        labels=answers.evaluator.labels,
        data=SetFacts.of(images, labelled=True),
        image_names=images.image_names,
        measures=answers.measures,
        answers=answers.answers,
        left_out=images.left_out,
        mapping=mapping,
        findings=dependence_findings(images, mapping),
        evaluator=answers.evaluator,
    )


def _metric_document(metric: MetricValue) -> dict[str, Any]:
    interval = None if metric.interval is None else asdict(metric.interval)
    document = {"name": metric.name, "value": metric.value, "unit": metric.unit, "interval": interval}
    return {**document, "lower_is_better": True} if metric.lower_is_better else document


def _class_document(row: ClassMetricValues) -> dict[str, Any]:
    metrics = [_metric_document(metric) for metric in row.metrics]
    return {"label": row.label, "support": row.support, "metrics": metrics}
