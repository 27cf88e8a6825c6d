"""Are the maps of a source explanations? Checks of them, and maps by other means to compare them with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from edgevision.converter import GradientSource, Source
from edgevision.decoder import Floats
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.source_session import SourceSession
from edgevision.explaining.attribution import Attribution
from edgevision.explaining.faithfulness import curves
from edgevision.explaining.masks import random_map
from edgevision.explaining.settings import ExplainSettings
from edgevision.session import CheckedSession
from edgevision.tasks.classify import Classifier
from edgevision.tasks.explained_input import ExplainedInput
from edgevision.tensors import Array

#: Shares of the pixels that are shown or hidden, one after the other.
_STEPS = 16
_SEED = 0


@dataclass(frozen=True, eq=False)
class OtherMaps:
    """Maps of a source by other means than by perturbing it.

    Attributes:
        source: the trained model.
        shuffled: a model of its task with the weights in random order; `None` if the source cannot do that.
    """

    source: Source
    shuffled: Any

    @classmethod
    def of(cls, source: Source, evaluator: Evaluator) -> OtherMaps:
        """As far as the source has any."""
        if not isinstance(source, GradientSource):
            return cls(source, None)
        session = _ShuffledSession(source)
        return cls(source, evaluator.model(CheckedSession(session, source.kind)))

    def gradients(self, explained: ExplainedInput, cells: int) -> dict[str, Floats]:
        """Method -> map from the gradients of a classifier's score; of other models none.

        Each is float32 ``(h, w)``, over the part of the network's input that the image covers.

        Args:
            explained: the score.
            cells: of the maps that they are compared with: details that these cannot have are smoothed.
        """
        model, source = explained.model, self.source
        if not isinstance(model, Classifier) or not isinstance(source, GradientSource):
            return {}
        spec = next((one for one in source.outputs if one.name == model.task.output), None)
        if spec is None or len(spec.shape) != 2 or model.preprocessing.layout != "nhwc":
            return {}
        columns, class_id = spec.shape[1], explained.aim.class_id
        # Of a single score, that of the first class falls where it rises.
        column, sign = (class_id, 1) if columns != 1 else (0, 1 if class_id == 1 else -1)
        shown, hidden = (row[np.newaxis].astype(np.float32) for row in explained.runs.rows)
        maps = source.gradient_maps(spec.name, column, model.score_kind != "logits", shown, hidden)
        return {name: _over_input(sign * found, explained, cells) for name, found in maps.items()}


class _ShuffledSession:
    """The network of a source with its weights in random order; see `edgevision.backend.Session`."""

    device = SourceSession.device
    precision = SourceSession.precision

    def __init__(self, source: GradientSource) -> None:
        self.inputs, self.outputs = source.inputs, source.outputs
        self.run = source.shuffled(_SEED)

    def close(self) -> None:
        """Do nothing, as `SourceSession`."""


def gains(explained: ExplainedInput, found: Attribution, settings: ExplainSettings) -> tuple[float, float]:
    """How far a map is ahead of a random one: the area by insertion, and by deletion, each -1…1.

    Args:
        explained: the score.
        found: its map.
        settings: of the map; the random one is as smooth.
    """
    other = random_map(explained.runs.size_hw, int(settings.cells), int(settings.seed))
    own, random = (curves(explained.runs, each, _STEPS) for each in (found.map, other))
    insertion = own.insertion_area - random.insertion_area
    return insertion, random.deletion_area - own.deletion_area


def _over_input(found: Array, explained: ExplainedInput, cells: int) -> Floats:
    """A map over the whole input, of any size, as a smooth one over the part that the image covers."""
    width, height = explained.model.preprocessing.size_wh
    whole = cv2.resize(np.asarray(found, np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    left, top, right, bottom = explained.seen_xyxy
    part = np.ascontiguousarray(whole[top:bottom, left:right], np.float32)
    deviation = max(0.5, min(part.shape) / cells / 2)
    return np.asarray(cv2.GaussianBlur(part, (0, 0), deviation), np.float32).reshape(part.shape)
