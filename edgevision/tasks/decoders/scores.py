"""Selection of the boxes worth decoding by their scores: shared by the decoders."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edgevision.decoder import Floats
from edgevision.errors import InferenceError

Places = NDArray[np.intp]

_HIGHEST = 1.0 - 1e-7
_CLASSES = {"none": slice(None), "first": slice(1, None), "last": slice(None, -1)}
#: Column of the background in the scores.
BACKGROUNDS = tuple(_CLASSES)
#: Networks that apply NMS themselves fill up their rows with scores of -1; lower values are no scores.
_LOWEST_SCORE = -1.02


def pick(
    scores: Floats, threshold: float, activation: str, background: str = "none"
) -> tuple[Places, Places, Floats]:
    """The boxes whose best class reaches the threshold.

    Args:
        scores: (n, columns) finite: one column per class, and one for the background if there is one.
        threshold: 0…1, for the score after the activation.
        activation: to apply, one of `edgevision.tasks.decoders.settings.ACTIVATIONS`.
        background: column of the background: ``none``, ``first`` or ``last``.

    Returns:
        The indices of these boxes, the best class of each, and its score after the activation.
    """
    classes = _CLASSES[background]
    if activation != "softmax":
        return _pick(scores[:, classes], threshold, activation)
    possible = np.arange(len(scores))
    if background != "none":
        # The softmax of a class and the background alone is an upper bound of its score: where it misses
        # the threshold, which is nearly everywhere, the exponentials of all classes are saved.
        over_background = scores[:, classes].max(axis=1) - scores[:, 0 if background == "first" else -1]
        possible = np.flatnonzero(over_background >= before_activation(threshold, "sigmoid"))
    places, class_ids, best = _pick(softmax(scores[possible])[:, classes], threshold, "none")
    return possible[places], class_ids, best


def before_activation(threshold: float, activation: str) -> float:
    """The threshold for values before the activation.

    A sigmoid is monotonic: comparing before it saves the exponentials of all values that are dropped.
    """
    if activation != "sigmoid":
        return threshold
    if threshold <= 0:
        return -math.inf
    share = min(threshold, _HIGHEST)
    return math.log(share / (1 - share))


def activated(values: Floats, activation: str) -> Floats:
    """Scores in 0…1: the sigmoid of `values`, or `values` if there is no activation."""
    return sigmoid(values) if activation == "sigmoid" else values


def sigmoid(values: Floats) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 + 0.5 * np.tanh(values / 2), np.float32)


def softmax(values: Floats) -> Floats:
    """Along the last axis, without overflow."""
    exponents = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=-1, keepdims=True), np.float32)


def check_lowest(scores: Floats) -> None:
    """Refuse logits where scores are expected: boxes below the threshold would be dropped without a word.

    Raises:
        InferenceError: a value is far below 0.
    """
    lowest = float(scores.min(initial=0.0))
    if lowest < _LOWEST_SCORE:
        raise InferenceError(
            f"the network gave the score {lowest:.4g}; expected 0…1; if its outputs are logits, "
            f"set the decoder's activation to sigmoid or softmax (--decoder-setting activation=sigmoid), or "
            "choose a decoder that has this setting"
        )


def _pick(scores: Floats, threshold: float, activation: str) -> tuple[Places, Places, Floats]:
    best = scores.max(axis=1)
    if activation == "none":
        check_lowest(best)
    places = np.flatnonzero(best >= before_activation(threshold, activation))
    class_ids = scores[places].argmax(axis=1)
    return places, class_ids, activated(best[places], activation)
