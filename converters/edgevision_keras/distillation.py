"""Inputs made from a model itself: such that its batch normalizations see what they saw in training.

Distilled data of ZeroQ (Cai et al., CVPR 2020, arXiv:2001.00281) and DeepInversion (Yin et al., CVPR 2020,
arXiv:1912.08795), without labels: noise is moved by gradients until mean and variance of what each batch
normalization takes are the moving statistics that it holds. The distance of both is a divergence of normal
distributions, so that channels of all scales count alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.batch_norms import NormStatistics
from edgevision_keras.libraries import require_tensorflow

#: Images whose statistics are taken together: DeepInversion's and ZeroQ's batches are as large and larger.
_BATCH = 32
_STEPS = 150
#: The first step of Adam, as a share of the range of an input; it falls to 0 along a cosine.
_RATE = 0.03
_DECAYS = (0.9, 0.999)


def distil(
    statistics: NormStatistics, start: Mapping[str, Array], low: Array, high: Array
) -> dict[str, Array]:
    """As `edgevision.converter.NormalizedSource.distilled`."""
    tf = require_tensorflow()
    (name,) = start
    images = start[name]
    step = _Adam(statistics, tf.constant(low, tf.float32), tf.constant(high, tf.float32))
    with tf.device("/CPU:0"):
        parts = [step.run(images[first : first + _BATCH]) for first in range(0, len(images), _BATCH)]
    return {name: np.concatenate(parts)}


class _Adam:
    """Moves one batch of images after another; see Kingma and Ba, ICLR 2015."""

    def __init__(self, statistics: NormStatistics, low: Any, high: Any) -> None:
        tf = require_tensorflow()
        self._low, self._span = low, high - low
        self._distances = statistics.distances(statistics.norms)
        self._step = tf.function(self._moved, autograph=False, reduce_retracing=True)

    def run(self, images: Array) -> Array:
        tf = require_tensorflow()
        shares = tf.constant((images - self._low.numpy()) / self._span.numpy(), tf.float32)
        state = (shares, tf.zeros_like(shares), tf.zeros_like(shares))
        for count in range(1, _STEPS + 1):
            rate = _RATE * 0.5 * (1 + np.cos(np.pi * count / _STEPS))
            state = self._step(*state, tf.constant(float(count)), tf.constant(rate, tf.float32))
        return np.asarray((self._low + state[0] * self._span).numpy(), np.float32)

    def _moved(self, shares: Any, first: Any, second: Any, count: Any, rate: Any) -> tuple[Any, Any, Any]:
        tf = require_tensorflow()
        with tf.GradientTape() as tape:
            tape.watch(shares)
            distance = tf.add_n(self._distances(self._low + shares * self._span))
        gradient = tape.gradient(distance, shares)
        slow, slower = _DECAYS
        first = slow * first + (1 - slow) * gradient
        second = slower * second + (1 - slower) * tf.square(gradient)
        step = first / (1 - slow**count) / (tf.sqrt(second / (1 - slower**count)) + 1e-12)
        return tf.clip_by_value(shares - rate * step, 0.0, 1.0), first, second
