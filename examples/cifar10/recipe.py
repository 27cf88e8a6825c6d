"""Hyperparameters of the network and its training, in a module that does not import TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of the network and its training.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step.
        learning_rate: initial rate; a cosine reduces it to 0.
        augment: crop, flip and rotate the training images at random.
        batch_norm: batch normalization before each ReLU except the first.
        dropout: share of the 128 features dropped in each training step.
        label_smoothing: share of each label that is spread over all classes.
        hold_out: share of the training images that is only used for the validation accuracy.
        seed: seed of the initial weights, the order and the augmentation.
    """

    epochs: int = 30
    batch_size: int = 128
    learning_rate: float = 2e-3
    augment: bool = True
    batch_norm: bool = True
    dropout: float = 0.2
    label_smoothing: float = 0.05
    hold_out: float = 0.05
    seed: int = 0
