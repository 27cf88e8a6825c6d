"""From a frame to a typed result with EdgeVision, MediaPipe Tasks, OpenVINO Model API and tutorial code.

    python benchmarks/peers.py --seconds 20

One process, one thread if the peer has an option for it, interleaved. Needs the extra `benchmarks`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from networks import SHARED, Network, frame, networks
from numpy.typing import NDArray

from edgevision.system.timing import interleave

Pixels = NDArray[np.uint8]
Run = Callable[[Pixels], object]


@click.command()
@click.option("--seconds", default=10.0, show_default=True, help="Duration per network and frame.")
@click.option("--only", default="", help="Only networks with this text in their name.")
@click.option(
    "--shared",
    type=click.Path(exists=True, path_type=Path),
    default=SHARED,
    help="Folder of models and images.",
)
def main(seconds: float, only: str, shared: Path) -> None:
    """Print the CPU time and the lowest wall time of each path, relative to the bare runtime."""
    for network in networks(shared):
        if only.lower() in network.name.lower():
            _compare(network, seconds, shared)


def _compare(network: Network, seconds: float, shared: Path) -> None:
    paths, absent = _paths(network)
    if len(paths) < 2:
        return
    for size_wh in network.frames_wh:
        pixels = frame(size_wh, shared)
        calls = {name: partial(path, pixels) for name, path in paths.items()}
        times = interleave({"bare runtime": network.bare_invoke(), **calls}, seconds)
        base = times["bare runtime"]
        print(f"{network.name}, {network.backend}, {size_wh[0]}x{size_wh[1]}, {len(base)} rounds")
        for name, path_times in times.items():
            cpu = path_times.cpu_us / base.cpu_us
            wall = path_times.least_wall_us / base.least_wall_us
            print(f"    {name:24}{path_times.cpu_us:10.1f} us CPU  x{cpu:.3f}   lowest wall x{wall:.3f}")
    for name, why in absent.items():
        print(f"    {name}: {why}")


def _paths(network: Network) -> tuple[dict[str, Run], dict[str, str]]:
    """Every path that supports the network, and the reason for each one that does not."""
    makers = {"edgevision": lambda network: network.load()}
    if network.backend == "tflite":
        makers |= {"MediaPipe Tasks": _mediapipe, "PIL and numpy": _tutorial}
    else:
        makers |= {"OpenVINO Model API": _model_api}
    paths, absent = {}, {}
    for name, make in makers.items():
        try:
            paths[name] = make(network)
            paths[name](np.zeros((480, 640, 3), np.uint8))
        except Exception as error:  # an unsupported network is reported in the result
            paths.pop(name, None)
            absent[name] = f"not supported: {str(error).splitlines()[0][:120] if str(error) else error!r}"
    return paths, absent


def _mediapipe(network: Network) -> Run:
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    base = BaseOptions(model_asset_path=str(network.artifact))
    if network.task == "classify":
        task: Any = vision.ImageClassifier.create_from_options(
            vision.ImageClassifierOptions(base_options=base, max_results=1)
        )
        run = task.classify
    else:
        options = vision.ObjectDetectorOptions(base_options=base, score_threshold=0.25)
        task = vision.ObjectDetector.create_from_options(options)
        run = task.detect
    return lambda image: run(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image))


def _model_api(network: Network) -> Run:
    from model_api.models import Model

    if network.task != "classify":
        raise ValueError("Model API does not support the outputs of this detector")
    settings = {"confidence_threshold": 0.0, "topk": 1, "labels": [str(n) for n in range(2000)]}
    path = str(network.artifact)
    return Model.create_model(path, "Classification", settings, device="CPU", nthreads=1, precision="FP32")  # type: ignore[no-any-return]


def _tutorial(network: Network) -> Run:
    """Resize with PIL, normalize and quantize with numpy, then set, invoke and read the interpreter."""
    from ai_edge_litert.interpreter import Interpreter
    from PIL import Image

    interpreter = Interpreter(model_path=str(network.artifact), num_threads=1)
    interpreter.allocate_tensors()
    input_details, output_details = interpreter.get_input_details()[0], interpreter.get_output_details()
    height, width = (int(side) for side in input_details["shape"][1:3])
    scale, zero_point = input_details["quantization"]

    def run(image: Pixels) -> Any:
        small = np.asarray(Image.fromarray(image).resize((width, height)), np.float32)
        values = (small / 127.5 - 1.0) / (scale or 1.0) + zero_point
        info = np.iinfo(input_details["dtype"])
        quantized = np.clip(np.round(values), info.min, info.max).astype(input_details["dtype"])
        interpreter.set_tensor(input_details["index"], quantized[np.newaxis])
        interpreter.invoke()
        outputs = [interpreter.get_tensor(details["index"]) for details in output_details]
        if network.task == "classify":
            best = int(outputs[0][0].argmax())
            return best, float(outputs[0][0][best])
        boxes, classes, scores = (output[0] for output in outputs[:3])
        size = np.array((image.shape[0], image.shape[1]) * 2)
        return [
            (box * size, int(c), float(s))
            for box, c, s in zip(boxes, classes, scores, strict=True)
            if s > 0.25
        ]

    return run


if __name__ == "__main__":
    main()
