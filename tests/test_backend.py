"""Settings of a session, and the checks that every backend shares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision.artifact import Artifact
from edgevision.backend import SessionSettings, check_open_sizes
from edgevision.errors import ArtifactError, DeviceError, OptionError, OutputError
from edgevision.tensors import TensorSpec

SPEC = TensorSpec("image", (None, 2), "float32")


def test_an_input_may_leave_its_batch_size_open_and_nothing_else() -> None:
    artifact = Artifact("onnx", "float32", {"a.onnx": b""})
    check_open_sizes(artifact, [SPEC, TensorSpec("mask", (1, 2), "uint8")])
    message = r"a.onnx: input 'image': only the batch size may be open, got \(batch, any\) float32; convert"
    with pytest.raises(ArtifactError, match=message):
        check_open_sizes(artifact, [SPEC, TensorSpec("image", (None, None), "float32")])


@pytest.mark.parametrize("device", [None, "cpu"])
def test_a_device_of_the_backend_passes(device: str | None) -> None:
    SessionSettings(device=device).check_device("x", ["cpu", "gpu"])


def test_another_device_is_refused_with_the_known_ones_and_the_next_step() -> None:
    settings = SessionSettings(device="tpu")
    with pytest.raises(DeviceError, match="^backend 'x' has no device 'tpu'; it has: cpu, gpu$"):
        settings.check_device("x", ["cpu", "gpu"])
    with pytest.raises(DeviceError, match="it has: cpu; install a driver$"):
        settings.check_device("x", ["cpu"], "install a driver")


def test_the_cache_folder_is_created_and_one_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    assert SessionSettings().cache_folder("part") is None
    folder = SessionSettings(cache_dir=tmp_path / "a").cache_folder("b", "c")
    assert folder == tmp_path / "a" / "b" / "c"
    assert folder.is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cache_dir .*file.*: cannot be created: .*choose another folder"):
        SessionSettings(cache_dir=tmp_path / "file" / "below").cache_folder()


def test_unknown_options_are_refused_with_the_known_ones() -> None:
    with pytest.raises(OptionError, match="backend 'x' has no option 'turbo'; it has: fast, slow"):
        SessionSettings(options={"turbo": 1}).check_options("x", ("fast", "slow"))
    with pytest.raises(OptionError, match="it has: none"):
        SessionSettings(options={"turbo": 1}).check_options("x", ())


def test_settings_accept_a_path_as_text_and_numpys_numbers(tmp_path: Path) -> None:
    settings = SessionSettings(threads=np.int64(3), cache_dir=str(tmp_path))
    assert (settings.threads, type(settings.threads), settings.cache_dir) == (3, int, tmp_path)
    assert settings == SessionSettings(threads=3, cache_dir=tmp_path)
    assert settings.cache_folder("a") == tmp_path / "a"


@pytest.mark.parametrize("threads", [0, -1, 2.5, "4", True, np.int64(0)])
def test_threads_that_are_not_a_number_of_threads_are_refused(threads: Any) -> None:
    with pytest.raises(OptionError, match="threads: expected a whole number, 1 or more, got"):
        SessionSettings(threads=threads)
