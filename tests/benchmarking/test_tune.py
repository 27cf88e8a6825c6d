"""Arguments of `tune`; what it measures is tested with its command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision.benchmarking.tune import tune
from edgevision.errors import BundleError, OptionError
from edgevision.system.cores import cores


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threads": [0]}, "threads: expected a whole number, 1 or more, got 0"),
        ({"threads": [True]}, "threads: expected a whole number, 1 or more, got True"),
        ({"threads": [1.5]}, "threads: expected a whole number, 1 or more, got 1.5"),
        (
            {"threads": [1, 100_000]},
            f"threads: expected 1 to {cores()}, the number of cores, got 100000",
        ),
        ({"batches": [0]}, "batches: expected a whole number, 1 or more, got 0"),
        ({"batches": []}, "batches: expected one or more, got none"),
        ({"seconds": 0}, "seconds: expected seconds, above 0 and up to 86400, got 0"),
        ({"seconds": float("nan")}, "seconds: expected a number, got nan"),
        ({"backends": "tflite"}, "backends: expected a sequence of names, got 'tflite'; pass ['tflite']"),
    ],
    ids=str,
)
def test_arguments_out_of_range_and_of_other_types_are_refused(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError) as raised:
        tune("some.evb", **arguments)
    assert str(raised.value) == message


@pytest.mark.parametrize("kind", [str, Path])
def test_arguments_may_be_lists_arrays_and_numbers_of_numpy(kind: type, tmp_path: Path) -> None:
    """They are checked before the bundle is opened, which here is missing."""
    with pytest.raises(BundleError, match="no such bundle"):
        tune(
            kind(tmp_path / "absent.evb"),
            np.array(["tflite"]),
            threads=np.array([1]),
            batches=(np.int64(1), np.int32(8)),
            seconds=np.float32(0.1),
        )
