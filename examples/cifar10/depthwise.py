"""A small network of inverted residuals, as in MobileNetV2, whose channels have very different ranges."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from dataset import SIZE
from network import training_batches
from numpy.typing import NDArray
from recipe import Recipe

#: (filters, stride) of each block.
BLOCKS = ((16, 1), (24, 2), (24, 1), (32, 1), (48, 2), (48, 1))
EXPANSION = 3
#: Factors of the normalizations at the beginning: an int8 scale for all channels of a tensor has to represent
#: the largest and the smallest. Trained depthwise networks have such channels (Nagel et al., Data-Free
#: Quantization through Weight Equalization and Bias Correction, 2019, figure 2); behind a SiLU no channel can
#: be scaled to mend that.
SMALLEST, LARGEST = 0.01, 8.0


def build_network(classes: int, seed: int) -> keras.Model:
    """The network, for RGB pixels of 0…255: 50,000 weights."""
    random = np.random.default_rng(seed)
    image = keras.Input((SIZE, SIZE, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, -1)(image)
    x = _activated(keras.layers.Conv2D(16, 3, 2, padding="same", use_bias=False)(x), None)
    for filters, stride in BLOCKS:
        inputs = x
        wide = EXPANSION * x.shape[-1]
        x = _activated(keras.layers.Conv2D(wide, 1, use_bias=False)(x), random)
        depthwise = keras.layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)
        x = _activated(depthwise(x), random)
        x = keras.layers.Conv2D(filters, 1, use_bias=False)(x)
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        if inputs.shape == x.shape:
            x = keras.layers.Add()([inputs, x])
    x = _activated(keras.layers.Conv2D(128, 1, use_bias=False)(x), None)
    x = keras.layers.GlobalAveragePooling2D()(x)
    scores = keras.layers.Dense(classes, activation="softmax", name="scores")(x)
    return keras.Model(image, scores, name="depthwise")


def fit(model: Any, pixels: NDArray[np.uint8], labels: NDArray[np.int64], recipe: Recipe) -> None:
    """Train a model in place, on augmented images.

    Args:
        model: the network, in float or for int8.
        pixels: (n, 32, 32, 3) uint8 RGB.
        labels: (n,) int64.
        recipe: rate, epochs, batch size and augmentation.
    """
    steps = -(-len(pixels) // recipe.batch_size) * recipe.epochs
    targets = keras.utils.to_categorical(labels, model.output_shape[-1])
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps)),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    model.fit(training_batches(pixels, targets, recipe), epochs=recipe.epochs, shuffle=False, verbose=2)


def _activated(x: keras.KerasTensor, random: np.random.Generator | None) -> keras.KerasTensor:
    """A normalization, with factors of very different sizes if `random` draws them, and a SiLU."""
    factors: Any = "ones"
    if random is not None:
        drawn = np.exp(random.uniform(np.log(SMALLEST), np.log(LARGEST), x.shape[-1]))
        factors = keras.initializers.Constant(drawn.tolist())
    x = keras.layers.BatchNormalization(momentum=0.9, gamma_initializer=factors)(x)
    return keras.layers.Activation("silu")(x)
