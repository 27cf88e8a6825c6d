"""A check that the answer of a model to an image depends on that image alone.

Otherwise nothing can be compared with it: not its artifacts, and not itself.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from edgevision.errors import SourceError, first_line
from edgevision_keras.graph.trace import Trace
from edgevision_keras.libraries import require_tensorflow

_RANDOM = re.compile(
    r"(Stateless|Stateful)?(Random|TruncatedNormal|ParameterizedTruncatedNormal|StandardNormal|Multinomial)"
    r"|Stateful(Uniform|UniformInt|UniformFullInt)$"
)
_DRAWING = re.compile("stateless|stateful|random_uniform|random_normal")
#: Larger differences of answers, relative to the largest, do not come from rounding.
_TOLERANCE = 1e-3


def check_answers(trace: Trace, path: Path) -> None:
    """Refuse a model with random answers, or whose answers depend on other images of the batch.

    Raises:
        SourceError: names the layer, or the output.
    """
    for operation in trace.frozen.graph.get_operations():
        if _RANDOM.match(operation.type):
            raise SourceError(
                f"{path}: layer '{_layer(operation.name)}' draws random numbers, so that "
                "no two answers are the same; convert the .keras file (Keras leaves augmentation active in "
                "what model.export writes), or save the model without training=True in that layer's call"
            )
    _check_alone(trace, path)


def _check_alone(trace: Trace, path: Path) -> None:
    """Refuse a model whose answer to an image depends on other images."""
    tf = require_tensorflow()
    rng = np.random.default_rng(0)
    image = len(trace.inputs) == 1 and len(trace.inputs[0].shape) == 4
    # Whole numbers are valid for inputs that hold class numbers as well.
    examples = [
        rng.integers(0, 256 if image else 2, (3, *spec.with_batch(1)[1:])).astype(np.float32)
        for spec in trace.inputs
    ]
    try:
        with tf.device("/CPU:0"):
            first, second = (
                trace.call(*(tf.constant(values[[0, beside]]) for values in examples)) for beside in (1, 2)
            )
    except tf.errors.OpError as error:
        raise SourceError(
            f"{path}: the model cannot be run on a batch of two: {first_line(error)}"
        ) from error
    for name in first:
        answers, again = first[name].numpy(), second[name].numpy()
        if answers.shape[:1] != (2,) or again.shape != answers.shape:
            continue
        # Outside of the range that a model was trained for, its outputs may overflow.
        finite = np.isfinite(answers[0]) & np.isfinite(again[0])
        one, other = answers[0][finite], again[0][finite]
        if float(np.abs(one - other).max(initial=0.0)) > _TOLERANCE * float(np.abs(one).max(initial=0.0)):
            raise SourceError(
                f"{path}: output '{name}' for one image depends on the other images of the batch, or on "
                "earlier calls: a layer runs as in training, or keeps a state; convert the .keras file "
                "of the model, or save it without training=True and stateful=True"
            )


def _layer(operation_name: str) -> str:
    """The scope that draws the numbers, without those of the functions that it calls."""
    scopes = operation_name.split("/")[:-1]
    own = [
        scope for scope in scopes if not re.match(r"(stateless|stateful|random_uniform|random_normal)", scope)
    ]
    return (own or [operation_name])[-1]
