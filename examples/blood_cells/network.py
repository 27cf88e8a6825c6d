"""The network: a small CenterNet of separable convolutions, designed for int8 and for training on a CPU.

After Zhou, Wang and Krähenbühl, "Objects as Points" (2019). It quantizes well because of ReLU6
everywhere, batch normalizations that fold into the convolution before them, three outputs with a
sigmoid each, so that one scale per tensor suffices, and NMS outside of the network.
It trains fast because there is no batch normalization after the first convolution, where the feature
map is largest, nor between depthwise and pointwise. On a CPU that saves 30 % of the time of a step.
"""

from __future__ import annotations

import keras
from keras import layers

#: Width and height of the input in pixels: half of the microscope's 640 x 480.
INPUT_WH = (320, 240)
#: Input pixels from one output cell to the next.
STRIDE = 8
#: Logit of the share of cells with an object, at which the untrained heat map starts.
_PRIOR_LOGIT = -4.0


def build_network(classes: int) -> keras.Model:
    """Build the network, untrained.

    Args:
        classes: number of classes.

    Returns:
        A model from (batch, 240, 320, 3) float32 RGB of 0…255 to a dict of three float32 tensors of
        0…1: ``heatmap`` (batch, 30, 40, classes), ``size`` and ``offset`` (batch, 30, 40, 2). Their
        meaning is documented in `decode`.
    """
    image = keras.Input((INPUT_WH[1], INPUT_WH[0], 3), name="image")
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Conv2D(16, 3, 2, padding="same", activation="relu6")(x)
    x = _conv(x, 32, 3, strides=2)
    eighth = _separable(x, 64, 3, strides=2)
    for _ in range(3):
        eighth = _residual(eighth, 3)
    sixteenth = _separable(eighth, 160, 3, strides=2)
    for _ in range(5):
        sixteenth = _residual(sixteenth, 5)
    x = _residual(_merge(sixteenth, eighth, 96), 3)
    return keras.Model(image, _heads(x, classes), name="blood_cells")


def _heads(x: keras.KerasTensor, classes: int) -> dict[str, keras.KerasTensor]:
    heat, box = _separable(x, 64, 3), _separable(x, 64, 3)
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
    return _conv(x, filters, 1)


def _residual(x: keras.KerasTensor, kernel: int) -> keras.KerasTensor:
    return layers.Add()([x, _separable(x, x.shape[-1], kernel)])


def _merge(coarse: keras.KerasTensor, fine: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    """The coarse map at twice its size plus the fine one, both with `filters` channels."""
    enlarged = layers.UpSampling2D(2)(_conv(coarse, filters, 1))
    return layers.Add()([enlarged, _conv(fine, filters, 1)])
