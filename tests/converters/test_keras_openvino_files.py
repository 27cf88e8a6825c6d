"""OpenVINO's description of a network, in fewer bytes: the same answers, the same names outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from keras_sources import MARKS, calibration_for, coloured_images

from edgevision_keras.libraries import openvino_core, require_openvino
from edgevision_keras.openvino import OpenVINOConverter
from edgevision_keras.openvino_xml import compact

pytestmark = MARKS


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_a_compact_file_loads_with_the_same_interface_and_answers(
    hard_source: Any, tmp_path: Path, precision: str
) -> None:
    images = coloured_images(16, seed=81)[0] / 255
    calibration = calibration_for(hard_source, images)
    files = OpenVINOConverter().convert(hard_source, precision, calibration).files
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    core = openvino_core()
    model = core.read_model(tmp_path / "model.xml")
    # Written again by OpenVINO, the network has its shapes and white space, but not its longer names.
    require_openvino().save_model(model, tmp_path / "whole.xml", compress_to_fp16=precision == "float16")
    whole = core.read_model(tmp_path / "whole.xml")
    assert len(files["model.xml"]) < 0.7 * (tmp_path / "whole.xml").stat().st_size
    for side in ("inputs", "outputs"):
        compacted, usual = (
            [(port.names, port.partial_shape) for port in getattr(each, side)] for each in (model, whole)
        )
        assert compacted == usual
    answers = [core.compile_model(each, "CPU")(images[:1]) for each in (model, whole)]
    for index in range(len(model.outputs)):
        np.testing.assert_array_equal(answers[0][index], answers[1][index])


def test_layers_keep_their_names_and_constants_that_differ_stay_apart() -> None:
    openvino = require_openvino()
    opset = openvino.opset13
    value = opset.parameter([1, 3], np.float32, name="image")
    added = opset.add(value, opset.constant(np.float32([1, 2, 3])))
    added.set_friendly_name("source/functional_1/shift/add")
    twice = opset.add(added, opset.constant(np.float32([1, 2, 3])))
    more = opset.multiply(twice, opset.constant(np.float32([4, 5, 6])))
    model = openvino.Model([more], [value], "m")
    compacted, weights = _compacted(model)
    types = [layer.get("type") for layer in ElementTree.fromstring(compacted).iter("layer")]  # noqa: S314
    assert types.count("Const") == 2
    assert b'"shift/add"' in compacted
    loaded = openvino_core().read_model(compacted, openvino.Tensor(np.frombuffer(weights, np.uint8)))
    answer = openvino_core().compile_model(loaded, "CPU")(np.zeros((1, 3), np.float32))[0]
    np.testing.assert_array_equal(answer, [[8, 20, 36]])


def _compacted(model: Any) -> tuple[bytes, bytes]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.xml")
        require_openvino().save_model(model, path, compress_to_fp16=False)
        return compact(path.read_bytes(), {"image"}), path.with_suffix(".bin").read_bytes()
