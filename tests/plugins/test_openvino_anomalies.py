"""Published faults of OpenVINO that the backend is immune to: see ``docs/known-anomalies.md``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision.artifact import Artifact
from edgevision.backend import SessionSettings
from edgevision.errors import InputError
from edgevision.session import open_session
from edgevision_openvino import compiled
from edgevision_openvino.backend import OpenVINOBackend

if find_spec("openvino") is None:  # importing it here would run its telemetry
    pytest.skip("needs the extra `openvino`", allow_module_level=True)

BACKEND = OpenVINOBackend()
OPEN_BATCHES = ["tiny_ir", "tiny_onnx", "tiny_int8_tflite"]


def images(artifact_input: Any, batch: int, seed: int = 0) -> dict[str, Any]:
    values = np.random.default_rng(seed).integers(0, 100, artifact_input.with_batch(batch))
    return {artifact_input.name: values.astype(artifact_input.dtype)}


@pytest.mark.parametrize("artifact", OPEN_BATCHES)
@pytest.mark.parametrize("hint", ["latency", "throughput"])
def test_no_model_is_compiled_with_an_open_dimension(
    artifact: str, hint: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """openvino#37577: int8 and any dynamic dimension is a SIGSEGV on CPUs with AMX."""
    seen = []

    class Core:
        def compile_model(self, model: Any, *settings: Any) -> Any:
            seen.append(all(port.partial_shape.is_static for port in model.inputs))
            return real.compile_model(model, *settings)

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    real = compiled.core()
    monkeypatch.setattr(compiled, "core", Core)
    settings = SessionSettings(options={"performance_hint": hint})
    with open_session(BACKEND, request.getfixturevalue(artifact), settings) as session:
        (spec,) = session.inputs
        for batch in (1, 2, 5) if spec.dynamic_batch else (1,):
            outputs = session.run(images(spec, batch))
            assert all(len(values) == batch for values in outputs.values())
    assert seen
    assert all(seen)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("hint", ["latency", "throughput"])
def test_no_queue_of_requests_is_used_whatever_the_hint(
    tiny_ir: Artifact, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ultralytics#25923: `AsyncInferQueue` hangs: none is made, and threads have their own requests."""
    import openvino

    def refuse(*_: Any) -> None:
        raise AssertionError("AsyncInferQueue")

    monkeypatch.setattr(openvino, "AsyncInferQueue", refuse)
    sources = Path(compiled.__file__).parent.glob("*.py")
    assert not [file.name for file in sources if "AsyncInferQueue" in file.read_text()]
    with open_session(BACKEND, tiny_ir, SessionSettings(options={"performance_hint": hint})) as session:
        (spec,) = session.inputs
        requests = [images(spec, 1 + number % 3, number) for number in range(40)]
        expected = [session.run(each) for each in requests]
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(session.run, requests))
    for answer, other in zip(answers, expected, strict=True):
        for name, values in answer.items():
            np.testing.assert_allclose(values, other[name], atol=1e-6)


def test_an_input_of_another_shape_never_gets_the_answer_of_the_call_before(tiny_ir: Artifact) -> None:
    """On one thread a dynamic model swallows the error of its shape."""
    with open_session(BACKEND, tiny_ir, SessionSettings(threads=1)) as session:
        (spec,) = session.inputs
        session.run(images(spec, 1))
        wrong = np.zeros((1, *spec.shape[1:-1], spec.shape[-1] + 1), spec.dtype)
        with pytest.raises(InputError):
            session.run({spec.name: wrong})
