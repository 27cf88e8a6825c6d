"""Error of single operations in int8, and of the usual converters.

    python benchmarks/operations.py                          # all operations, on all runtimes
    python benchmarks/operations.py --runtime tflite --only where_zero

Each network is a convolution and one operation on its output. The error is the mean squared difference from
Keras on images that were not calibrated on, relative to the variance of Keras's values. It shows kernels and
scales that are wrong; operations that jump, such as a comparison, keep an error of some percent.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

import edgevision
from edgevision.artifact import Artifact
from edgevision.converter import SourceOptions
from edgevision.plugins import registry
from edgevision.session import open_session

RUNTIMES = ("tflite", "openvino", "onnx")
_IMAGES, _CALIBRATION, _PIXELS, _CHANNELS = 40, 30, 16, 8
#: From which error on a row is marked.
_LARGE = 0.01

Operation = Callable[[Any], Any]


def operations() -> dict[str, Operation]:
    """Name -> an operation on a (batch, 16, 16, 8) tensor of values around zero."""
    import keras
    from keras import layers, ops

    one = {
        name: layers.Activation(name)
        for name in (
            *("celu", "elu", "gelu", "hard_sigmoid", "hard_silu", "leaky_relu", "log_sigmoid", "log_softmax"),
            *(
                "mish",
                "relu6",
                "selu",
                "sigmoid",
                "silu",
                "softmax",
                "softplus",
                "softsign",
                "squareplus",
                "tanh",
            ),
            *("softsign", "squareplus", "tanh", "hard_shrink", "soft_shrink", "tanh_shrink", "sparse_plus"),
        )
    }
    return one | {
        "where_zero": lambda x: ops.where(x > 0, x, 0.1 * x),
        "where_folded": lambda x: ops.where(x > 0.3, x, -x),
        "where_between": lambda x: ops.where(ops.logical_and(x > 0, x < 0.5), x, 0.0 * x),
        "where_masked": lambda x: ops.softmax(ops.where(x > 0, x, -1e9), axis=-1),
        "less_of_two": lambda x: ops.where(x < ops.flip(x, 2), x, ops.flip(x, 1)),
        "concatenate_ranges": lambda x: ops.concatenate([x, 50.0 * x], -1),
        "log_sum_exp": lambda x: ops.logsumexp(x, axis=-1),
        "maximum": lambda x: ops.maximum(x, ops.flip(x, 2)),
        "clip": lambda x: ops.clip(x, -0.2, 0.2),
        "abs": ops.abs,
        "square": ops.square,
        "sqrt": lambda x: ops.sqrt(ops.abs(x)),
        "rsqrt": lambda x: ops.rsqrt(ops.abs(x) + 0.5),
        "exp": lambda x: ops.exp(-ops.abs(x)),
        "log": lambda x: ops.log(ops.abs(x) + 0.5),
        "divide": lambda x: x / (ops.abs(ops.flip(x, 2)) + 0.5),
        "multiply": lambda x: x * ops.flip(x, 2),
        "multiply_by_channel": lambda x: x * np.logspace(-3, 1, _CHANNELS).astype(np.float32),
        "subtract": lambda x: x - ops.flip(x, 2),
        "mean": lambda x: ops.mean(x, axis=(1, 2)),
        "variance": lambda x: ops.var(x, axis=-1),
        "sum": lambda x: ops.sum(x, axis=-1),
        "max": lambda x: ops.max(x, axis=-1),
        "top_3": lambda x: ops.top_k(x, 3)[0],
        "argmax": lambda x: ops.cast(ops.argmax(x, axis=-1), "float32"),
        "cumulative_sum": lambda x: ops.cumsum(x, axis=-1),
        "matrix_product": lambda x: ops.matmul(x, ops.transpose(x, (0, 1, 3, 2))),
        "normalize": lambda x: ops.normalize(x, axis=-1),
        "pad_reflect": lambda x: ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="reflect"),
        "resize_bilinear": lambda x: ops.image.resize(x, (20, 20)),
        "roll": lambda x: ops.roll(x, 2, axis=1),
        "split": lambda x: ops.concatenate(ops.split(x, 2, axis=-1)[::-1], -1),
        "transpose": lambda x: ops.transpose(x, (0, 3, 1, 2)),
        "average_pooling": layers.AveragePooling2D(2),
        "max_pooling": layers.MaxPooling2D(3, 2, padding="same"),
        "depthwise": layers.DepthwiseConv2D(3),
        "dilated": layers.Conv2D(8, 3, dilation_rate=2, name="after"),
        "transposed": layers.Conv2DTranspose(4, 3, strides=2, padding="same"),
        "prelu": layers.PReLU(alpha_initializer=keras.initializers.Constant(0.3)),
        "layer_normalization": layers.LayerNormalization(),
        "group_normalization": layers.GroupNormalization(4),
    }


@click.command()
@click.option("--runtime", "runtimes", multiple=True, type=click.Choice(RUNTIMES), default=RUNTIMES)
@click.option("--only", multiple=True, help="Operations with this name; repeatable.")
def main(runtimes: Sequence[str], only: Sequence[str]) -> None:
    """Print the errors of each operation as a Markdown table."""
    click.echo("| operation | runtime | ours | usual | float operations of ours |\n|" + " --- |" * 5)
    images = np.random.default_rng(0).uniform(-1, 1, (_IMAGES, _PIXELS, _PIXELS, 3)).astype(np.float32)
    for name, operation in operations().items():
        if not only or name in only:
            for row in _rows(name, operation, runtimes, images):
                click.echo(row)


def _rows(
    name: str, operation: Operation, runtimes: Sequence[str], images: NDArray[np.float32]
) -> Iterator[str]:
    source, expected = _source(operation, images)
    (spec,) = source.inputs
    calibration = [{spec.name: image[np.newaxis]} for image in images[:_CALIBRATION]]
    for runtime in runtimes:
        converter: Any = next(each for each in registry().converters().values() if each.format == runtime)
        cells, floats = [], ""
        for convert in (converter.convert, converter.convert_plain):
            try:
                artifact = convert(source, "int8", calibration)
                error = _error(runtime, artifact, images[_CALIBRATION:], expected[_CALIBRATION:])
                cells.append(f"**{error:.2g}**" if error > _LARGE else f"{error:.2g}")
                record = artifact.quantization
                floats = floats or ", ".join(
                    each.operation for each in (record.float_operations if record else ())
                )
            except edgevision.EdgeVisionError as refusal:
                cells.append(str(refusal)[:80])
        yield f"| {name} | {runtime} | {cells[0]} | {cells[1]} | {floats} |"


def _source(operation: Operation, images: NDArray[np.float32]) -> tuple[Any, NDArray[np.float32]]:
    """A network with the operation, as a source, and Keras's values on the images."""
    import keras

    keras.utils.set_random_seed(1)
    image = keras.Input((_PIXELS, _PIXELS, 3), name="image")
    wide = keras.initializers.RandomNormal(stddev=0.3)
    x = keras.layers.Conv2D(_CHANNELS, 3, padding="same", kernel_initializer=wide, name="before")(image)
    model = keras.Model(image, operation(x))
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        reader: Any = next(each for each in registry().readers().values() if each.reads(path))
        source = reader.read_with_options(path, SourceOptions(), trust_source=False, input_size_wh=None)
    return source, np.asarray(model(images), np.float32)


def _error(
    runtime: str, artifact: Artifact, images: NDArray[np.float32], expected: NDArray[np.float32]
) -> float:
    with open_session(
        registry().backend(runtime), artifact, edgevision.SessionSettings(threads=1)
    ) as session:
        (spec,), (output,) = session.inputs, session.outputs
        rows = [session.run({spec.name: spec.quantize(image[np.newaxis])}) for image in images]
        found = output.dequantize(np.concatenate([row[output.name] for row in rows])).reshape(expected.shape)
    return float(np.mean((found - expected) ** 2) / expected.var())


if __name__ == "__main__":
    main()
