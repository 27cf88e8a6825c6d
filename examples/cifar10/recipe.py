"""How the network is made and trained, apart from what makes it: to be read without TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How the network is made and trained.

    Attributes:
        epochs: times that training sees every image.
        batch_size: images a step.
        learning_rate: at the start; it falls along a cosine to 0.
        augment: crop, flip and rotate the training images at random.
        batch_norm: normalise before each ReLU but the first.
        dropout: share of the 128 features that each training step leaves out.
        label_smoothing: share of the truth that is spread over all classes.
        hold_out: share of the images that is not trained on; the accuracy on it is shown.
        seed: of the first weights, the order and the augmentation.
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
