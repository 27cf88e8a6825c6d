"""The network: a small CenterNet of depthwise-separable convolutions, shaped for int8.

After Zhou, Wang and Krähenbühl, "Objects as Points" (2019). What makes it quantize well: ReLU6
everywhere; a batch normalization behind every convolution, to be folded into it; three outputs that
each are a sigmoid of their own, so that one scale for a whole tensor fits; no NMS inside.
"""

from __future__ import annotations

import keras
from keras import layers

#: Width and height of the input in pixels: half of the microscope's 640 x 480.
INPUT_WH = (320, 240)
#: Input pixels from one output cell to the next.
STRIDE = 4
#: The share of cells that hold an object, which the untrained heat map starts from.
_PRIOR_LOGIT = -4.0


def build_network(classes: int) -> keras.Model:
    """Build the network, untrained.

    Args:
        classes: how many.

    Returns:
        A model that takes (batch, 240, 320, 3) float32 RGB of 0…255 and gives a dict of three
        tensors of 0…1, float32: ``heatmap`` (batch, 60, 80, classes), ``size`` and ``offset``
        (batch, 60, 80, 2). `decode` tells what they mean.
    """
    image = keras.Input((INPUT_WH[1], INPUT_WH[0], 3), name="image")
    x = layers.Rescaling(1 / 255)(image)
    x = _conv(x, 16, 3, strides=2)
    quarter = _residual(_conv(x, 32, 3, strides=2), 3)
    eighth = _separable(quarter, 64, 3, strides=2)
    for _ in range(2):
        eighth = _residual(eighth, 3)
    sixteenth = _separable(eighth, 160, 3, strides=2)
    for _ in range(5):
        sixteenth = _residual(sixteenth, 5)
    x = _merge(sixteenth, eighth, 80)
    x = _residual(x, 3)
    x = _merge(x, quarter, 48)
    x = _residual(x, 3)
    return keras.Model(image, _heads(x, classes), name="blood_cells")


def _heads(x: keras.KerasTensor, classes: int) -> dict[str, keras.KerasTensor]:
    heat, box = _separable(x, 48, 3), _separable(x, 48, 5)
    outputs = {
        "heatmap": layers.Conv2D(
            classes, 1, bias_initializer=keras.initializers.Constant(_PRIOR_LOGIT), name="heatmap_logits"
        )(heat),
        "size": layers.Conv2D(2, 1, name="size_logits")(box),
        "offset": layers.Conv2D(2, 1, name="offset_logits")(box),
    }
    return {name: layers.Activation("sigmoid", name=name)(logits) for name, logits in outputs.items()}


def _conv(x: keras.KerasTensor, filters: int, kernel: int, strides: int = 1) -> keras.KerasTensor:
    x = layers.Conv2D(filters, kernel, strides, padding="same", use_bias=False)(x)
    return layers.ReLU(6.0)(layers.BatchNormalization()(x))


def _separable(x: keras.KerasTensor, filters: int, kernel: int, strides: int = 1) -> keras.KerasTensor:
    x = layers.DepthwiseConv2D(kernel, strides, padding="same", use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    return _conv(x, filters, 1)


def _residual(x: keras.KerasTensor, kernel: int) -> keras.KerasTensor:
    return layers.Add()([x, _separable(x, x.shape[-1], kernel)])


def _merge(coarse: keras.KerasTensor, fine: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    """The coarse map at twice its size, plus the fine one: both first brought to `filters` channels."""
    enlarged = layers.UpSampling2D(2)(_conv(coarse, filters, 1))
    return layers.Add()([enlarged, _conv(fine, filters, 1)])
