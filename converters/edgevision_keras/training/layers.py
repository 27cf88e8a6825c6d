"""The layers of a network that is trained for int8.

Weights and activations are rounded as an int8 artifact rounds them, and gradients pass the rounding as if it
were not there: Jacob et al., Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference, 2018. Ranges of activations are trained too: Esser et al., Learned Step
Size Quantization, 2020.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

_PACKAGE = "edgevision"
#: A weight at the end of its range must not lose its gradient by a rounding error of the range's end.
_BEYOND_THE_LARGEST = 1 + 1e-5
#: Half of the range of weights that are all zero.
_SMALLEST = 1e-12
#: The narrowest range of an activation.
_NARROWEST = 1e-6
#: Steps from one end of a range to the other.
_STEPS, _SYMMETRIC_STEPS = 255.0, 254.0
#: Batches whose extremes set a range; later its factor is trained alone.
_FIRST_BATCHES = 50
#: Ranges are trained this many times as fast as weights, by their logarithms.
_STRETCH_SPEED = 10.0
_MATRIX = 2


@keras.saving.register_keras_serializable(_PACKAGE)
class FakeQuantize(keras.layers.Layer):  # type: ignore[misc]
    """Rounds an activation to the 256 levels of a range, which is trained.

    The range starts as the mean of the smallest and the largest values of the first batches, with zero in it.
    Each end has a factor, 1 at first, that is trained with the network's own weights: its gradient is that of
    Esser et al., 2020, equation 3, with their gradient scale, and its logarithm is trained, as by Jain et
    al., Trained Quantization Thresholds, 2020. So a range clips rare values where finer steps are worth more
    to the loss, and widens where they are not. A range that no batch has set rounds nothing.

    Args:
        symmetric: the range is from -x to x, in 255 levels.
        widest: the range is that of all batches, and not trained: nothing that was seen is clipped.
    """

    def __init__(self, symmetric: bool = False, widest: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.symmetric, self.widest = symmetric, widest

    def build(self, input_shape: Any) -> None:
        """Create the ends of the range, the number of batches that set them, and the trained factors."""
        create = {"shape": (), "initializer": "zeros", "dtype": "float32"}
        self.low = self.add_weight(name="low", trainable=False, **create)
        self.high = self.add_weight(name="high", trainable=False, **create)
        self.batches = self.add_weight(name="batches", trainable=False, **create)
        if not self.widest:
            factors = {**create, "shape": (1 if self.symmetric else 2,)}
            self.stretch = self.add_weight(name="stretch", **factors)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The rounded inputs; when training, after the range has learned from them."""
        if training:
            self._learn(ops.stop_gradient(ops.cast(inputs, "float32")))
            features = ops.cast(ops.size(inputs), "float32") / ops.cast(ops.shape(inputs)[0], "float32")
            return self._rounded(inputs, *self.ends(gradient_scale=1 / ops.sqrt(features * self._steps)))
        low, high = self.ends()
        rounded = keras.quantizers.fake_quant_with_min_max_vars(
            inputs, low, high, narrow_range=self.symmetric
        )
        return ops.where(ops.greater(self.batches, 0), rounded, inputs)

    def ends(self, gradient_scale: Any = 1.0) -> tuple[Any, Any]:
        """The ends of the range: two scalars, the second greater than the first.

        Args:
            gradient_scale: the gradients of the factors are multiplied by this.
        """
        low, high = ops.convert_to_tensor(self.low), ops.convert_to_tensor(self.high)
        if not self.widest:
            stretch = ops.convert_to_tensor(self.stretch)
            scaled = stretch * gradient_scale
            factors = ops.exp(_STRETCH_SPEED * (scaled + ops.stop_gradient(stretch - scaled)))
            low, high = low * factors[0], high * factors[-1]
        return low, ops.maximum(high, low + _NARROWEST)

    @property
    def _steps(self) -> float:
        return _SYMMETRIC_STEPS if self.symmetric else _STEPS

    def _rounded(self, inputs: Any, low: Any, high: Any) -> Any:
        """As Keras's own rounding, whose gradient does not reach the ends of the range."""
        step = (high - low) / self._steps
        zero = ops.stop_gradient(ops.floor(0.5 - low / step))
        level = ops.clip(inputs, low, high) / step + zero
        rounded = ops.clip(ops.floor(level + 0.5), 0.0, self._steps)
        return (level + ops.stop_gradient(rounded - level) - zero) * step

    def _learn(self, values: Any) -> None:
        low, high = ops.minimum(ops.min(values), 0.0), ops.maximum(ops.max(values), 0.0)
        if self.symmetric:
            high = ops.maximum(-low, high)
            low = -high
        if self.widest:
            low, high = ops.minimum(self.low, low), ops.maximum(self.high, high)
        else:
            share = ops.where(self.batches < _FIRST_BATCHES, 1 / (self.batches + 1), 0.0)
            low, high = (
                before + share * (now - before) for before, now in ((self.low, low), (self.high, high))
            )
        self.low.assign(low)
        self.high.assign(high)
        self.batches.assign_add(1.0)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments that it was created with."""
        return {**super().get_config(), "symmetric": self.symmetric, "widest": self.widest}


@keras.saving.register_keras_serializable(_PACKAGE)
class QuantizedLayer(keras.layers.Layer):  # type: ignore[misc]
    """A layer that multiplies with weights, with its batch normalization, activation and ranges.

    The normalization is folded into the weights with its moving statistics, as converters fold it, and these
    are frozen: batch statistics in folded weights change the rounding from step to step, and the network was
    trained already (Krishnamoorthi, Quantizing deep convolutional networks for efficient inference, 2018,
    freezes them after a while). Its factor and offset are trained.

    Weights have one scale for each output, symmetric about zero; -127 to 127 are used.

    Args:
        layer: a `Dense`, or a convolution, without activation.
        norm: the `BatchNormalization` after it, or `None`.
        activation: the layer after that, or `None`.
        rounds_product: the values before `activation` are rounded, which is needed unless it is a rectifier.
        rounds_output: the values after it are rounded.
        is_sequence: `layer` convolves images of one row, and this layer sequences: runtimes have no others.
        symmetric, widest: as for `FakeQuantize`.
    """

    def __init__(
        self,
        layer: Any,
        norm: Any = None,
        activation: Any = None,
        rounds_product: bool = False,
        rounds_output: bool = True,
        is_sequence: bool = False,
        symmetric: bool = False,
        widest: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.layer, self.norm, self.activation = layer, norm, activation
        self.is_sequence, self.symmetric, self.widest = is_sequence, symmetric, widest
        ranges = {"product_range": rounds_product, "output_range": rounds_output}
        self.product_range, self.output_range = (
            FakeQuantize(symmetric, widest, name=name) if rounds else None for name, rounds in ranges.items()
        )

    def build(self, input_shape: Any) -> None:
        """Create the weights of its layers."""
        shape = self._image_shape(input_shape)
        for part in (self.layer, self.norm, self.product_range, self.activation, self.output_range):
            if part is not None:
                if not part.built:
                    part.build(shape)
                shape = part.compute_output_shape(shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The outputs of the layers, with rounded weights and activations."""
        outputs = self._product_of_any_rank(inputs)
        if self.product_range is not None:
            outputs = self.product_range(outputs, training=training)
        if self.activation is not None:
            outputs = self.activation(outputs)
        return outputs if self.output_range is None else self.output_range(outputs, training=training)

    def rounded_kernel(self) -> Any:
        """The weights with the normalization folded in, on the int8 grid of each output."""
        kernel = ops.convert_to_tensor(self.layer.kernel)
        by_output = self._outputs_last(kernel)
        if self.norm is not None:
            by_output = by_output * self._factor()
        axes = tuple(range(len(by_output.shape) - 1))
        largest = ops.stop_gradient(ops.max(ops.abs(by_output), axis=axes))
        end = ops.maximum(largest * _BEYOND_THE_LARGEST, _SMALLEST)
        rounded = keras.quantizers.fake_quant_with_min_max_vars(
            by_output, -end, end, narrow_range=True, axis=-1
        )
        return self._as_in_layer(rounded, kernel.shape)

    def _product_of_any_rank(self, inputs: Any) -> Any:
        """The product, with the bias next to it also where runtimes reshape before they multiply."""
        if self.is_sequence:
            return ops.squeeze(self._product(ops.expand_dims(inputs, 1)), 1)
        if isinstance(self.layer, keras.layers.Dense) and len(inputs.shape) > _MATRIX:
            rows = ops.reshape(inputs, (-1, inputs.shape[-1]))
            inner = ops.shape(inputs)[1:-1]
            return ops.reshape(self._product(rows), (-1, *inner, self.layer.units))
        return self._product(inputs)

    def _product(self, inputs: Any) -> Any:
        """The layer's product with the folded weights, and the folded bias."""
        bias = ops.convert_to_tensor(self.layer.bias) if self.layer.use_bias else None
        replaced = [(self.layer.kernel, self.rounded_kernel())]
        if self.norm is not None:
            shifted = (0.0 if bias is None else bias) - ops.convert_to_tensor(self.norm.moving_mean)
            offset = 0.0 if self.norm.beta is None else ops.convert_to_tensor(self.norm.beta)
            bias = shifted * self._factor() + offset
        if self.layer.use_bias:
            replaced.append((self.layer.bias, bias))
        # The layer multiplies in its own way, with other weights.
        with keras.StatelessScope(state_mapping=replaced):
            outputs = self.layer(inputs)
        return outputs if self.layer.use_bias or bias is None else outputs + bias

    def _factor(self) -> Any:
        """The factor of each output by which the normalization scales: (outputs,)."""
        spread = ops.sqrt(ops.convert_to_tensor(self.norm.moving_variance) + self.norm.epsilon)
        return (1.0 if self.norm.gamma is None else ops.convert_to_tensor(self.norm.gamma)) / spread

    def _outputs_last(self, kernel: Any) -> Any:
        """The weights with one axis of outputs, the last."""
        if hasattr(self.layer, "depth_multiplier"):
            return ops.reshape(kernel, (*kernel.shape[:-2], -1))
        return ops.swapaxes(kernel, -1, -2) if _is_transposed(self.layer) else kernel

    def _as_in_layer(self, weights: Any, shape: Any) -> Any:
        return ops.swapaxes(weights, -1, -2) if _is_transposed(self.layer) else ops.reshape(weights, shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the layer's outputs."""
        shape = tuple(self.layer.compute_output_shape(self._image_shape(input_shape)))
        return (shape[0], *shape[2:]) if self.is_sequence else shape

    def _image_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], 1, *input_shape[1:]) if self.is_sequence else input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments that it was created with, its layers serialized."""
        parts = {"layer": self.layer, "norm": self.norm, "activation": self.activation}
        serialized = {
            name: part and keras.saving.serialize_keras_object(part) for name, part in parts.items()
        }
        ranges = {
            "rounds_product": self.product_range is not None,
            "rounds_output": self.output_range is not None,
            "is_sequence": self.is_sequence,
            "symmetric": self.symmetric,
            "widest": self.widest,
        }
        return {**super().get_config(), **serialized, **ranges}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> QuantizedLayer:
        """The layer with this configuration."""
        parts = {
            name: config[name] and keras.saving.deserialize_keras_object(config[name])
            for name in ("layer", "norm", "activation")
        }
        return cls(**{**config, **parts})


def _is_transposed(layer: Any) -> bool:
    return isinstance(layer, keras.layers.Conv2DTranspose)
