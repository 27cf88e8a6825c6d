"""Scores calibrated by a sigmoid for each class, as the readers of TFLite Metadata do it.

https://github.com/google-ai-edge/mediapipe, ``tasks/cc/components/calculators/score_calibration_calculator``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgevision.backend import ScoreSigmoids
from edgevision.errors import OptionError

Scores = NDArray[np.float32]

#: Below it, the logarithm of a score is that of this number.
_LEAST = 1e-16


def calibrator(sigmoids: ScoreSigmoids, classes: int) -> Callable[[Scores], Scores]:
    """A function that calibrates scores ``(…, classes)``.

    Args:
        sigmoids: of each class.
        classes: number of classes of the network.

    Raises:
        OptionError: there are sigmoids for more classes.
    """
    if len(sigmoids.parameters) > classes:
        raise OptionError(
            f"score calibration: {len(sigmoids.parameters)} sigmoids for a network with {classes} classes"
        )
    rows = [*sigmoids.parameters, *[None] * (classes - len(sigmoids.parameters))]
    # Without a sigmoid no score is high enough for one.
    table = np.array([(0.0, 0.0, 0.0, np.inf) if row is None else row for row in rows], np.float64)
    scale, slope, offset, least = table.T
    transform = _TRANSFORMATIONS[sigmoids.transformation]

    def calibrated(scores: Scores) -> Scores:
        values = scores.astype(np.float64)
        exponent = transform(values) * slope + offset
        # The logistic function without overflow.
        sigmoid = np.exp(-np.logaddexp(0.0, -exponent)) * scale
        return np.where(values < least, sigmoids.default_score, sigmoid).astype(np.float32)

    return calibrated


def calibrate_picked(sigmoids: ScoreSigmoids, scores: Scores, class_ids: NDArray[np.int64]) -> Scores:
    """Scores ``(n,)``, each of one class, calibrated."""
    if len(scores) == 0:
        return scores
    highest = max(int(class_ids.max()) + 1, len(sigmoids.parameters))
    spread = np.repeat(scores[:, np.newaxis], highest, axis=1)
    found: Scores = calibrator(sigmoids, highest)(spread)[np.arange(len(scores)), class_ids]
    return found


def _log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.log(np.maximum(values, _LEAST)))


_TRANSFORMATIONS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "identity": lambda values: values,
    "log": _log,
    "inverse-logistic": lambda values: _log(values) - _log(1.0 - values),
}
