"""Checks that an exported file answers as the bundle's artifact does, on the bundle's known images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevision.artifact import Artifact
from edgevision.backend import Backend, SessionSettings
from edgevision.bundle.answers_on_session import answers_of
from edgevision.bundle.known_answers import KnownImages
from edgevision.bundle.manifest import ArtifactEntry
from edgevision.bundle.storage import Bundle
from edgevision.errors import ConversionError, DeviceError, PluginError
from edgevision.loading.bare import BareModel
from edgevision.loading.choice import backends_of_format
from edgevision.loading.described import described_model
from edgevision.loading.first_load import check_opens
from edgevision.loading.own_description import own_description
from edgevision.plugins import Registry
from edgevision.session import open_session
from edgevision.tasks.task_model import model_of_task

if TYPE_CHECKING:
    from edgevision.tasks.detections import Detections

#: Of a score. The network is the same; only what was appended rounds otherwise.
_LARGEST_DIFFERENCE = 0.02
#: Of the intersection over union of the same box.
_LEAST_OVERLAP = 0.9


def check_answers(
    bundle: Bundle, entry: ArtifactEntry, exported: Artifact, plugins: Registry
) -> tuple[str, float]:
    """Compare the answers of an exported file with those of the artifact that it was made from.

    Returns:
        The backend that ran both, and the largest difference of a score.

    Raises:
        PluginError: no backend on this machine runs both.
        ConversionError: an answer differs.
    """
    manifest = bundle.manifest
    known = answers_of(bundle).known_inputs
    if not isinstance(known, KnownImages):
        raise ConversionError(f"{entry.id}: takes no image, so its export cannot be checked")
    backend = _backend(exported, plugins)
    description = own_description(exported, plugins)
    if description is None:
        raise ConversionError(f"{entry.id}: the exported file does not describe itself; nothing was written")
    images, own = list(known.images), bundle.artifact(entry)
    for artifact in (own, exported):
        check_opens(f"{bundle.path}: {entry.id}", artifact, backend, SessionSettings())
    with open_session(backend, own, SessionSettings()) as session:
        model = model_of_task(
            session,
            manifest.task,
            manifest.preprocessing,
            bundle.labels,
            entry.score_calibration,
            plugins,
        )
        expected = [_answer(model, image) for image in images]
    with open_session(backend, exported, SessionSettings()) as session:
        written = described_model(Path(exported.name), session, description, BareModel(), plugins)
        found = [_answer(written, image) for image in images]
    difference = max(_difference(one, other) for one, other in zip(expected, found, strict=True))
    if not difference <= _LARGEST_DIFFERENCE:
        raise ConversionError(
            f"{entry.id}: the exported file does not give the bundle's answers on {backend.name}: a score is "
            f"off by {difference:.3g} (allowed: {_LARGEST_DIFFERENCE:g}); nothing was written"
        )
    return backend.name, difference


def _backend(artifact: Artifact, plugins: Registry) -> Backend:
    """A backend of this machine that runs the format, one with that format as its own if possible."""
    reasons = []
    for name in backends_of_format(artifact.format, plugins):
        try:
            return plugins.available_backend(name)
        except (PluginError, DeviceError) as error:
            reasons.append(f"{name}: {error}")
    raise PluginError(
        f"no backend on this machine runs {artifact.format}, so the export cannot be checked: "
        f"{'; '.join(reasons)}"
    )


def _answer(model: Any, image: Any) -> Any:
    return model.scores([image])[0] if hasattr(model, "scores") else model(image)


def _difference(expected: Any, found: Any) -> float:
    """The largest difference of a score; 1 where something was found by one alone."""
    if isinstance(expected, np.ndarray):
        return float(np.abs(expected - found).max())
    return max(_missed(expected, found), _missed(found, expected))


def _missed(these: Detections, others: Detections) -> float:
    """The largest difference of a score of `these` to the same box among `others`.

    A box that only just reached the threshold may be missing there.
    """
    largest = 0.0
    lowest = float(these.scores.min()) if len(these) else 0.0
    for box, score, class_id in zip(these.boxes_xyxy, these.scores, these.class_ids, strict=True):
        same = [
            abs(float(score) - float(other_score))
            for other, other_score, other_class in zip(
                others.boxes_xyxy, others.scores, others.class_ids, strict=True
            )
            if other_class == class_id and _overlap(box, other) >= _LEAST_OVERLAP
        ]
        if same:
            largest = max(largest, min(same))
        elif score > lowest + _LARGEST_DIFFERENCE:
            return 1.0
    return largest


def _overlap(box: Any, other: Any) -> float:
    """Intersection over union of two boxes, left, top, right, bottom."""
    low, high = np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])
    common = float(np.prod(np.maximum(high - low, 0)))
    total = float(np.prod(box[2:] - box[:2]) + np.prod(other[2:] - other[:2])) - common
    return common / total if total > 0 else 1.0
