"""One explanation: a map over the caller's image, and how it came to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgevision.decoder import Floats
from edgevision.explaining.settings import ExplainSettings


@dataclass(frozen=True, eq=False)
class Explanation:
    """Which parts of an image one score rests on.

    Attributes:
        map: float32 ``(h, w)`` in pixels of the caller's image: by how much the score rises where the pixel
            and its surroundings are shown instead of hidden. Negative where showing them lowers the score; 0
            where the network does not see the image.
        label, class_id: the class whose score is explained, or the value of a regression.
        score: of the whole image, 0…1; of an object, as in its `Detection`; of a value of a regression, its
            share of its range; of an embedding, 1.
        hidden_score: with the whole image hidden: what the score does not owe to the image.
        box_xyxy: of the object, in pixels of the caller's image; `None` for a class.
        samples: runs of the network under a mask.
        reliability: the estimated correlation of `map` with one of unlimited budget, 0…1; `None` where no
            masks are drawn at random. Near 0 the map is noise: raise the budget.
        converged: True if the reliability that was asked for was reached.
        settings: as passed.
        run: backend, device and precision that gave the scores.
        bundle_digest: of the model's bundle; `None` for a bare file.
    """

    map: Floats
    label: str
    class_id: int
    score: float
    hidden_score: float
    box_xyxy: tuple[float, float, float, float] | None
    samples: int
    reliability: float | None
    converged: bool
    settings: ExplainSettings
    run: dict[str, str] = field(default_factory=dict)
    bundle_digest: str | None = None

    @property
    def peak_xy(self) -> tuple[int, int]:
        """The pixel that matters most: column, then row."""
        row, column = np.unravel_index(int(self.map.argmax()), self.map.shape)
        return int(column), int(row)

    def to_dict(self) -> dict[str, Any]:
        """JSON values, without the map."""
        return {
            "label": self.label,
            "class_id": self.class_id,
            "score": self.score,
            "hidden_score": self.hidden_score,
            "box_xyxy": None if self.box_xyxy is None else list(self.box_xyxy),
            "peak_xy": list(self.peak_xy),
            "method": self.settings.method,
            "fill": self.settings.fill,
            "cells": self.settings.cells,
            "seed": self.settings.seed,
            "samples": self.samples,
            "reliability": self.reliability,
            "converged": self.converged,
            **self.run,
            **({} if self.bundle_digest is None else {"bundle_digest": self.bundle_digest}),
        }
