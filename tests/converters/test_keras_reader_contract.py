"""The reader of Keras models keeps the contract that every reader keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from keras_sources import MARKS, SIZE

from edgevision.plugins import registry
from edgevision.testing import check_reader

pytestmark = MARKS


def test_the_reader_of_keras_models_keeps_the_contract(trained: Any, trained_file: Path) -> None:
    image = np.random.default_rng(0).random((1, SIZE, SIZE, 3), np.float32) * 255
    scores = np.asarray(trained.predict(image, verbose=0))
    source = registry().reader("keras").read(trained_file, trust_source=False, input_size_wh=None)
    expected = {source.inputs[0].name: image}, {source.outputs[0].name: scores}
    check_reader(registry().reader("keras"), trained_file, expected, others=[Path(__file__)])
