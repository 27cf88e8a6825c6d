"""From the scores of many boxes to the few worth decoding: shared by the decoders."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edgevision.decoder import Floats

Places = NDArray[np.intp]

_HIGHEST = 1.0 - 1e-7
_CLASSES = {"none": slice(None), "first": slice(1, None), "last": slice(None, -1)}
#: Which column of the scores is no class.
BACKGROUNDS = tuple(_CLASSES)


def pick(
    scores: Floats, threshold: float, activation: str, background: str = "none"
) -> tuple[Places, Places, Floats]:
    """The best class of each box, of the boxes where it scores enough.

    Args:
        scores: (n, columns) finite: a column a class, and one for the background where there is one.
        threshold: 0…1, of the score after the activation.
        activation: one of `edgevision.tasks.decoders.settings.ACTIVATIONS`, still to be done.
        background: which column is no class: ``none``, ``first`` or ``last``.

    Returns:
        The places of these boxes, the class of each, and its score after the activation.
    """
    classes = _CLASSES[background]
    if activation != "softmax":
        return _pick(scores[:, classes], threshold, activation)
    hopeful = np.arange(len(scores))
    if background != "none":
        # A class against the background alone scores no less than among all: where that is too
        # little, which is nearly everywhere, the exponentials of all classes are spared.
        over_background = scores[:, classes].max(axis=1) - scores[:, 0 if background == "first" else -1]
        hopeful = np.flatnonzero(over_background >= before_activation(threshold, "sigmoid"))
    places, class_ids, best = _pick(softmax(scores[hopeful])[:, classes], threshold, "none")
    return hopeful[places], class_ids, best


def before_activation(threshold: float, activation: str) -> float:
    """What a value must at least be, so that its score is `threshold` or more.

    A sigmoid only rises: to compare before it spares the exponential of all that is dropped.
    """
    if activation != "sigmoid":
        return threshold
    if threshold <= 0:
        return -math.inf
    share = min(threshold, _HIGHEST)
    return math.log(share / (1 - share))


def activated(values: Floats, activation: str) -> Floats:
    """Scores of 0…1: the sigmoid of `values` if that is still to be done, else themselves."""
    return sigmoid(values) if activation == "sigmoid" else values


def sigmoid(values: Floats) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 + 0.5 * np.tanh(values / 2), np.float32)


def softmax(values: Floats) -> Floats:
    """Along the last axis, without overflow."""
    exponents = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=-1, keepdims=True), np.float32)


def _pick(scores: Floats, threshold: float, activation: str) -> tuple[Places, Places, Floats]:
    best = scores.max(axis=1)
    places = np.flatnonzero(best >= before_activation(threshold, activation))
    class_ids = scores[places].argmax(axis=1)
    return places, class_ids, activated(best[places], activation)
