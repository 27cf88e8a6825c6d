"""From a trained network to the same network with the rounding of an int8 artifact in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from edgevision.errors import OptionError
from edgevision_keras.training.layers import FakeQuantize, QuantizedLayer
from edgevision_keras.training.structure import Step, Structure, Value, is_graph, structure_of, values_in

_BACKENDS = ("tensorflow", "jax")
#: Layers that multiply with weights.
_PRODUCTS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv2DTranspose,
    keras.layers.Dense,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
)
_OF_SEQUENCES = (keras.layers.Conv1D, keras.layers.DepthwiseConv1D)
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
#: Other layers with weights, whose inner values stay float in every artifact.
_WITH_OTHER_WEIGHTS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.Normalization,
    keras.layers.PReLU,
    keras.layers.RMSNormalization,
)
#: Layers and operations that change no value at inference, only its place, or choose some.
_PASSING = frozenset(
    (
        *("ActivityRegularization", "AlphaDropout", "Cropping1D", "Cropping2D", "Dropout", "ExpandDims"),
        *("Flatten", "GaussianDropout", "GaussianNoise", "GetItem", "Identity", "MaxPooling1D"),
        *("MaxPooling2D", "Permute", "RepeatVector", "Reshape", "SpatialDropout1D", "SpatialDropout2D"),
        *("Squeeze", "StopGradient", "Transpose", "ZeroPadding1D", "ZeroPadding2D"),
    )
)
#: Layers and operations with outputs from 0 to 1, or a fixed range: every artifact knows it.
_SCORES = frozenset({"LogSoftmax", "Softmax", "log_softmax", "softmax"})
_LARGEST_RECTIFIED = 6


def quantization_aware(model: Any, *, symmetric: bool = False) -> Any:
    """A model that computes as an int8 artifact of `model` does; see `edgevision.quantization_aware`.

    Args:
        model: a functional or sequential Keras 3 model; models in it may be, too. It is not changed.
        symmetric: activations have no zero point.

    Returns:
        A functional `keras.Model` with copies of the weights, not compiled. Layers keep their names.

    Raises:
        OptionError: the model, a layer, or the backend of Keras is not supported; names them.
    """
    if keras.config.backend() not in _BACKENDS:
        raise OptionError(
            f"quantization-aware training runs on the backends {' and '.join(_BACKENDS)} of Keras, not on "
            f"'{keras.config.backend()}'; set KERAS_BACKEND=tensorflow before importing keras"
        )
    if not is_graph(model):
        raise OptionError(
            f"model: expected a functional or sequential Keras 3 model with known inputs, got "
            f"{type(model).__name__}; build it from keras.Input, or call a sequential model on an image first"
        )
    structure = structure_of(model)
    _check(model, structure)
    return _Rewriting(model, structure, symmetric).run()


def _check(model: Any, structure: Structure) -> None:
    """Raise an OptionError that names the layers that are not supported."""
    if any(isinstance(step.operation, (FakeQuantize, QuantizedLayer)) for step in structure.steps):
        raise OptionError(f"model '{model.name}' is quantization-aware already; train it with fit")
    named = dict.fromkeys(
        _named(step.operation) for step in structure.steps if not _supported(step.operation)
    )
    if named:
        raise OptionError(
            f"model '{model.name}': quantization-aware training does not support {', '.join(named)}; "
            "replace these layers, or convert the model as it is, with --calibration"
        )


def _named(operation: Any) -> str:
    padding = getattr(operation, "padding", "")
    detail = " with channels first" if _is_channels_first(operation) else ""
    detail = " with causal padding" if padding == "causal" else detail
    return f"'{operation.name}' ({type(operation).__name__}{detail})"


def _supported(operation: Any) -> bool:
    if not isinstance(operation, keras.layers.Layer) or not operation.weights:
        return True
    if isinstance(operation, (*_PRODUCTS, *_SEPARABLE)):
        return not _is_channels_first(operation) and getattr(operation, "padding", "") != "causal"
    # Seeds of random numbers are state of layers, too.
    only_state = all("seed" in weight.path for weight in operation.weights)
    return only_state or isinstance(operation, _WITH_OTHER_WEIGHTS)


def _is_channels_first(operation: Any) -> bool:
    return getattr(operation, "data_format", None) == "channels_first"


class _Rewriting:
    """Builds the new model step by step.

    Args:
        model: the trained model.
        structure: its steps.
        symmetric: as for `quantization_aware`.
    """

    def __init__(self, model: Any, structure: Structure, symmetric: bool) -> None:
        self._model, self._structure, self._symmetric = model, structure, symmetric
        self._tensors: dict[Value, Any] = {}
        self._new: dict[int, Any] = {}  # by the identity of a layer, which may be called more than once
        self._names: set[str] = set()
        self._done: set[Step] = set()

    def run(self) -> Any:
        """The new model."""
        inputs = [
            keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name)
            for tensor in self._model.inputs
        ]
        for value, tensor in zip(self._structure.inputs, inputs, strict=True):
            self._tensors[value] = tensor
            if value.readers and _is_float(tensor):
                self._tensors[value] = self._rounded(tensor, f"{tensor.name}_range", widest=True)
        for step in self._structure.steps:
            if step not in self._done:
                self._add(step)
        outputs = keras.tree.map_structure(self._tensor, self._structure.returned)
        packed = (
            keras.tree.pack_sequence_as(self._model._inputs_struct, inputs)
            if _is_nested(self._model)
            else inputs
        )
        return keras.Model(packed, outputs, name=self._model.name)

    def _tensor(self, leaf: Any) -> Any:
        return self._tensors[leaf] if isinstance(leaf, Value) else leaf

    def _add(self, step: Step) -> None:
        if isinstance(step.operation, _PRODUCTS):
            self._add_product(step)
        elif isinstance(step.operation, _SEPARABLE):
            self._add_separable(step)
        else:
            self._add_other(step)

    def _add_product(self, step: Step) -> None:
        chain = self._chain(step)
        layer = self._new.get(id(step.operation))
        if layer is None:
            norm, after = _parts(chain)
            name = self._free(step.operation.name)
            returned = chain[-1].outputs[0].is_output
            layer = self._quantized(step.operation, norm, after, name, widest=returned)
            self._new[id(step.operation)] = layer
        self._done.update(chain)
        (value,) = values_in(step.args)
        self._tensors[chain[-1].outputs[0]] = layer(self._tensors[value])

    def _quantized(
        self, layer: Any, norm: Any, after: Any, name: str, *, widest: bool = False
    ) -> QuantizedLayer:
        """The layers as one, with their weights."""
        linear = _linear(layer, name)
        own = layer.activation
        if after is None and own is not keras.activations.linear:
            activation = keras.layers.Activation(own, name=f"{name}_activation")
        else:
            activation = None if after is None else _as_layer(after)
        has_scores = activation is not None and _is_scores(activation)
        new = QuantizedLayer(
            linear,
            None if norm is None else _with_config(norm, dtype="float32"),
            activation,
            rounds_product=activation is not None and not _is_rectifier(activation),
            rounds_output=not has_scores,
            is_sequence=isinstance(layer, _OF_SEQUENCES),
            symmetric=self._symmetric,
            widest=widest,
            name=name,
        )
        new.build(layer._build_shapes_dict["input_shape"])
        new.layer.set_weights(
            [
                values.reshape(one.shape)
                for values, one in zip(layer.get_weights(), new.layer.weights, strict=True)
            ]
        )
        if norm is not None:
            new.norm.set_weights(norm.get_weights())
        new.trainable = layer.trainable
        return new

    def _chain(self, step: Step) -> list[Step]:
        """A layer with the normalization and the rectifier after it that belong to it alone."""
        chain = [step]
        if (
            step.operation.activation is not keras.activations.linear
            or self._structure.calls(step.operation) > 1
        ):
            return chain
        following = step.outputs[0].only_reader
        if following is not None and _is_norm(following) and self._structure.calls(following.operation) == 1:
            chain.append(following)
            following = following.outputs[0].only_reader
        if following is not None and _is_rectifier(following.operation):
            chain.append(following)
        return chain

    def _add_separable(self, step: Step) -> None:
        """A separable convolution as the two that artifacts compute."""
        layer, chain = step.operation, self._chain(step)
        (value,) = values_in(step.args)
        pair = self._new.get(id(layer))
        if pair is None:
            pair = self._pair(layer, chain)
            self._new[id(layer)] = pair
        self._done.update(chain)
        tensor = self._tensors[value]
        for each in pair:
            tensor = each(tensor)
        self._tensors[chain[-1].outputs[0]] = tensor

    def _pair(self, layer: Any, chain: Sequence[Step]) -> tuple[QuantizedLayer, QuantizedLayer]:
        two = isinstance(layer, keras.layers.SeparableConv2D)
        depthwise, pointwise = (
            (keras.layers.DepthwiseConv2D, keras.layers.Conv2D)
            if two
            else (keras.layers.DepthwiseConv1D, keras.layers.Conv1D)
        )
        shape = layer._build_shapes_dict["input_shape"]
        first = depthwise(
            layer.kernel_size,
            layer.strides if two else layer.strides[0],
            layer.padding,
            layer.depth_multiplier,
            dilation_rate=layer.dilation_rate,
            use_bias=False,
        )
        first.build(shape)
        second = pointwise(layer.filters, 1, use_bias=layer.use_bias, activation=layer.activation)
        second.build(first.compute_output_shape(shape))
        kernels = layer.get_weights()
        first.set_weights(kernels[:1])
        second.set_weights(kernels[1:])
        first.trainable = second.trainable = layer.trainable
        names = self._free(f"{layer.name}_depthwise"), self._free(layer.name)
        return (
            self._quantized(first, None, None, names[0]),
            self._quantized(second, *_parts(chain), names[1], widest=chain[-1].outputs[0].is_output),
        )

    def _add_other(self, step: Step) -> None:
        operation = step.operation
        is_rounded = self._is_rounded(step)
        # The last layer of a step keeps its name, as losses and metrics go by the names of outputs.
        renamed = is_rounded and any(value.is_output for value in step.outputs)
        args, kwargs = keras.tree.map_structure(self._tensor, (step.args, dict(step.kwargs)))
        new = self._new.get(id(operation))
        if new is None:
            new = self._copied(operation, f"{operation.name}_float" if renamed else operation.name)
            self._new[id(operation)] = new
        results = keras.tree.flatten(new(*args, **kwargs))
        if isinstance(operation, keras.layers.Layer) and operation.weights:
            new.set_weights(operation.get_weights())
        for place, (value, result) in enumerate(zip(step.outputs, results, strict=True)):
            rounds = is_rounded and _is_float(result)
            name = operation.name if renamed and not place else f"{operation.name}_range"
            self._tensors[value] = self._rounded(result, name, widest=value.is_output) if rounds else result

    def _copied(self, operation: Any, name: str) -> Any:
        if not isinstance(operation, keras.layers.Layer):
            return operation
        new = _with_config(operation, name=self._free(name))
        # Artifacts have the moving statistics of a normalization that nothing is folded into.
        new.trainable = operation.trainable and not isinstance(operation, keras.layers.BatchNormalization)
        return new

    def _is_rounded(self, step: Step) -> bool:
        """True for what artifacts compute in int8, and round before anything else reads it."""
        kind = type(step.operation).__name__
        if (
            kind in _PASSING
            or kind.startswith("Random")
            or _is_scores(step.operation)
            or _is_nearest(step.operation)
        ):
            return False
        following = step.outputs[0].only_reader if len(step.outputs) == 1 else None
        return following is None or not _is_rectifier(following.operation)

    def _rounded(self, tensor: Any, name: str, *, widest: bool = False) -> Any:
        return FakeQuantize(self._symmetric, widest, name=self._free(name))(tensor)

    def _free(self, name: str) -> str:
        """The name, with a number if a layer of another nested model has it."""
        free, number = name, 1
        while free in self._names:
            free, number = f"{name}_{number}", number + 1
        self._names.add(free)
        return free


def _linear(layer: Any, name: str) -> Any:
    """A new layer without activation, and without weights; one of sequences as that of images of one row."""
    changes = {"activation": "linear", "name": name, "dtype": "float32"}
    if not isinstance(layer, _OF_SEQUENCES):
        return _with_config(layer, **changes)
    config = {**layer.get_config(), **changes}
    for key in ("kernel_size", "strides", "dilation_rate"):
        config[key] = (1, *config[key])
    is_depthwise = isinstance(layer, keras.layers.DepthwiseConv1D)
    return (keras.layers.DepthwiseConv2D if is_depthwise else keras.layers.Conv2D).from_config(config)


def _with_config(layer: Any, **changes: Any) -> Any:
    """A new layer like another, without its weights."""
    config = layer.get_config()
    return type(layer).from_config({**config, **{key: new for key, new in changes.items() if key in config}})


def _parts(chain: Sequence[Step]) -> tuple[Any, Any]:
    """The normalization and the rectifier of a chain; `None` for one that is not there."""
    norm = next((each.operation for each in chain if _is_norm(each)), None)
    after = next((each.operation for each in chain[1:] if not _is_norm(each)), None)
    return norm, after


def _as_layer(rectifier: Any) -> Any:
    """A new layer for a rectifier, which may be an operation."""
    if isinstance(rectifier, keras.layers.Layer):
        return _with_config(rectifier)
    largest = _LARGEST_RECTIFIED if type(rectifier).__name__ == "Relu6" else None
    return keras.layers.ReLU(largest)


def _is_norm(step: Step) -> bool:
    operation = step.operation
    if not isinstance(operation, keras.layers.BatchNormalization):
        return False
    rank = len(operation._build_shapes_dict["input_shape"])
    return operation.axis in (-1, rank - 1)


def _is_rectifier(operation: Any) -> bool:
    """True for what artifacts compute in the layer before, so that nothing is rounded between the two."""
    function = getattr(operation, "activation", None)
    if isinstance(operation, keras.layers.Activation):
        return function in (keras.activations.relu, keras.activations.relu6)
    if isinstance(operation, keras.layers.ReLU):
        plain = not operation.negative_slope and not operation.threshold
        return plain and operation.max_value in (None, _LARGEST_RECTIFIED)
    return type(operation).__name__ in ("Relu", "Relu6")


def _is_scores(operation: Any) -> bool:
    function = getattr(getattr(operation, "activation", None), "__name__", "")
    return type(operation).__name__ in _SCORES or (
        isinstance(operation, keras.layers.Activation) and function in _SCORES
    )


def _is_nearest(operation: Any) -> bool:
    is_resizing = type(operation).__name__ in ("UpSampling1D", "UpSampling2D")
    return is_resizing and getattr(operation, "interpolation", "nearest") == "nearest"


def _is_float(tensor: Any) -> bool:
    return str(tensor.dtype).startswith(("float", "bfloat"))


def _is_nested(model: Any) -> bool:
    return isinstance(getattr(model, "_inputs_struct", None), dict)
