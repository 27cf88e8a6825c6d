"""The baseline of all measurements: the runtime's own call, without copying inputs or outputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def bare_litert(path: Path) -> Callable[[], object]:
    """LiteRT's ``invoke`` on one thread, its input already set."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    interpreter.set_tensor(details["index"], _picture(tuple(details["shape"]), details["dtype"]))
    return interpreter.invoke  # type: ignore[no-any-return]


def bare_openvino(path: Path) -> Callable[[], object]:
    """OpenVINO's blocking ``infer`` on one thread, for a batch of one in shared input memory."""
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    shape = [1, *(size.get_length() for size in list(model.inputs[0].partial_shape)[1:])]
    model.reshape(shape)
    config = {
        "INFERENCE_NUM_THREADS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "EXECUTION_MODE_HINT": "ACCURACY",
    }
    compiled = core.compile_model(model, "CPU", config)
    request = compiled.create_infer_request()
    picture = _picture(tuple(shape), compiled.inputs[0].element_type.to_dtype())
    request.set_input_tensor(0, openvino.Tensor(picture, shared_memory=True))
    return lambda: request.infer(share_outputs=True)


def _picture(shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[np.generic]:
    return np.random.default_rng(0).integers(0, 120, shape).astype(dtype)
