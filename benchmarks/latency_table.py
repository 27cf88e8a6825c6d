"""Measure the precisions against float32 on this processor, for the latency table that the package carries.

    python benchmarks/latency_table.py [NETWORK …]

converts six small networks with random weights to every precision that the CPU targets have, times the
artifacts of each network in turn, and replaces this architecture's part of
``edgevision/conversion/latency_table.toml``. A search uses the table for targets of this architecture that
the machine of the conversion is not one of. Run it on an idle machine.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

from edgevision.artifact import CALIBRATED, Artifact
from edgevision.backend import SessionSettings
from edgevision.conversion.latency_table import PATH, kind_of
from edgevision.conversion.speed import architecture
from edgevision.converter import Converter, Source
from edgevision.errors import EdgeVisionError
from edgevision.execution.run_costs import RunCosts, RunSubject, run_costs_in_turn, slowdown
from edgevision.plugins import registry
from edgevision.system.machine import processor
from edgevision.target import load_targets

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TARGETS = ("generic-cpu", "intel-cpu", "onnx-cpu")
CALIBRATION_IMAGES = 12


def convolutions() -> keras.Model:
    """Three plain convolutions and a dense layer, as in a first tutorial."""
    image = keras.Input((32, 32, 3))
    x = image
    for filters in (16, 32, 64):
        x = layers.MaxPooling2D()(layers.Conv2D(filters, 3, padding="same", activation="relu")(x))
    return keras.Model(image, layers.Dense(10, activation="softmax")(layers.Flatten()(x)))


def residual() -> keras.Model:
    """A residual network for 64x64 images."""
    image = keras.Input((64, 64, 3))
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(image)
    for filters in (16, 32, 64):
        y = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same", use_bias=False)(y))
        x = layers.ReLU()(layers.Add()([y, layers.Conv2D(filters, 1, strides=2)(x)]))
    return keras.Model(image, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def separable() -> keras.Model:
    """MobileNetV2 with a third of its channels, for 96x96 images."""
    return keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None, classes=10)


def narrow() -> keras.Model:
    """Convolutions of few channels on a large map, as in small networks for one kind of object."""
    image = keras.Input((64, 64, 1))
    x = layers.Conv2D(8, 3, activation="relu")(layers.Conv2D(8, 3, activation="relu")(image))
    for filters in (16, 32, 64):
        y = layers.SeparableConv2D(filters, 3, padding="same", activation="relu")(x)
        y = layers.MaxPooling2D(3, strides=2, padding="same")(
            layers.SeparableConv2D(filters, 3, padding="same")(y)
        )
        x = layers.Add()([y, layers.Conv2D(filters, 1, strides=2)(x)])
    return keras.Model(image, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def layer_normalized() -> keras.Model:
    """Depthwise convolutions with layer normalization and GELU, as in a ConvNeXt."""
    image = keras.Input((64, 64, 3))
    x = layers.Conv2D(48, 4, strides=4)(image)
    for _ in range(4):
        y = layers.LayerNormalization()(layers.DepthwiseConv2D(7, padding="same")(x))
        x = layers.Add()([x, layers.Dense(48)(layers.Dense(192, activation="gelu")(y))])
    pooled = layers.GlobalAveragePooling2D()(layers.LayerNormalization()(x))
    return keras.Model(image, layers.Dense(10, activation="softmax")(pooled))


def transformer() -> keras.Model:
    """A vision transformer of 64 patches."""
    image = keras.Input((64, 64, 3))
    x = layers.Reshape((64, 64))(layers.Conv2D(64, 8, strides=8)(image))
    for _ in range(4):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(4, 16)(y, y)])
        y = layers.Dense(128, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(64)(y)])
    pooled = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(image, layers.Dense(10, activation="softmax")(pooled))


NETWORKS: tuple[Callable[[], keras.Model], ...] = (
    convolutions,
    residual,
    separable,
    narrow,
    layer_normalized,
    transformer,
)


#: backend -> kind -> network -> precision -> time relative to float32
Found = dict[str, dict[str, dict[str, dict[str, float]]]]


def main(names: Sequence[str]) -> None:
    """Measure the networks of these names, or all; print, and write the table."""
    keras.utils.set_random_seed(0)
    found: Found = {}
    versions = set()
    with tempfile.TemporaryDirectory() as folder:
        for build in (one for one in NETWORKS if not names or one.__name__ in names):
            path = Path(folder, f"{build.__name__}.keras")
            build().save(path)
            reader = next(one for one in registry().readers().values() if one.reads(path))
            source = reader.read(path, trust_source=False, input_size_wh=None)
            for target in (load_targets()[name] for name in TARGETS):
                artifacts = artifacts_of(source, target.format, target.precisions)
                if "int8" not in artifacts:
                    continue  # its kind is not known
                ratios, kind = relative_times(artifacts, target.backend), kind_of(artifacts["int8"])
                found.setdefault(target.backend, {}).setdefault(kind, {})[build.__name__] = ratios
                versions.add(registry().backend(target.backend).version())
                print(target.backend, build.__name__, kind, ratios, flush=True)
    if not found:
        sys.exit(f"nothing was measured; the networks are: {', '.join(build.__name__ for build in NETWORKS)}")
    write(found, f"{processor()} with {', '.join(sorted(versions))}")


def artifacts_of(source: Source, artifact_format: str, precisions: tuple[str, ...]) -> dict[str, Artifact]:
    """Precision -> artifact, of those that can be converted."""
    random = np.random.default_rng(0)
    shape = [1, *source.inputs[0].shape[1:]]
    name = source.inputs[0].name
    images = [{name: random.random(shape, np.float32)} for _ in range(CALIBRATION_IMAGES)]
    found = {}
    for precision in precisions:
        try:
            converter = converter_for(source, artifact_format, precision)
            found[precision] = converter.convert(
                source, precision, images if precision in CALIBRATED else None
            )
        except EdgeVisionError as error:
            print(f"{artifact_format}-{precision}: {error}")
    return found


def converter_for(source: Source, artifact_format: str, precision: str) -> Converter:
    """The converter for an artifact."""
    return next(
        one
        for one in registry().converters().values()
        if (one.kind, one.format) == (source.kind, artifact_format) and precision in one.precisions
    )


def relative_times(artifacts: Mapping[str, Artifact], backend: str) -> dict[str, float]:
    """Precision -> CPU time of an inference divided by that of float32."""
    settings = SessionSettings(device="cpu")
    subjects = {name: RunSubject(artifact, backend, settings) for name, artifact in artifacts.items()}
    costs = {name: one for name, one in run_costs_in_turn(subjects).items() if isinstance(one, RunCosts)}
    return {name: round(slowdown(one, costs["float32"]), 3) for name, one in costs.items()}


def write(found: Found, machine: str) -> None:
    """Replace these networks in the part of this architecture; the whole part, if the machine is another."""
    document: dict[str, Any] = tomllib.loads(PATH.read_text(encoding="utf-8")) if PATH.exists() else {}
    before = document.get(architecture(), {})
    measured = {name for kinds in found.values() for networks in kinds.values() for name in networks}
    if before.get("machine") == machine:
        for backend, kinds in before.items():
            for kind, row in kinds.items() if backend != "machine" else ():
                for place, name in enumerate(row["networks"]):
                    if name not in measured:
                        ratios = {precision: values[place] for precision, values in row["ratios"].items()}
                        found.setdefault(backend, {}).setdefault(kind, {})[name] = ratios
    order = [build.__name__ for build in NETWORKS]
    rows = {
        backend: {
            kind: row_of(dict(sorted(networks.items(), key=lambda item: order.index(item[0]))))
            for kind, networks in sorted(kinds.items())
        }
        for backend, kinds in sorted(found.items())
    }
    document[architecture()] = {"machine": machine, **rows}
    PATH.write_text("\n".join(lines(document)), encoding="utf-8")


def row_of(networks: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """The networks, and the ratios of each precision that all of them have."""
    shared = set.intersection(*(set(ratios) for ratios in networks.values()))
    ratios = {
        precision: [one[precision] for one in networks.values()]
        for precision in next(iter(networks.values()))
        if precision in shared
    }
    return {"networks": list(networks), "ratios": ratios}


def lines(document: Mapping[str, Any]) -> list[str]:
    """The table as TOML."""
    text = [
        "# CPU time of an inference by precision, divided by that of float32, of each of the networks named.",
        "# Written by `python benchmarks/latency_table.py` on a machine of each architecture.",
    ]
    for name, table in document.items():
        text += ["", f"[{name}]", f'machine = "{table["machine"]}"']
        for backend, kinds in table.items():
            if backend == "machine":
                continue
            for kind, row in kinds.items():
                names = ", ".join(f'"{one}"' for one in row["networks"])
                text += ["", f"[{name}.{backend}.{kind}]", f"networks = [{names}]"]
                text += [f"ratios.{precision} = {ratios}" for precision, ratios in row["ratios"].items()]
    return [*text, ""]


if __name__ == "__main__":
    main(sys.argv[1:])
