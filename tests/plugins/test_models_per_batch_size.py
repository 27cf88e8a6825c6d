"""Runtimes that compile for a fixed batch size: right answers for any size, and memory freed on closing."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from edgevision.artifact import Artifact
from edgevision.backend import SessionSettings
from edgevision.plugins import registry
from edgevision.session import open_session
from edgevision.slots import PooledSession

IMAGE = np.random.default_rng(5).random((1, 3, 8, 8), np.float32)


RUNTIMES = {"onnx": ("onnxruntime", "tiny_onnx"), "openvino": ("openvino", "tiny_ir")}
#: Backend -> the object behind its slots that owns the compiled models.
OWNERS: dict[str, Callable[[Any], object]] = {
    "onnx": lambda slots: slots._create.__self__,
    "openvino": lambda slots: slots._create._models,
}


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> tuple[str, Artifact]:
    """Name of a backend, and an artifact of its format."""
    module, artifact = RUNTIMES[request.param]
    if find_spec(module) is None:
        pytest.skip(f"needs the extra `{request.param}`")
    return request.param, request.getfixturevalue(artifact)


def test_more_batch_sizes_than_are_kept_get_right_answers(runtime: tuple[str, Artifact]) -> None:
    name, artifact = runtime
    with open_session(registry().backend(name), artifact) as session:
        alone = session.run({"image": IMAGE})["scores"]
        for batch in (2, 3, 4, 5, 6, 1):
            scores = session.run({"image": np.repeat(IMAGE, batch, axis=0)})["scores"]
            np.testing.assert_allclose(scores, np.repeat(alone, batch, axis=0), rtol=1e-5)


def test_closing_a_session_frees_its_models_without_the_garbage_collector(
    runtime: tuple[str, Artifact],
) -> None:
    name, artifact = runtime
    session = registry().backend(name).open(artifact, SessionSettings())
    assert isinstance(session, PooledSession)
    session.run({"image": IMAGE})
    models = weakref.ref(OWNERS[name](session.slots))
    gc.disable()
    try:
        session.close()
        assert models() is None
    finally:
        gc.enable()
