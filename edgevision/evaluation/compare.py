"""compare(): the better of two models, by how much, and whether the difference is significant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgevision.calibration.dependent_images import dependence_findings
from edgevision.calibration.findings import Finding
from edgevision.datasets.groups import GroupSource
from edgevision.datasets.image_sets import ImageSet, SetFacts
from edgevision.errors import OptionError
from edgevision.evaluation.ground_truth import GroundTruthPaths
from edgevision.evaluation.model_facts import ModelFacts
from edgevision.evaluation.open_model import ArtifactRun, Measuring, MeasuringHere, RunSettings, open_model
from edgevision.evaluation.run import Images, open_images
from edgevision.evidence.document import comparison_document
from edgevision.metrics.comparison import Comparison, Metric
from edgevision.metrics.measures import Measures, MetricValue, significance
from edgevision.plugins import registry
from edgevision.system.arguments import callback, instance, one_path
from edgevision.system.machine import now, this_machine
from edgevision.system.progress import Progress

#: Significance level: a difference with a p-value below it is more than noise.
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class PairedTestResult:
    """A paired significance test of two models on the same images.

    Attributes:
        metric: the first metric of the task; A is its source, B its artifact.
        test: ``mcnemar`` (exact, for hits), or ``gaffke`` (of the mean of a bounded variable); both are
            two-sided, hold their level at any number of images, and are significant where the interval of the
            drop excludes 0.
        p_value: the probability of a difference this large by chance.
        better: ``A``, ``B``, or `None` if the difference is not significant.
    """

    metric: Metric
    test: str
    p_value: float
    better: str | None


@dataclass(frozen=True)
class BundleComparison:
    """The comparison of two artifacts on the same images with ground truth.

    Attributes:
        created: UTC time, ISO 8601.
        machine: the machine that they were measured on.
        a, b: the artifacts, with backend and device.
        data: the images.
        comparison: A as the source, B as the artifact.
        verdict: the significance test.
        findings: as for `Evaluation`.
    """

    created: str
    machine: Mapping[str, Any]
    a: ArtifactRun
    b: ArtifactRun
    data: SetFacts
    comparison: Comparison
    verdict: PairedTestResult
    findings: tuple[Finding, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON values; A is the source and B the artifact."""
        verdict = {
            "metric": self.verdict.metric.name,
            "test": self.verdict.test,
            "p_value": self.verdict.p_value,
            "better": self.verdict.better,
        }
        return {
            "created": self.created,
            "machine": dict(self.machine),
            "a": asdict(self.a),
            "b": asdict(self.b),
            "data": asdict(self.data),
            "verdict": verdict,
            "comparison": comparison_document(self.comparison),
            "findings": [asdict(finding) for finding in self.findings],
        }


def compare(  # noqa: PLR0913 - as `evaluate`, for two
    a: str | Path,
    b: str | Path,
    data: Images,
    *,
    a_on: RunSettings | None = None,
    b_on: RunSettings | None = None,
    annotations: str | Path | None = None,
    truth: str | Path | None = None,
    groups: GroupSource | None = None,
    progress: Progress | None = None,
) -> BundleComparison:
    """Compare two models, or two artifacts of one bundle, on images with ground truth.

    Args:
        a, b: bundles, or bare model files (see `RunSettings.bare`), with the same task and the same classes.
        data, annotations, truth, groups, progress: as for `evaluate`.
        a_on, b_on: the artifact of each to run, its backend and device.

    Raises:
        OptionError: the two cannot be compared; else as `evaluate`.
    """
    a, b = one_path(a, "a"), one_path(b, "b")
    a_on = RunSettings() if a_on is None else instance(a_on, RunSettings, "a_on")
    b_on = RunSettings() if b_on is None else instance(b_on, RunSettings, "b_on")
    images, paths = open_images(data, groups).distinct(), GroundTruthPaths.of(annotations, truth)
    callback(progress, "progress")
    return compare_on(MeasuringHere(), (a, a_on), (b, b_on), images, paths, progress)


def compare_on(
    measuring: Measuring,
    a: tuple[Path, RunSettings],
    b: tuple[Path, RunSettings],
    images: ImageSet,
    paths: GroundTruthPaths,
    progress: Progress | None,
) -> BundleComparison:
    """As `compare`, with what runs the models over the images.

    Args:
        measuring: it.
        a, b: bundle or bare file, and what of it runs.
        images: without copies; see `ImageSet.distinct`.
        paths: ground truth that is stored apart from the images.
        progress: as for `compare`.

    Raises:
        EdgeVisionError: as `compare`.
    """
    plugins = registry()
    with open_model(*_for(a, images), plugins) as model_a, open_model(*_for(b, images), plugins) as model_b:
        _check_comparable(model_a.facts, model_b.facts)
        first = model_a.answers(images, paths, progress, measuring)
        second = model_b.answers(images, paths, progress, measuring)
    measures = first.measures, second.measures
    _check_same_metric(*measures)
    comparison = first.evaluator.compare(first.answers, second.answers)
    preprocessing = first.evaluator.preprocessing
    return BundleComparison(
        created=now(),
        machine=this_machine(),
        a=model_a.run,
        b=model_b.run,
        data=SetFacts.of(images, labelled=True),
        comparison=comparison,
        verdict=paired_test(comparison.metrics[0], *(one.metrics[0] for one in measures)),
        findings=() if preprocessing is None else dependence_findings(images, preprocessing.mapping),
    )


def _for(model: tuple[Path, RunSettings], images: ImageSet) -> tuple[Path, ImageSet, RunSettings]:
    return model[0], images, model[1]


def paired_test(metric: Metric, first: MetricValue, second: MetricValue) -> PairedTestResult:
    """Test whether the metrics of two models, measured on the same images, differ significantly.

    Args:
        metric: the pair of the two metrics.
        first, second: metrics with the same name.
    """
    test, p_value = significance(first, second)
    better = None
    if p_value < SIGNIFICANCE and metric.drop != 0:
        better = "A" if metric.drop > 0 else "B"
    return PairedTestResult(metric, test, p_value, better)


def _check_same_metric(a: Measures, b: Measures) -> None:
    """Refuse models whose answers are judged differently, such as one class per image, or several."""
    first, second = a.metrics[0].name, b.metrics[0].name
    if first != second:
        raise OptionError(
            f"a is measured by its {first}, b by its {second}: their outputs mean different things, such as "
            "the scores of a softmax and of a sigmoid; compare models with the same kind of output"
        )


def _check_comparable(a: ModelFacts, b: ModelFacts) -> None:
    if a.task.name != b.task.name:
        raise OptionError(
            f"{a.path} has the task {a.task.name}, {b.path} has {b.task.name}; "
            f"compare models with the same task"
        )
    if a.labels != b.labels:
        raise OptionError(
            f"{a.path} and {b.path} have different classes, or the same in a different order; "
            f"compare models with the same labels"
        )
