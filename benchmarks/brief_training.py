"""Trains the networks of `architectures.toml` for a minute, so that their answers are above chance.

The statistics of batch normalizations are those of training images, and the last layer is fitted by ridge
regression: both take seconds, and a network with random weights before them already tells classes apart.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from cifar_pictures import Pictures, resized
from numpy.typing import NDArray

#: From images, classes and a model's answers to one number.
Loss = Callable[[Any, Any, Any], Any]

_BATCH = 64
#: Images whose statistics batch normalizations get, and that the last layer is fitted on.
_SETTLING, _FITTING = 256, 6000
_CLASSES = 10
#: Accuracy at which training ends, and how often the time is spent at most.
_ENOUGH, _MOST_ROUNDS = 0.38, 4
_PENALTIES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
#: Values of a feature map that the last layer of a segmenter is fitted on, per image.
_POSITIONS = 16


@dataclass(frozen=True)
class Lesson:
    """Images and classes that a network is taught.

    Attributes:
        images: (n, 32, 32, 3) uint8.
        classes: (n,).
        pixels_wh: size of the network's input.
        white: the value of white at the network's input.
    """

    images: Pictures
    classes: NDArray[np.int64]
    pixels_wh: tuple[int, int]
    white: float

    def inputs(self, places: Any) -> NDArray[np.float32]:
        """Network inputs of the images at `places`."""
        pictures = resized(self.images[places], *self.pixels_wh)
        return pictures.astype(np.float32) * np.float32(self.white / 255)


def teach_classes(model: Any, lesson: Lesson, seconds: float) -> None:
    """Train a network whose only output has a score per class, or a map of them.

    A minute after the other, until it tells classes apart: deep networks need more than the first.
    """
    is_map = len(model.output_shape) == 4
    loss = _map_loss(model) if is_map else _class_loss(model)
    for _ in range(_MOST_ROUNDS):
        train(model, lesson, seconds, loss)
        settle(model, lesson)
        if _fit_last_layer(model, lesson) >= _ENOUGH or seconds <= 0:
            return


def settle(model: Any, lesson: Lesson) -> None:
    """Give batch normalizations the statistics of training images, without dropping anything."""
    norms = _norms(model)
    if not norms:
        return
    places = np.linspace(0, len(lesson.images) - 1, _SETTLING).astype(int)
    with _replaced(norms, "momentum", 0.0), _without_dropping(list(model._flatten_layers())):
        model(named(model, lesson.inputs(places)), training=True)


def _norms(model: Any) -> list[Any]:
    import keras

    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]


def _class_loss(model: Any) -> Loss:
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=not _ends_in_softmax(model))
    return lambda images, classes, answers: loss(classes, answers)


def _map_loss(model: Any) -> Loss:
    import tensorflow as tf

    loss = _class_loss(model)
    return lambda images, classes, answers: loss(
        tf.tile(classes[:, None, None], (1, *answers.shape[1:3])), answers
    )


def _ends_in_softmax(model: Any) -> bool:
    last = list(model._flatten_layers())[-3:]
    return any(getattr(getattr(layer, "activation", None), "__name__", "") == "softmax" for layer in last)


def train(model: Any, lesson: Lesson, seconds: float, loss: Loss) -> None:
    """Train with Adam and a cosine schedule over the processor time, which begins when the graph is compiled.

    Args:
        model: changed in place.
        lesson: what it learns.
        seconds: of processor time; 0 trains nothing.
        loss: from images, classes and the model's answers.
    """
    import keras
    import tensorflow as tf

    if seconds <= 0:
        return
    optimizer = keras.optimizers.Adam(1e-3, clipnorm=1.0)
    optimizer.build(model.trainable_variables)
    norms = _norms(model)

    @tf.function
    def step(inputs: Any, classes: Any) -> Any:
        with tf.GradientTape() as tape:
            value = loss(inputs, classes, model(named(model, inputs), training=True))
        optimizer.apply(tape.gradient(value, model.trainable_variables), model.trainable_variables)
        return value

    rng, begun = np.random.default_rng(0), None
    with _replaced(norms, "momentum", 0.9):
        while begun is None or time.process_time() - begun < seconds:
            places = rng.integers(0, len(lesson.images), _BATCH)
            inputs = lesson.inputs(places)
            mirrored = rng.random(_BATCH) < 0.5
            inputs[mirrored] = inputs[mirrored, :, ::-1]
            value = step(tf.constant(inputs), tf.constant(lesson.classes[places]))
            if not math.isfinite(float(value)):
                raise RuntimeError("the training diverged")
            begun = begun or time.process_time()
            passed = min(1.0, (time.process_time() - begun) / seconds)
            optimizer.learning_rate.assign(1e-3 * 0.5 * (1 + math.cos(math.pi * passed)))


def _fit_last_layer(model: Any, lesson: Lesson) -> float:
    """Ridge regression of the classes on the features before the last layer with weights; its accuracy.

    Its penalty is the largest that costs less than a point of accuracy on a fifth of the images, on which the
    temperature of the scores is chosen as well.
    """
    head = [layer for layer in model._flatten_layers() if _scores_classes(layer)][-1]
    places = np.linspace(0, len(lesson.images) - 1, min(_FITTING, len(lesson.images))).astype(int)
    np.random.default_rng(1).shuffle(places)
    features, classes = _features(model, head, lesson, places)
    weights, bias, accuracy = _ridge(features, classes)
    shape = tuple(head.kernel.shape)
    head.kernel.assign(weights.reshape(shape))
    if head.use_bias:
        head.bias.assign(bias)
    return accuracy


def _scores_classes(layer: Any) -> bool:
    kernel = getattr(layer, "kernel", None)
    return kernel is not None and kernel.shape[-1] == _CLASSES and math.prod(kernel.shape[:-2] or (1,)) == 1


def _features(model: Any, head: Any, lesson: Lesson, places: Any) -> tuple[Any, Any]:
    """(n, features) float64 and (n,) classes: one per image, or one per position of some."""
    import tensorflow as tf

    seen: list[Any] = []
    call = head.call

    def recording(inputs: Any, *rest: Any, **named: Any) -> Any:
        seen.append(inputs)
        return call(inputs, *rest, **named)

    @tf.function
    def features_of(inputs: Any) -> Any:
        model(named(model, inputs), training=False)
        return seen[-1]

    rng, parts, classes = np.random.default_rng(2), [], []
    head.call = recording
    try:
        for start in range(0, len(places), _BATCH):
            part = places[start : start + _BATCH]
            found = np.asarray(features_of(tf.constant(lesson.inputs(part))), np.float64)
            found = found.reshape(len(part), -1, found.shape[-1])
            chosen = rng.permutation(found.shape[1])[:_POSITIONS]
            parts.append(found[:, chosen].reshape(-1, found.shape[-1]))
            classes.append(np.repeat(lesson.classes[part], len(chosen)))
    finally:
        del head.call
    return np.concatenate(parts), np.concatenate(classes)


def _ridge(features: Any, classes: Any) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Weights (features, classes) and bias (classes,) of logits, and their accuracy on held-out images."""
    wanted = np.eye(_CLASSES)[classes]
    fitting = int(len(features) * 0.8)
    # One scale for all: a feature that hardly varies must not get a weight that makes its noise matter.
    mean, deviation = features[:fitting].mean(0), features[:fitting].std(0).max() + 1e-6
    scaled = (features - mean) / deviation
    product = scaled[:fitting].T @ scaled[:fitting]
    aim = scaled[:fitting].T @ (wanted[:fitting] - 1 / _CLASSES)

    def solved(penalty: float) -> Any:
        return np.linalg.solve(product + penalty * fitting * np.eye(len(product)), aim)

    held_out, right = scaled[fitting:], classes[fitting:]
    found = [solved(penalty) for penalty in _PENALTIES]
    accuracies = [float(((held_out @ weights).argmax(1) == right).mean()) for weights in found]
    near_best = [place for place, value in enumerate(accuracies) if value >= max(accuracies) - 0.01]
    best = found[near_best[-1]]
    temperature = min((2.0**power for power in range(10)), key=lambda t: _loss(t * (held_out @ best), right))
    weights = temperature * best / deviation
    bias = temperature / _CLASSES - mean @ weights
    return weights.astype(np.float32), bias.astype(np.float32), accuracies[near_best[-1]]


def _loss(logits: Any, classes: Any) -> float:
    peak = logits.max(1, keepdims=True)
    norm = np.log(np.exp(logits - peak).sum(1)) + peak[:, 0]
    return float((norm - logits[np.arange(len(classes)), classes]).mean())


def named(model: Any, inputs: Any) -> Any:
    """The inputs as the model takes them: some of KerasHub's take a dictionary."""
    return dict.fromkeys(model.input, inputs) if isinstance(model.input, dict) else inputs


@contextmanager
def _replaced(layers: list[Any], name: str, value: float) -> Iterator[None]:
    before = [getattr(layer, name) for layer in layers]
    for layer in layers:
        setattr(layer, name, value)
    try:
        yield
    finally:
        for layer, old in zip(layers, before, strict=True):
            setattr(layer, name, old)


@contextmanager
def _without_dropping(layers: list[Any]) -> Iterator[None]:
    """A context in which layers that drop values at random drop none."""
    with ExitStack() as stack:
        for name in ("rate", "drop_rate", "drop_path_rate", "drop_prob"):
            dropping = [layer for layer in layers if isinstance(getattr(layer, name, None), float)]
            stack.enter_context(_replaced(dropping, name, 0.0))
        yield
