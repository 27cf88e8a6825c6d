"""The card of a model: what runs, and what its evidence says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgevision.bundle.storage import open_bundle
from edgevision.errors import EdgeVisionError
from edgevision.evidence.document import read_evidence
from edgevision.evidence.records import Measured
from edgevision.metrics.comparison import Metric
from edgevision.metrics.formatting import between, confidence_of, in_unit
from edgevision.streaming.stream import Stream
from edgevision.tasks.image_model import ImageModel
from edgevision.tasks.kind import kind_of

#: Rows of the card: those that a model is chosen by come first in the evidence.
_MOST_METRICS = 6


def card_of(path: Path, model: ImageModel[Any], stream: Stream[Any]) -> dict[str, Any]:
    """For the page, as JSON.

    Args:
        path: bundle that the model was loaded from, or a bare file, which has no evidence.
        model: it.
        stream: whose thresholds can be moved.
    """
    session = model.session
    preprocessing: Any = getattr(model, "preprocessing", None)  # of each task that takes images
    width, height = preprocessing.size_wh
    facts = [
        ["task", kind_of(model.task).activity],
        ["backend", session.backend],
        ["device", session.device],
        ["precision", session.precision],
        ["input", f"{width} x {height} pixels"],
    ]
    labels = getattr(model, "labels", ())
    if labels:
        facts.append(["classes", str(len(labels))])
    point = None if model.fitted_scores is None else model.fitted_scores.operating_point
    if point is not None:
        facts.append(["operating point", f"{point.positive} from {point.threshold:.4g}"])
    return {
        "name": path.resolve().name,
        "digest": model.bundle_digest,
        "facts": facts,
        "thresholds": _thresholds(model, stream),
        **_evidence(path, model),
    }


def _thresholds(model: ImageModel[Any], stream: Stream[Any]) -> list[dict[str, Any]]:
    """Arguments of a call that can be moved, with their present values."""
    point = None if model.fitted_scores is None else model.fitted_scores.operating_point
    if point is not None and "operating_threshold" in model.call_arguments:
        moved = stream.call.get("operating_threshold")
        return [
            {
                "name": "operating_threshold",
                "label": "operating point",
                "hint": f"{point.positive} is predicted from this score; evaluated was {point.threshold:.4g}",
                **{"least": 0.0, "most": 1.0, "step": 0.01},
                "value": point.threshold if moved is None else moved,
            }
        ]
    if "score_threshold" not in model.call_arguments:
        return []
    task, call = model.task, stream.call
    rows = (
        ("score_threshold", "lowest score", "objects with a lower score are left out", 0.0, 1.0, 0.01),
        (
            "iou_threshold",
            "overlap",
            "of two boxes of one class that overlap more, one is kept",
            0.0,
            1.0,
            0.01,
        ),
        ("max_detections", "most objects", "the best are kept", 1, max(100, task.max_detections), 1),
    )
    return [
        {
            **{"name": name, "label": label, "hint": hint, "least": least, "most": most, "step": step},
            "value": getattr(task, name) if call.get(name) is None else call[name],
        }
        for name, label, hint, least, most, step in rows
    ]


def _evidence(path: Path, model: ImageModel[Any]) -> dict[str, Any]:
    if model.bundle_digest is None:
        return {"metrics": [], "evidence": "a bare file, without evidence"}
    try:
        bundle = open_bundle(path, check_trust=False)  # it was checked when the model was loaded
        if bundle.digest != model.bundle_digest:
            return {"metrics": [], "evidence": "the bundle was replaced since the model was loaded"}
        text = bundle.read(bundle.manifest.evidence).decode("utf-8", "replace")
        evidence = read_evidence(text, str(path))
    except EdgeVisionError:
        return {"metrics": [], "evidence": "none that this release can read"}
    session = model.session
    precision = {entry.id: entry.precision for entry in bundle.manifest.artifacts}
    same = [one for one in evidence.results if precision.get(one.artifact) == session.precision]
    measured = next((one for one in same if one.backend == session.backend), None)
    if measured is None:
        return {"metrics": [], "evidence": f"none of {session.precision} on {session.backend}"}
    return {**_table(measured), "evidence": f"{evidence.evaluation.images} evaluation images"}


def _table(measured: Measured) -> dict[str, Any]:
    metrics = measured.comparison.metrics[:_MOST_METRICS]
    return {
        "artifact": measured.artifact,
        "interval": confidence_of(metric.artifact_interval for metric in metrics),
        "metrics": [_metric_row(metric) for metric in metrics],
    }


def _metric_row(metric: Metric) -> dict[str, str]:
    return {
        "name": metric.name,
        "value": in_unit(metric.artifact, metric.unit, [metric.source]),
        "interval": between(metric.artifact_interval, metric.unit),
        "source": in_unit(metric.source, metric.unit, [metric.artifact]),
    }
