"""Inputs distilled from a model, for which its batch normalizations have the statistics of the training data.

As in ZeroQ (Cai et al., CVPR 2020, arXiv:2001.00281) and DeepInversion (Yin et al., CVPR 2020,
arXiv:1912.08795), gradient descent starts from noise, until the mean and variance at the input of each batch
normalization equal its moving statistics. Their distance is a divergence of normal distributions, so that
channels of all scales have equal weight. A classifier's images are also optimized for one class each, as
DeepInversion's are: otherwise its last layers see only uncertain scores, and their ranges are too narrow (in
a ResNet-8, 5 % of the activations on photos lay beyond them, and 0.1 % with classes).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.libraries import require_tensorflow
from edgevision_keras.statistics.batch_norms import NormStatistics

#: Images that share statistics; fewer if they are large, because gradients need all activations in memory.
_MOST, _FEWEST = 64, 8
_PIXELS_OF_BATCH = _MOST * 96 * 96
_STEPS = 100
#: First learning rate of Adam, as a share of an input's range; a cosine reduces it to 0.
_RATE = 0.03
_LEAST_SCORE = 1e-6
_DECAYS = (0.9, 0.999)


def distil(
    statistics: NormStatistics, score_kind: str | None, start: Mapping[str, Array], low: Array, high: Array
) -> dict[str, Array]:
    """As `edgevision.converter.NormalizedSource.distilled`.

    Args:
        statistics: the batch normalizations of the source.
        score_kind: kind of its first output, as in `SourceFacts`; `None` if it does not classify.
        start, low, high: as for `distilled`.
    """
    tf = require_tensorflow()
    (name,) = start
    images = start[name]
    batch = min(_MOST, max(_FEWEST, _PIXELS_OF_BATCH // int(np.prod(images.shape[1:3]))))
    optimizer = _Adam(statistics, score_kind, tf.constant(low, tf.float32), tf.constant(high, tf.float32))
    with tf.device("/CPU:0"):
        parts = [optimizer.run(images[first : first + batch]) for first in range(0, len(images), batch)]
    return {name: np.concatenate(parts)}


class _Adam:
    """Optimizes one batch of images after another; see Kingma and Ba, ICLR 2015."""

    def __init__(self, statistics: NormStatistics, score_kind: str | None, low: Any, high: Any) -> None:
        tf = require_tensorflow()
        self._norms = len(statistics.norms)
        self._score_kind = score_kind
        self._low, self._span = low, high - low
        self._distances = statistics.distances(statistics.norms)
        self._step = tf.function(self._updated, autograph=False, reduce_retracing=True)

    def run(self, images: Array) -> Array:
        tf = require_tensorflow()
        shares = tf.constant((images - self._low.numpy()) / self._span.numpy(), tf.float32)
        state = (shares, tf.zeros_like(shares), tf.zeros_like(shares))
        for count in range(1, _STEPS + 1):
            rate = _RATE * 0.5 * (1 + np.cos(np.pi * count / _STEPS))
            state = self._step(*state, tf.constant(float(count)), tf.constant(rate, tf.float32))
        return np.asarray((self._low + state[0] * self._span).numpy(), np.float32)

    def _class_loss(self, scores: Any) -> Any:
        """Cross-entropy of a classifier's scores, where the images belong to the classes in turn."""
        tf = require_tensorflow()
        if self._score_kind not in ("softmax", "logits"):
            return 0.0
        if self._score_kind == "softmax":
            scores = tf.math.log(scores + _LEAST_SCORE)
        classes = tf.range(tf.shape(scores)[0]) % scores.shape[1]
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(classes, scores))

    def _updated(self, shares: Any, first: Any, second: Any, count: Any, rate: Any) -> tuple[Any, Any, Any]:
        tf = require_tensorflow()
        with tf.GradientTape() as tape:
            tape.watch(shares)
            results = self._distances(self._low + shares * self._span)
            distance = tf.add_n(results[: self._norms]) + self._class_loss(results[self._norms])
        gradient = tape.gradient(distance, shares)
        slow, slower = _DECAYS
        first = slow * first + (1 - slow) * gradient
        second = slower * second + (1 - slower) * tf.square(gradient)
        step = first / (1 - slow**count) / (tf.sqrt(second / (1 - slower**count)) + 1e-12)
        return tf.clip_by_value(shares - rate * step, 0.0, 1.0), first, second
