"""The artifacts that targets need, and the backend that measures each."""

from __future__ import annotations

import pytest

from edgevision import hookimpl
from edgevision.conversion.plan import measurement_backend_for, plan_artifacts, symmetric_targets
from edgevision.errors import OptionError
from edgevision.plugins import discover, registry
from edgevision.target import BUILT_IN, Target, read_targets
from edgevision.testing import FakeBackend

TARGETS = read_targets(BUILT_IN)


def _planned(names: str, *precisions: str) -> list[str]:
    planned = plan_artifacts([TARGETS[name] for name in names.split()], precisions)
    return [f"{one.id}: {' '.join(target.name for target in one.targets)}" for one in planned]


def test_each_target_gets_its_cheapest_precision_by_default() -> None:
    assert _planned("raspberry-pi-5 intel-cpu cuda") == [
        "tflite-int8: raspberry-pi-5",
        "openvino-int8: intel-cpu",
        "onnx-float16: cuda",
    ]


def test_targets_that_need_the_same_artifact_share_it() -> None:
    assert _planned("raspberry-pi-5 raspberry-pi-4") == ["tflite-int8: raspberry-pi-5 raspberry-pi-4"]


def test_every_named_precision_is_planned_for_the_targets_that_support_it() -> None:
    assert _planned("coral-edgetpu raspberry-pi-5", "int8", "float32") == [
        "tflite-int8-full-integer: coral-edgetpu",
        "tflite-int8: raspberry-pi-5",
        "tflite-float32: raspberry-pi-5",
    ]


@pytest.mark.parametrize(
    ("names", "precisions", "message"),
    [
        ("", (), "no target; pass --target NAME"),
        ("coral-edgetpu", ("float32",), "target 'coral-edgetpu' does not support float32; it supports: int8"),
        ("raspberry-pi-5", ("int4",), "no precision 'int4'; supported: float32"),
    ],
)
def test_a_plan_that_no_target_supports_is_refused(
    names: str, precisions: tuple[str, ...], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        _planned(names, *precisions)


def _measurement_backend(names: str) -> tuple[str, str | None, bool]:
    measured_on = measurement_backend_for(
        plan_artifacts([TARGETS[name] for name in names.split()], ("float32",))[0], registry()
    )
    return (
        measured_on.backend.name,
        measured_on.settings.device,
        measured_on.on_target,
    )


def test_an_artifact_is_measured_on_its_targets_backend_and_device() -> None:
    assert _measurement_backend("intel-cpu") == ("openvino", "cpu", True)


def test_where_the_device_is_absent_the_backends_default_device_stands_in_and_is_marked() -> None:
    if any(device.name.startswith("gpu") for device in registry().backend("openvino").devices()):
        pytest.skip("this machine has the Intel GPU whose absence is tested")
    assert _measurement_backend("intel-gpu") == ("openvino", None, False)
    assert _measurement_backend("intel-gpu intel-cpu") == ("openvino", "cpu", True)


def test_where_the_backend_cannot_run_its_stand_in_does_and_is_marked() -> None:
    if any(status.ready for status in registry().backend_statuses() if status.name == "cuda"):
        pytest.skip("this machine has the NVIDIA GPU whose absence is tested")
    assert _measurement_backend("jetson-orin") == ("onnx", None, False)


class _FakePlugin:
    @hookimpl
    def edgevision_backends(self):
        return [FakeBackend()]


def test_a_device_without_float32_is_opened_in_its_own_compute_precision() -> None:
    plugins = discover([])
    plugins.register(_FakePlugin(), "fake")
    target = Target("npu", "an NPU", "fake", "fake", ("int8",), device="cpu", compute_precision="float16")
    settings = measurement_backend_for(plan_artifacts([target], ())[0], plugins).settings
    assert (settings.device, settings.precision) == ("cpu", "float16")
    assert TARGETS["intel-npu"].compute_precision == "float16"


def test_targets_whose_backend_takes_symmetric_int8_alone_get_an_artifact_of_their_own() -> None:
    targets = [TARGETS[name] for name in ("jetson-orin", "cuda", "onnx-cpu")]
    symmetric = symmetric_targets(targets, registry())
    planned = plan_artifacts(targets, ("int8", "float32"), symmetric)
    assert {one.id: [target.name for target in one.targets] for one in planned} == {
        "onnx-int8-symmetric": ["jetson-orin", "cuda"],
        "onnx-float32": ["jetson-orin", "cuda", "onnx-cpu"],
        "onnx-int8": ["onnx-cpu"],
    }
