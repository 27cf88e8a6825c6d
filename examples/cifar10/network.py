"""The network, its training, and the augmentation of the training images."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from dataset import SIZE
from numpy.typing import NDArray
from recipe import Recipe

#: Largest shift of a crop in pixels, into a border that mirrors the image.
PADDING = 4
#: Few photographs of vehicles and animals are rotated by more.
ROTATION_DEGREES = 10


def build_network(classes: int, recipe: Recipe) -> keras.Model:
    """Conv 32-64-128 with max pooling, Dense 128, Dense `classes`, for RGB pixels of 0…255.

    The first convolution has no batch normalization, which alone would cost a third more time on a CPU.
    """
    image = keras.Input((SIZE, SIZE, 3), name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    x = keras.layers.MaxPooling2D()(x)
    for filters in (64, 128):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=not recipe.batch_norm)(x)
        x = _activate(x, recipe)
        x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Flatten()(x)
    x = _activate(keras.layers.Dense(128, use_bias=not recipe.batch_norm)(x), recipe)
    x = keras.layers.Dropout(recipe.dropout)(x)
    scores = keras.layers.Dense(classes, activation="softmax", name="scores")(x)
    return keras.Model(image, scores, name="cifar10")


def _activate(x: keras.KerasTensor, recipe: Recipe) -> keras.KerasTensor:
    if recipe.batch_norm:
        # Keras's default momentum of 0.99 needs some hundred steps to settle: too slow for short trainings.
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
    return keras.layers.ReLU()(x)


def train(pixels: NDArray[np.uint8], labels: NDArray[np.int64], classes: int, recipe: Recipe) -> keras.Model:
    """Train a network.

    Args:
        pixels: (n, 32, 32, 3) uint8 RGB.
        labels: (n,) int64, 0…classes - 1.
        classes: how many classes there are.
        recipe: all else.
    """
    keras.utils.set_random_seed(recipe.seed)
    order = np.random.default_rng(recipe.seed).permutation(len(pixels))
    held_out = round(recipe.hold_out * len(order))
    training, validation = order[held_out:], order[:held_out]
    steps = -(-len(training) // recipe.batch_size) * recipe.epochs
    network = build_network(classes, recipe)
    # A second model of the same layers, so that the optimizer's state is not saved.
    trainer = keras.Model(network.inputs, network.outputs)
    trainer.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps)),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
        jit_compile=False,  # XLA on a CPU took four times as long
    )
    targets = keras.utils.to_categorical(labels, classes)
    trainer.fit(
        training_batches(pixels[training], targets[training], recipe),
        validation_data=(pixels[validation], targets[validation]) if held_out else None,
        epochs=recipe.epochs,
        shuffle=False,  # the batches are shuffled already
        verbose=2,
    )
    return network


def training_batches(
    pixels: NDArray[np.uint8], targets: NDArray[np.float32], recipe: Recipe
) -> tf.data.Dataset:
    """One epoch of shuffled batches: float32 (batch, 32, 32, 3) of 0…255, and (batch, classes)."""
    border = PADDING if recipe.augment else 0
    padded = np.pad(pixels, ((0, 0), (border, border), (border, border), (0, 0)), mode="reflect")
    images = tf.data.Dataset.from_tensor_slices((padded, targets)).shuffle(len(pixels), seed=recipe.seed)
    if not recipe.augment:
        return images.batch(recipe.batch_size).prefetch(2)
    crop = keras.layers.RandomCrop(SIZE, SIZE, seed=recipe.seed)
    flip_and_rotate = keras.Sequential(
        [
            keras.layers.RandomFlip("horizontal", seed=recipe.seed),
            keras.layers.RandomRotation(ROTATION_DEGREES / 360, fill_mode="reflect", seed=recipe.seed),
        ]
    )
    # RandomCrop crops a whole batch at one position, so it gets the images one by one.
    cropped = images.map(lambda image, label: (crop(image, training=True), label))
    batches = cropped.batch(recipe.batch_size)
    return batches.map(lambda batch, label: (flip_and_rotate(batch, training=True), label)).prefetch(2)
