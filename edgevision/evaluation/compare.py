"""compare(): which of two bundles is better, by how much, and whether that is more than noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgevision.bundle.storage import read_bundle
from edgevision.datasets.image_sets import ImageSet, SetFacts
from edgevision.errors import OptionError
from edgevision.evaluation.evaluate import (
    Ran,
    RunSettings,
    TruthPaths,
    opened,
    run_bundle,
)
from edgevision.evidence.document import comparison_document
from edgevision.metrics.comparison import Comparison, Metric
from edgevision.metrics.measures import MetricValue
from edgevision.metrics.paired_tests import mcnemar, paired_bootstrap, sign_flip
from edgevision.system.machine import now, this_machine
from edgevision.system.progress import Progress

#: A difference that chance alone makes less often than this is more than noise.
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Verdict:
    """Whether two models differ by more than noise.

    Attributes:
        metric: that they are judged by, the task's first; A is its source, B its artifact.
        test: ``mcnemar`` (exact, of hits), ``sign-flip`` (permutation, of means over images) or
            ``bootstrap`` (paired), all two-sided.
        p_value: how often chance alone would make such a difference.
        better: ``A``, ``B``, or `None` where the difference is no more than noise.
    """

    metric: Metric
    test: str
    p_value: float
    better: str | None


@dataclass(frozen=True)
class BundleComparison:
    """Two artifacts on the same images, whose truth is known.

    Attributes:
        created: when, UTC, ISO 8601.
        machine: what they were measured on.
        a, b: the artifacts, and what they ran on.
        data: the images.
        comparison: A as the source, B as the artifact.
        verdict: which is better.
    """

    created: str
    machine: Mapping[str, Any]
    a: Ran
    b: Ran
    data: SetFacts
    comparison: Comparison
    verdict: Verdict

    def to_dict(self) -> dict[str, Any]:
        """For JSON; in the comparison A is the source and B the artifact."""
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
        }


def compare(
    a: str | Path,
    b: str | Path,
    data: str | Path | ImageSet,
    *,
    a_on: RunSettings | None = None,
    b_on: RunSettings | None = None,
    annotations: str | Path | None = None,
    truth: str | Path | None = None,
    progress: Progress | None = None,
) -> BundleComparison:
    """Compare two bundles, or two artifacts of one, on images whose truth is known.

    Args:
        a, b: bundles of one task and with the same classes.
        data, annotations, truth, progress: as for `evaluate`.
        a_on, b_on: which artifact of each is run, and on what.

    Raises:
        OptionError: the two cannot be compared; else as `evaluate`.
    """
    _check_alike(Path(a), Path(b))
    images, told = opened(data), TruthPaths.of(annotations, truth)
    first = run_bundle(Path(a), images, a_on or RunSettings(), told, progress)
    second = run_bundle(Path(b), images, b_on or RunSettings(), told, progress)
    comparison = first.evaluator.compare(first.answers, second.answers)
    return BundleComparison(
        created=now(),
        machine=this_machine(),
        a=first.ran,
        b=second.ran,
        data=SetFacts(images.name, len(images), images.digest, labelled=True),
        comparison=comparison,
        verdict=judge_pair(comparison.metrics[0], first.measures.metrics[0], second.measures.metrics[0]),
    )


def judge_pair(metric: Metric, first: MetricValue, second: MetricValue) -> Verdict:
    """Whether the figures of two models, measured on the same images, differ by more than noise.

    Args:
        metric: made of the two.
        first, second: of one name.
    """
    test, p_value = _tested(first, second)
    better = None
    if p_value < SIGNIFICANCE and metric.drop != 0:
        better = "A" if metric.drop > 0 else "B"
    return Verdict(metric, test, p_value, better)


def _tested(first: MetricValue, second: MetricValue) -> tuple[str, float]:
    if first.per_image is not None and second.per_image is not None:
        if first.per_image.dtype == bool:
            return "mcnemar", mcnemar(first.per_image, second.per_image)
        return "sign-flip", sign_flip(first.per_image, second.per_image)
    if first.samples is None or second.samples is None:
        raise TypeError(f"{first.name}: the two figures are not of one kind")
    return "bootstrap", paired_bootstrap(first.samples, second.samples)


def _check_alike(a: Path, b: Path) -> None:
    first, second = read_bundle(a), read_bundle(b)
    tasks = first.manifest.task.name, second.manifest.task.name
    if tasks[0] != tasks[1]:
        raise OptionError(f"{a} has the task {tasks[0]}, {b} has {tasks[1]}; compare bundles of one task")
    if first.labels != second.labels:
        raise OptionError(
            f"{a} and {b} tell other classes apart, or in another order; compare bundles with the same labels"
        )
