"""Libraries are imported without their telemetry."""

from __future__ import annotations

import os
import sys

import pytest

from edgevision.system.telemetry import without_telemetry


def test_opting_out_precedes_the_import_and_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    monkeypatch.setitem(sys.modules, "openvino_telemetry", sys)
    with without_telemetry():
        assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
        with pytest.raises(ModuleNotFoundError):
            __import__("openvino_telemetry")
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    assert sys.modules["openvino_telemetry"] is sys
