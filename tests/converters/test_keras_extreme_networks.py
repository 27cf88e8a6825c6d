"""Networks with dead channels, tiny variances and constant values become artifacts that each runtime takes.

They run in a process of their own: a runtime that refuses a scale ends the process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import extreme_networks
import numpy as np
import pytest
from keras_sources import MARKS, calibration_for, read

from edgevision.artifact import STANDARD_FORMATS
from edgevision_keras.onnx import OnnxConverter
from edgevision_keras.openvino import OpenVINOConverter
from edgevision_keras.tflite import TfliteConverter

pytestmark = MARKS
CONVERTERS = (TfliteConverter(), OpenVINOConverter(), OnnxConverter())


def outputs(model: Path, images: Any) -> tuple[Any, list[Any]]:
    """The outputs on noise: of the source, and of the int8 artifacts, calibrated on `images`."""
    source, folder = read(model), model.parent
    for converter in CONVERTERS:
        files = converter.convert(source, "int8", calibration_for(source, images)).files
        (folder / converter.format).mkdir()
        for name, content in files.items():
            (folder / converter.format / name).write_bytes(content)
    size = source.inputs[0].shape[1]
    done = subprocess.run(
        [sys.executable, str(Path(extreme_networks.__file__)), str(folder), str(size)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"exit code {done.returncode} in {done.stdout.split()[-1:]}: {done.stderr}"
    noise = {source.inputs[0].name: extreme_networks.images("noise", size)}
    return source.run(noise)[source.outputs[0].name], [
        np.load(folder / f"{one.name}.npy") for one in STANDARD_FORMATS
    ]


@pytest.mark.parametrize("name", extreme_networks.CHANGES)
def test_an_extreme_network_runs_and_answers_as_its_source(keras: Any, tmp_path: Path, name: str) -> None:
    path = tmp_path / "model.keras"
    extreme_networks.network(keras, name).save(path)
    expected, answers = outputs(path, extreme_networks.images("noise"))
    for scores in answers:
        np.testing.assert_allclose(scores, expected, atol=0.05)


@pytest.mark.parametrize("kind", ["zeros", "one_colour", "one_image"])
def test_calibration_images_that_say_nothing_give_artifacts_that_run(
    keras: Any, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "model.keras"
    extreme_networks.network(keras, "dead_channels").save(path)
    _, answers = outputs(path, extreme_networks.images(kind))
    for scores in answers:
        assert np.isfinite(scores).all()


def test_a_network_whose_artifact_ended_the_process_runs(tmp_path: Path, shared: Path) -> None:
    path = tmp_path / "k2.keras"
    path.write_bytes((shared / "models" / "k2.keras").read_bytes())
    expected, answers = outputs(path, extreme_networks.images("noise", 32))
    for scores in answers:
        np.testing.assert_allclose(scores, expected, atol=0.05)
