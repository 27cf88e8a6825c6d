"""The cost of evidence: a conversion for three targets, compared with bare calls of the same libraries.

    python benchmarks/evidence_run.py --runs 3

Both sides run in separate processes, alternately. The bare side imports TensorFlow, loads ResNet-8,
converts it to int8 for TFLite, ONNX and OpenVINO with the default settings of the libraries and 500
calibration images, and runs the Keras model and the three artifacts over 5,000 images. The other side is
`edgevision convert` with the same number of images of the same sets. The shortest wall time and CPU time of
each side count.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np

#: Not imported from `networks`, which imports edgevision: the bare side must not pay for that.
SHARED = Path(__file__).parents[2] / "shared"
TARGETS = ("generic-cpu", "intel-cpu", "onnx-cpu")
GOAL = 1.5
#: Module or class, its function, and the stage; time is attributed to the innermost stage.
STAGES = (
    ("importlib", "import_module", "libraries: import"),
    ("edgevision.conversion.convert", "open_sets", "image sets: list, read, check"),
    ("edgevision_keras.reading.reader", "_open", "Keras: load"),
    ("edgevision_keras.reading.reader", "_trace", "Keras: trace and freeze"),
    ("edgevision_keras.source", "prepare", "int8: fold, equalize, ranges"),
    ("edgevision_keras.quantization.prepare", "_round_layers", "int8: round weights together"),
    ("edgevision_keras.tflite.TfliteConverter", "convert", "TFLite: convert"),
    ("edgevision_keras.openvino.OpenVINOConverter", "convert", "OpenVINO: convert"),
    ("edgevision_keras.onnx.OnnxConverter", "convert", "ONNX: convert"),
    ("edgevision.conversion.candidates", "open_session", "artifacts: load"),
    ("edgevision.conversion.reference", "measure", "source and artifacts: measure"),
    ("edgevision.conversion.trials", "measure", "source and artifacts: measure"),
    ("edgevision.conversion.trials", "judge", "metrics and intervals"),
    ("edgevision.conversion.candidate_times", "run_costs_in_turn", "latency and memory, in other processes"),
    ("edgevision.conversion.convert", "coverage_of", "calibration coverage"),
    ("edgevision.conversion.package", "known_answers", "known answers"),
    ("edgevision.conversion.convert", "example_pictures", "pictures"),
    ("edgevision.conversion.convert", "write_bundle", "write the bundle"),
)


@dataclass
class Stopwatch:
    """Wall and CPU seconds of this process and its finished children, per stage.

    Attributes:
        spent: stage -> [wall, CPU].
    """

    spent: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0]))
    _open: list[str] = field(default_factory=lambda: ["other"])
    _since: tuple[float, float] = field(default_factory=lambda: (time.perf_counter(), _cpu()))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Attribute the time to `name` until the block ends."""
        self._count()
        self._open.append(name)
        try:
            yield
        finally:
            self._count()
            self._open.pop()

    def _count(self) -> None:
        now = time.perf_counter(), _cpu()
        row = self.spent[self._open[-1]]
        for place, (end, start) in enumerate(zip(now, self._since, strict=True)):
            row[place] += end - start
        self._since = now

    def around(self, owner: Any, name: str, stage: str) -> None:
        """Attribute calls of `owner.name` from the main thread to `stage`."""
        function = getattr(owner, name)

        @wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                return function(*arguments, **options)
            with self.stage(stage):
                return function(*arguments, **options)

        setattr(owner, name, timed)


@click.command()
@click.option("--runs", default=3, show_default=True)
@click.option("--calibration-samples", default=500, show_default=True)
@click.option(
    "--shared",
    type=click.Path(exists=True, path_type=Path),
    default=SHARED,
    help="Folder with models and images.",
)
@click.option("--side", type=click.Choice(["bare", "ours"]), hidden=True)
def main(runs: int, calibration_samples: int, shared: Path, side: str | None) -> None:
    """Print the time of each side by stage, and their ratio."""
    if side is not None:
        spent = {"bare": _bare, "ours": _ours}[side](shared, calibration_samples)
        click.echo(json.dumps(spent))
        return
    words = [f"--shared={shared}", f"--calibration-samples={calibration_samples}"]
    sides: dict[str, list[Run]] = {"bare": [], "ours": []}
    for _ in range(runs):
        for name, rows in sides.items():
            rows.append(_run([*words, f"--side={name}"]))
    for name, rows in sides.items():
        _echo(name, rows)
    for place, what in enumerate(("wall", "CPU")):
        ours, bare = (min(row.total[place] for row in sides[name]) for name in ("ours", "bare"))
        ratios = ", ".join(
            f"{our_run.total[place] / bare_run.total[place]:.2f}"
            for our_run, bare_run in zip(sides["ours"], sides["bare"], strict=True)
        )
        click.echo(
            f"{what}: {ours:.1f} s over {bare:.1f} s: x{ours / bare:.2f} (runs: {ratios}), goal {GOAL}"
        )


@dataclass(frozen=True)
class Run:
    """One process: [wall, CPU] seconds in total and per stage."""

    total: tuple[float, float]
    stages: dict[str, list[float]]


def _run(words: Sequence[str]) -> Run:
    before, begun = _cpu(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, __file__, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    total = time.perf_counter() - begun, _cpu(resource.RUSAGE_CHILDREN) - before
    if done.returncode:
        raise click.ClickException(f"a process failed: {' '.join(command)}\n{done.stderr[-2000:]}")
    return Run(total, json.loads(done.stdout.splitlines()[-1]))


def _echo(name: str, rows: Sequence[Run]) -> None:
    click.echo(f"{name}: shortest of {len(rows)} runs in seconds, wall and CPU")
    for stage in rows[0].stages:
        seconds = (min(row.stages[stage][place] for row in rows) for place in (0, 1))
        click.echo(f"  {stage:40}" + "".join(f"{value:8.2f}" for value in seconds))
    seconds = (min(row.total[place] for row in rows) for place in (0, 1))
    click.echo(f"  {'total, with process start and end':40}" + "".join(f"{value:8.2f}" for value in seconds))


def _cpu(whose: int | None = None) -> float:
    """CPU seconds of finished children, or of this process and its finished children."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN) if whose is None else (whose,)
    used = [resource.getrusage(kind) for kind in kinds]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _ours(shared: Path, calibration_samples: int) -> dict[str, list[float]]:
    """Run the command, and discard its output."""
    watch = Stopwatch()
    with watch.stage("edgevision: import"):
        from edgevision.cli.convert import command

        # The stages are those of this process, which so converts itself.
        module = importlib.import_module("edgevision.conversion.convert")
        module.convert_isolated = lambda request, limits, progress: module.Conversion.prepare(
            request, module.registry(), progress
        ).run()
        for owner, name, stage in STAGES:
            watch.around(_owner(owner), name, stage)
    words = [str(shared / "models" / "resnet8_cifar10.h5"), "--input-range=0..255"]
    words += [word for name in TARGETS for word in ("--target", name)]
    words += ["--calibration", str(shared / "data" / "cifar10-train.zip")]
    words += ["--evaluation", str(shared / "data" / "cifar10-test.zip")]
    words += ["--calibration-samples", str(calibration_samples), "--json"]
    with tempfile.TemporaryDirectory() as folder, watch.stage("other"):
        command.main([*words, "-o", str(Path(folder, "resnet8.evb"))], standalone_mode=False)
    return watch.spent


def _owner(owner: str) -> Any:
    """The module or the class with this dotted name."""
    try:
        return importlib.import_module(owner)
    except ModuleNotFoundError:
        module, _, name = owner.rpartition(".")
        return getattr(importlib.import_module(module), name)


def _bare(shared: Path, calibration_samples: int) -> dict[str, list[float]]:
    watch = Stopwatch()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with watch.stage("libraries: import"):
        import tensorflow as tf
        import tf_keras
    with watch.stage("images: decode"):
        calibration = _images(shared / "data" / "cifar10-train.zip", calibration_samples)
        evaluation = _images(shared / "data" / "cifar10-test.zip")
    with watch.stage("Keras: load"):
        model = tf_keras.models.load_model(shared / "models" / "resnet8_cifar10.h5", compile=False)
    answers = {}
    with watch.stage("Keras: 5,000 images"):
        answers["keras"] = model.predict(evaluation, verbose=0)
    with watch.stage("TFLite: convert"):
        tflite = _bare_tflite(tf, model, calibration)
    with watch.stage("TFLite: 5,000 images"):
        answers["tflite"] = _run_tflite(tflite, evaluation)
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder)
        with watch.stage("libraries: import"):
            import tf2onnx  # noqa: F401
            from onnxruntime import quantization  # noqa: F401
        with watch.stage("ONNX: convert"):
            _bare_onnx(tf, model, calibration, files)
        with watch.stage("ONNX: 5,000 images"):
            answers["onnx"] = _run_onnx(files / "int8.onnx", evaluation)
        with watch.stage("libraries: import"):
            import nncf  # noqa: F401
            import openvino  # noqa: F401
        with watch.stage("OpenVINO: convert"):
            _bare_openvino(calibration, files)
        with watch.stage("OpenVINO: 5,000 images"):
            answers["openvino"] = _run_openvino(files / "int8.xml", evaluation)
    _check(answers)
    return watch.spent


def _images(archive: Path, count: int | None = None) -> Any:
    """(n, height, width, 3) float32, 0 to 255: all images, or `count` evenly spaced ones."""
    with zipfile.ZipFile(archive) as members:
        names = sorted(name for name in members.namelist() if name.endswith(".jpg"))
        places = np.linspace(0, len(names) - 1, count or len(names)).round().astype(int)
        encoded = [np.frombuffer(members.read(names[place]), np.uint8) for place in places]
    return np.stack([cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) for data in encoded]).astype(np.float32)


def _bare_tflite(tf: Any, model: Any, calibration: Any) -> bytes:
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def _bare_onnx(tf: Any, model: Any, calibration: Any, files: Path) -> None:
    import tf2onnx
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._images = iter(calibration)

        def get_next(self) -> dict[str, Any] | None:
            image = next(self._images, None)
            return None if image is None else {"image": image[None]}

    signature = [tf.TensorSpec((None, *calibration.shape[1:]), tf.float32, name="image")]
    tf2onnx.convert.from_keras(model, signature, opset=17, output_path=str(files / "float32.onnx"))
    quantization.quantize_static(files / "float32.onnx", files / "int8.onnx", Reader())


def _bare_openvino(calibration: Any, files: Path) -> None:
    """Convert the ONNX file, which is the fastest way."""
    import nncf
    import openvino

    graph = openvino.convert_model(files / "float32.onnx")
    dataset = nncf.Dataset([image[None] for image in calibration])
    openvino.save_model(nncf.quantize(graph, dataset, subset_size=len(calibration)), files / "int8.xml")


def _run_tflite(content: bytes, images: Any) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (image_input,), (scores,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero = image_input["quantization"]
    answers = []
    for image in np.clip(np.round(images / scale + zero), -128, 127).astype(np.int8):
        interpreter.set_tensor(image_input["index"], image[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(scores["index"])[0])
    return np.stack(answers)


def _run_onnx(path: Path, images: Any) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # more are slower on so small a network
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return np.stack([session.run(None, {"image": image[None]})[0][0] for image in images])


def _run_openvino(path: Path, images: Any) -> Any:
    import openvino

    compiled = openvino.compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": 1})
    request = compiled.create_infer_request()
    return np.stack([request.infer(image[None], share_inputs=True)[0][0].copy() for image in images])


def _check(answers: dict[str, Any]) -> None:
    """Refuse to compare unless the bare artifacts work."""
    expected = answers["keras"].argmax(axis=1)
    for name, scores in answers.items():
        agreement = float((scores.argmax(axis=1) == expected).mean())
        if agreement < 0.8:
            raise click.ClickException(f"{name} agrees with Keras on only {agreement:.1%} of the images")


if __name__ == "__main__":
    main()
