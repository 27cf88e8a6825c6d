"""Libraries are imported without their telemetry, and without files in the home folder."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from edgevision.system import telemetry
from edgevision.system.telemetry import without_telemetry


@pytest.fixture(autouse=True)
def _unwarned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "_warned", set())


def test_opting_out_precedes_the_import_and_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    monkeypatch.setitem(sys.modules, "openvino_telemetry", sys)
    with without_telemetry():
        assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
        with pytest.raises(ModuleNotFoundError):
            __import__("openvino_telemetry")
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    assert sys.modules["openvino_telemetry"] is sys


@pytest.mark.parametrize(
    ("imported", "value", "warned"),
    [
        (("onnxruntime",), "0", "onnxruntime was imported before .* set ORT_DISABLE_TELEMETRY=1"),
        (("onnxruntime",), "1", None),
        (("openvino", "openvino_telemetry"), "1", "openvino was imported before .* opt_in_out --opt_out"),
        (("openvino",), "1", None),
        ((), "0", None),
    ],
)
def test_a_library_that_was_imported_with_its_telemetry_is_warned_of_once(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    imported: tuple[str, ...],
    value: str,
    warned: str | None,
) -> None:
    import re

    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", value)
    for name in ("onnxruntime", "openvino", "openvino_telemetry"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in imported:
        monkeypatch.setitem(sys.modules, name, sys)
    with caplog.at_level(logging.WARNING, "edgevision"):
        for _ in range(2):
            monkeypatch.setenv("ORT_DISABLE_TELEMETRY", value)
            with without_telemetry():
                pass
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == (0 if warned is None else 1)
    assert warned is None or re.search(warned, messages[0])


@pytest.mark.parametrize("module", ["keras", "tf_keras"])
@pytest.mark.convert
def test_keras_writes_no_settings_and_keeps_its_usual_folder(tmp_path: Path, module: str) -> None:
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    program = f"""
from edgevision.system.telemetry import without_telemetry
with without_telemetry():
    import {module}
import os, sys
assert "KERAS_HOME" not in os.environ
folder = sys.modules["keras.src.backend.config"]._KERAS_DIR if "{module}" == "keras" else "~/.keras"
print(os.path.expanduser(folder))
"""
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "KERAS_BACKEND": "tensorflow",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1] == str(tmp_path / ".keras"), done.stderr[-2000:]
    assert list(tmp_path.iterdir()) == []
