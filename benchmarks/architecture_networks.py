"""Builds the networks of `architectures.toml`: what each is taught, and how its answers are compared."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from architectures import Row
from brief_training import Lesson, settle, teach_classes, train
from hub_networks import hub_network

_CLASSES = 10
#: KerasHub's networks whose file Keras itself cannot load again: its top layers are empty.
_EXPORTED = ("EfficientNet",)
_GRAY = (0.299, 0.587, 0.114)


class Network:
    """A network to be taught.

    Attributes:
        model: the Keras model.
        kind: of its answers, as in `agreement.agreements`.
        white: the value of white at its input.
        channels: of its input.
        stated_range: the values of black and white, where the model does not say them and the user has to.
    """

    def __init__(self, row: Row, model: Any, kind: str, white: float) -> None:
        self.row, self.model, self.kind, self.white = row, model, kind, white
        self.channels = 3
        preprocessor = getattr(model, "preprocessor", None)
        self.stated_range = (0.0, white) if row.from_hub and preprocessor is None else None

    def teach(self, lesson: Lesson, seconds: float) -> None:
        """Train it."""
        if self.kind in ("classes", "map"):
            teach_classes(self.model, lesson, seconds)
            return
        losses = {"depth": _depth_loss, "mask": _mask_loss, "anchors": _anchor_loss}
        if self.kind in losses:
            train(self.model, lesson, seconds, losses[self.kind])
        settle(self.model, lesson)

    def save(self, folder: Path) -> None:
        """Write ``source.keras``, or the SavedModel ``source``."""
        for old in (folder / "source.keras", folder / "source"):
            if old.is_dir():
                shutil.rmtree(old)
            old.unlink(missing_ok=True)
        if self.row.from_hub and self.row.name in _EXPORTED:
            self.model.export(folder / "source", verbose=False)
        else:
            self.model.save(folder / "source.keras")

    def quality(self, evaluation: Any, answers: Mapping[str, Any]) -> dict[str, float]:
        """The accuracy, of images or of pixels, where it has classes."""
        if self.kind not in ("classes", "map"):
            return {}
        (scores,) = answers.values()
        found = scores.argmax(-1)
        right = found == evaluation[1].reshape(-1, *[1] * (found.ndim - 1))
        return {"accuracy": float(right.mean())}


def build(row: Row) -> Network:
    """A network of the list, with random weights."""
    if row.group == "keras_applications":
        return Network(row, _application(row), "classes", 255.0)
    kinds = {
        "D-FINE": "queries",
        "RetinaNet": "anchors",
        "BASNet": "mask",
        "DeepLabV3": "map",
        "SegFormer": "map",
        "DepthAnything": "depth",
    }
    return Network(row, hub_network(row.name, row.size_wh[0]), kinds.get(row.name, "classes"), 1.0)


def _application(row: Row) -> Any:
    """A network of `keras.applications` that takes 0 to 255: its own preprocessing is in the graph."""
    import keras

    constructor = getattr(keras.applications, row.name)
    preprocess = sys.modules[constructor.__module__].preprocess_input
    image = keras.Input((row.size_wh[1], row.size_wh[0], 3), name="image")
    return constructor(
        weights=None,
        classes=_CLASSES,
        include_top=True,
        input_tensor=preprocess(image),
        input_shape=tuple(image.shape[1:]),
    )


def _brightness(images: Any) -> Any:
    import tensorflow as tf

    return tf.tensordot(images, tf.constant(_GRAY), 1)[..., None]


def _depth_loss(images: Any, classes: Any, answers: Any) -> Any:
    """The depth of a pixel is its brightness."""
    import tensorflow as tf

    return tf.reduce_mean((answers["depths"] - _brightness(images)) ** 2)


def _mask_loss(images: Any, classes: Any, answers: Any) -> Any:
    """A pixel belongs to the object if it is brighter than the image."""
    import keras
    import tensorflow as tf

    bright = _brightness(images)
    mask = tf.cast(bright > tf.reduce_mean(bright, (1, 2), keepdims=True), tf.float32)
    many = answers if isinstance(answers, (list, tuple)) else [answers]
    return sum(tf.reduce_mean(keras.losses.binary_crossentropy(mask, answer)) for answer in many)


def _anchor_loss(images: Any, classes: Any, answers: Any) -> Any:
    """Each image is one object of its class, at every anchor."""
    import tensorflow as tf

    logits = answers["cls_logits"]
    wanted = tf.tile(tf.one_hot(classes, _CLASSES)[:, None], (1, logits.shape[1], 1))
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits)) + tf.reduce_mean(
        0.1 * answers["bbox_regression"] ** 2
    )
