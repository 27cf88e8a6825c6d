"""Builds the networks of `architectures.toml`: what each is taught, and how its answers are compared."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from architectures import HERE, Row
from brief_training import Lesson, settle, teach_classes, train
from hub_networks import hub_network

_CLASSES = 10
#: KerasHub's networks whose file Keras itself cannot load again: its top layers are empty.
_EXPORTED = ("EfficientNet",)
#: Networks that state no value range of their pixels.
_RANGE_UNSAID = ("fer_emotion", "resnet8_cifar10")
#: Answers other than one score per class, as in `agreement.agreements`.
_KINDS = {
    "D-FINE": "queries",
    "RetinaNet": "anchors",
    "BASNet": "mask",
    "DeepLabV3": "map",
    "SegFormer": "map",
    "DepthAnything": "depth",
}
_GRAY = (0.299, 0.587, 0.114)


class Network:
    """A network to be taught, or trained already.

    Args:
        row: the row.
        model: the Keras model.
        kind: of its answers, as in `agreement.agreements`.
        value_range: the values of black and white at its input.
        source: the file of a network that is trained already, else `None`.

    Attributes:
        channels: of its input.
        is_stated: the user has to state `value_range`, because the model does not.
    """

    def __init__(
        self, row: Row, model: Any, kind: str, value_range: tuple[float, float], source: Path | None = None
    ) -> None:
        self.row, self.model, self.kind, self.value_range, self.source = row, model, kind, value_range, source
        self.channels = 1 if source is not None and model.input_shape[-1] == 1 else 3
        without = row.from_hub and getattr(model, "preprocessor", None) is None
        self.is_stated = without or row.name in _RANGE_UNSAID or self._is_exported

    @property
    def _is_exported(self) -> bool:
        return self.row.from_hub and self.row.name in _EXPORTED

    def teach(self, lesson: Lesson, seconds: float) -> None:
        """Train it."""
        if self.kind in ("classes", "map"):
            teach_classes(self.model, lesson, seconds)
            return
        losses = {"depth": _depth_loss, "mask": _mask_loss, "anchors": _anchor_loss}
        if self.kind in losses:
            train(self.model, lesson, seconds, losses[self.kind])
        settle(self.model, lesson)

    def save(self, folder: Path) -> Path:
        """Write ``source.keras``, or the SavedModel ``source``, and return it."""
        if self._is_exported:
            shutil.rmtree(folder / "source", ignore_errors=True)
            self.model.export(folder / "source", verbose=False)
            return folder / "source"
        self.model.save(folder / "source.keras")
        return folder / "source.keras"


def build(row: Row, models: Path) -> Network:
    """A network of the list, with random weights, or trained already.

    Args:
        row: the row.
        models: folder of the trained ones.
    """
    if row.group == "files":
        return _trained(row, models)
    if row.group == "keras_applications":
        return Network(row, _application(row), "classes", (0.0, 255.0))
    kind = _KINDS.get(row.name, "classes")
    return Network(row, hub_network(row.name, row.size_wh[0]), kind, (0.0, 1.0))


def _trained(row: Row, models: Path) -> Network:
    import keras
    import tf_keras

    if row.name == "blood_cells":
        path = HERE.parent / "examples" / "blood_cells" / "blood_cells.keras"
        return Network(row, keras.models.load_model(path, compile=False), "peaks", (0.0, 255.0), path)
    path = models / {"fer_emotion": "fer_emotion.hdf5", "resnet8_cifar10": "resnet8_cifar10.h5"}[row.name]
    value_range = (-1.0, 1.0) if row.name == "fer_emotion" else (0.0, 255.0)
    return Network(row, tf_keras.models.load_model(path, compile=False), "classes", value_range, path)


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
