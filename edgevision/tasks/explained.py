"""The explanation of one answer of a model: its image, its score, and the way back to the caller's pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.decoder import Floats
from edgevision.errors import OptionError
from edgevision.explaining.attribution import Attribution, MaskedRuns, Progress, ScoreOf, attribution
from edgevision.explaining.explanation import Explanation
from edgevision.explaining.faithfulness import ExplanationCurves, curves
from edgevision.explaining.perturbation import Perturbation
from edgevision.explaining.settings import ExplainSettings
from edgevision.imaging.frame import Frame
from edgevision.imaging.placement import placement_of
from edgevision.imaging.preprocess import Preprocessor
from edgevision.session import CheckedSession
from edgevision.system.arguments import array, instance
from edgevision.system.numeric import is_whole
from edgevision.system.shown import shown
from edgevision.tasks.base import where_it_ran


@dataclass(frozen=True, eq=False)
class Aim:
    """The score that is explained.

    Attributes:
        label, class_id: the class.
        score_of: its score, from the outputs of a run.
        preprocess: writes the image into a row of the network's input.
        box_xyxy: of the object, in pixels of the caller's image; `None` for a class.
    """

    label: str
    class_id: int
    score_of: ScoreOf
    preprocess: Preprocessor
    box_xyxy: tuple[float, float, float, float] | None = None


def settings_of(method: str | None, budget: Any, settings: ExplainSettings | None) -> ExplainSettings:
    """One object from the arguments of a call; what is named in the call wins.

    Raises:
        OptionError: a value is invalid.
    """
    settings = ExplainSettings() if settings is None else instance(settings, ExplainSettings, "settings")
    named = {"method": method, "budget": budget}
    return replace(settings, **{name: value for name, value in named.items() if value is not None})


def explained(
    session: CheckedSession,
    frame: Frame,
    aim: Aim,
    settings: ExplainSettings,
    progress: Progress | None,
    bundle_digest: str | None,
) -> Explanation:
    """The explanation of a score of one image, in pixels of that image."""
    runs = masked_runs(session, frame, aim, settings.fill)
    found = attribution(runs, settings, progress)
    return explanation_of(found, session, frame, aim, settings, bundle_digest)


def explanation_of(
    found: Attribution,
    session: CheckedSession,
    frame: Frame,
    aim: Aim,
    settings: ExplainSettings,
    bundle_digest: str | None = None,
) -> Explanation:
    """A map at the size of the network's input as one in pixels of the image."""
    return Explanation(
        over_image(found.map, aim.preprocess, frame.size_wh),
        aim.label,
        aim.class_id,
        found.score,
        found.hidden_score,
        aim.box_xyxy,
        found.samples,
        found.reliability,
        found.converged,
        settings,
        where_it_ran(session),
        bundle_digest,
    )


def masked_runs(session: CheckedSession, frame: Frame, aim: Aim, fill: str) -> MaskedRuns:
    """Scores of an image with parts of it hidden after its preprocessing: it is decoded and resized once."""
    preprocessing, spec = aim.preprocess.preprocessing, aim.preprocess.spec
    row = np.zeros(preprocessing.image_shape, spec.dtype)
    aim.preprocess.put(frame, row)
    channels_first = preprocessing.layout == "nchw"
    perturbation = Perturbation(row, channels_first, seen_xyxy(aim.preprocess, frame.size_wh), fill)
    return MaskedRuns(session, spec.name, perturbation, aim.score_of)


def over_image(found: NDArray[np.float64], preprocess: Preprocessor, size_wh: tuple[int, int]) -> Floats:
    """A map of the part of the input that the image covers, over the image: float32 (h, w)."""
    left, top, right, bottom = _in_image(preprocess, size_wh)
    out = np.zeros(size_wh[::-1], np.float32)
    size = right - left, bottom - top
    out[top:bottom, left:right] = cv2.resize(found.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return out


def _in_image(preprocess: Preprocessor, size_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of the image that the network sees, in whole pixels: one at least."""
    placement = placement_of(preprocess.preprocessing, size_wh)
    corners = placement.to_image(np.array([seen_xyxy(preprocess, size_wh)], np.float64))[0]
    left, top, right, bottom = (int(value) for value in np.rint(corners))
    left, top = min(left, size_wh[0] - 1), min(top, size_wh[1] - 1)
    return left, top, max(left + 1, right), max(top + 1, bottom)


def seen_xyxy(preprocess: Preprocessor, size_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of the network's input that an image of a size covers, in whole pixels."""
    placement = placement_of(preprocess.preprocessing, size_wh)
    left, top = (int(value) for value in placement.seen_low[:2])
    right, bottom = (int(value) for value in placement.seen_high[:2])
    return left, top, max(left + 1, right), max(top + 1, bottom)


def curves_of(
    session: CheckedSession,
    frame: Frame,
    aim: Aim,
    explanation: Explanation,
    steps: int,
) -> ExplanationCurves:
    """Insertion and deletion of a map over an image."""
    width, height = frame.size_wh
    found = array(explanation.map, "explanation", "biuf")
    if not np.isfinite(found).all():
        raise OptionError("explanation: its map has values that are not finite; pass one of this model's own")
    if found.shape != (height, width):
        raise OptionError(
            f"explanation: its map is {found.shape}, and the image ({height}, {width}); pass the "
            "image that it explains"
        )
    runs = masked_runs(session, frame, aim, explanation.settings.fill)
    left, top, right, bottom = _in_image(aim.preprocess, frame.size_wh)
    part = np.ascontiguousarray(found[top:bottom, left:right], np.float32)
    of_input = cv2.resize(part, runs.size_hw[::-1], interpolation=cv2.INTER_AREA)
    return curves(runs, of_input, steps)


def class_of(target: Any, labels: tuple[str, ...], classes: int) -> int:
    """The id of a class that is named by its label or its number.

    Raises:
        OptionError: there is no such class.
    """
    if isinstance(target, str):
        if target in labels:
            return labels.index(target)
        import difflib

        nearest = difflib.get_close_matches(target, labels, n=1)
        guess = f"; did you mean '{nearest[0]}'?" if nearest else ""
        known = ", ".join(labels[:20]) or "none: the model has no labels"
        raise OptionError(f"target: no class {shown(target)}{guess} its labels: {known}")
    if is_whole(target) and target < classes:
        return int(target)
    raise OptionError(f"target: expected a label or a class id below {classes}, got {shown(target)}")
