"""Images as TensorFlow and Keras read them for training: not with a device's decoder and resize."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgevision.converter import TrainingResize
from edgevision.tensors import Array
from edgevision_keras.libraries import require_keras, require_tensorflow

#: Ways to resize of `edgevision.Preprocessing` that Keras has.
_RESIZES = ("stretch", "letterbox", "center-crop")
#: Keras's `smart_resize` has no such interpolation.
_MISSING = ("center-crop", "area")


def training_input() -> str:
    """The functions that `training_pixels` calls, in words."""
    version = require_tensorflow().__version__
    return (
        f"tf.io.decode_image and the resize of keras.utils.image_dataset_from_directory, TensorFlow {version}"
    )


def training_pixels(data: bytes, resize: TrainingResize) -> Array | None:
    """The pixels that ``keras.utils.image_dataset_from_directory`` gives for an image file.

    JPEG is decoded with TensorFlow's default DCT method, and the orientation that EXIF states is ignored, as
    there.

    Args:
        data: content of the file: JPEG, PNG, GIF (its first frame) or BMP.
        resize: the size, and how.

    Returns:
        float32 ``(height, width, channels)`` of 0…255, RGB or grey, not rounded; `None` if TensorFlow cannot
        decode this file, or Keras does not resize in this way.

    Raises:
        MissingRuntimeError: TensorFlow or Keras is not installed.
    """
    tf = require_tensorflow()
    if resize.resize not in _RESIZES or (resize.resize, resize.interpolation) == _MISSING:
        return None
    with tf.device("/CPU:0"):
        try:
            image = tf.io.decode_image(data, channels=resize.channels, expand_animations=False)
        except tf.errors.InvalidArgumentError:
            return None
        pixels = np.asarray(_resized(tf, image, resize), np.float32)
    width, height = resize.size_wh
    return pixels.reshape(height, width, resize.channels)


def _resized(tf: Any, image: Any, resize: TrainingResize) -> Any:
    width, height = resize.size_wh
    if resize.resize == "center-crop":
        smart_resize = require_keras().preprocessing.image.smart_resize
        return smart_resize(image, (height, width), interpolation=resize.interpolation)
    if resize.resize == "letterbox":
        return tf.image.resize_with_pad(image, height, width, method=resize.interpolation)
    return tf.image.resize(image, (height, width), method=resize.interpolation)
