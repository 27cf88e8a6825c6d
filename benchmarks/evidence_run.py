"""A conversion with all its evidence, beside bare converter calls and bare inference on the same images.

    python benchmarks/evidence_run.py --rounds 3

Needs the extra `convert`. Each side is a process of its own, by turns; wall and CPU seconds of the whole
process, children included. The bare side imports TensorFlow, reads the model, calls each library's own
converter as its documentation has it, and runs the Keras model and every artifact over the evaluation images:
it measures nothing, checks nothing, and keeps nothing.
"""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import click
import cv2
import numpy as np
from networks import SHARED
from numpy.typing import NDArray

MODEL = "models/resnet8_cifar10.h5"
CALIBRATION, EVALUATION = "data/cifar10-train.zip", "data/cifar10-test.zip"
TARGETS = ("generic-cpu", "intel-cpu", "onnx-cpu")
CALIBRATION_IMAGES = 500

Images = list[NDArray[np.float32]]


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option(
    "--shared", type=click.Path(exists=True, path_type=Path), default=SHARED, help="Model and images."
)
@click.option("--bare", is_flag=True, help="Be the bare side: what the benchmark starts.")
def main(rounds: int, shared: Path, bare: bool) -> None:
    """Print what both sides take."""
    if bare:
        _bare(shared)
        return
    with tempfile.TemporaryDirectory() as folder:
        ours = [sys.executable, "-m", "edgevision", "convert", str(shared / MODEL), "--force", "--json"]
        ours += [part for target in TARGETS for part in ("--target", target)]
        ours += ["--calibration", str(shared / CALIBRATION), "--calibration-samples", str(CALIBRATION_IMAGES)]
        ours += ["--evaluation", str(shared / EVALUATION), "--input-range", "0..255"]
        ours += ["--output", str(Path(folder, "resnet8.evb"))]
        theirs = [sys.executable, __file__, "--bare", "--shared", str(shared)]
        taken: dict[str, list[tuple[float, float]]] = {"ours": [], "bare": []}
        for _ in range(rounds):
            for name, command in (("bare", theirs), ("ours", ours)):
                taken[name].append(_run(command))
                print(f"{name}: {taken[name][-1][0]:.1f} s wall, {taken[name][-1][1]:.1f} s CPU", flush=True)
    wall, cpu = (
        median(one[at] for one in taken["ours"]) / median(one[at] for one in taken["bare"]) for at in (0, 1)
    )
    print(f"ours over bare, medians of {rounds}: x{wall:.2f} wall, x{cpu:.2f} CPU; allowed: 1.5")


def _run(command: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of a process and its children."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise click.ClickException(f"{' '.join(command)}:\n{done.stderr[-2000:]}")
    for line in done.stdout.splitlines():
        if line.startswith("stage "):
            print(f"    {line[6:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _bare(shared: Path) -> None:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    began = time.perf_counter()

    def told(stage: str) -> None:
        nonlocal began
        print(f"stage {stage}: {time.perf_counter() - began:.1f} s")
        began = time.perf_counter()

    import keras
    import tensorflow  # noqa: F401

    model = keras.models.load_model(shared / MODEL, compile=False)
    told("import and read")
    calibration = _images(shared / CALIBRATION, CALIBRATION_IMAGES)
    evaluation = _images(shared / EVALUATION, None)
    told("decode")
    tflite = _tflite(model, calibration)
    told("TFLite int8")
    plain, onnx = _onnx(model, calibration)
    told("ONNX int8")
    openvino = _openvino(plain, calibration)
    told("OpenVINO int8")
    model.predict(np.concatenate(evaluation), verbose=0)
    told("Keras over the images")
    for name, infer in (("TFLite", tflite), ("ONNX", onnx), ("OpenVINO", openvino)):
        for image in evaluation:
            infer(image)
        told(f"{name} over the images")


def _images(path: Path, count: int | None) -> Images:
    """Evenly chosen from a zip, each (1, 32, 32, 3) float32 RGB of 0…255."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        names = names[:: len(names) // count][:count] if count else names
        contents = [archive.read(name) for name in names]
    flags = cv2.IMREAD_COLOR_RGB
    return [cv2.imdecode(np.frombuffer(one, np.uint8), flags)[None].astype(np.float32) for one in contents]


def _tflite(model: Any, images: Images) -> Callable[[NDArray[np.float32]], object]:
    import tensorflow
    from ai_edge_litert.interpreter import Interpreter

    converter = tensorflow.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image] for image in images)
    converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tensorflow.int8
    interpreter = Interpreter(model_content=converter.convert(), num_threads=1)
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def infer(image: NDArray[np.float32]) -> object:
        interpreter.set_tensor(taken["index"], (image - 128).astype(np.int8))
        interpreter.invoke()
        return interpreter.get_tensor(given["index"])

    return infer


def _onnx(model: Any, images: Images) -> tuple[bytes, Callable[[NDArray[np.float32]], object]]:
    """The float model, and inference of the quantized one."""
    import onnxruntime
    import tensorflow
    import tf2onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    spec = tensorflow.TensorSpec((None, 32, 32, 3), tensorflow.float32, name="image")
    function = tensorflow.function(lambda image: model(image, training=False))
    plain, _ = tf2onnx.convert.from_function(function, [spec], opset=17)

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._rows: Iterator[dict[str, NDArray[np.float32]]] = iter({"image": one} for one in images)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self._rows, None)

    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder, name)) for name in ("plain.onnx", "ready.onnx", "int8.onnx")]
        Path(paths[0]).write_bytes(plain.SerializeToString())
        quant_pre_process(*paths[:2], skip_symbolic_shape=True)
        quantize_static(paths[1], paths[2], Reader(), quant_format=QuantFormat.QDQ, per_channel=True)
        content = Path(paths[2]).read_bytes()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return plain.SerializeToString(), lambda image: session.run(None, {"image": image})


def _openvino(plain: bytes, images: Images) -> Callable[[NDArray[np.float32]], object]:
    import nncf
    import openvino

    model = openvino.Core().read_model(io.BytesIO(plain))
    quantized = nncf.quantize(model, nncf.Dataset(images), subset_size=len(images))
    quantized.reshape([1, 32, 32, 3])
    compiled = openvino.Core().compile_model(quantized, "CPU", {"INFERENCE_NUM_THREADS": 1})
    request = compiled.create_infer_request()
    return lambda image: request.infer([image])


if __name__ == "__main__":
    main()
