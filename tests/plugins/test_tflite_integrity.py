"""A TFLite file that refers to what it does not hold is refused before an interpreter sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision.artifact import Artifact, read_artifact
from edgevision.errors import ArtifactError
from edgevision_tflite.integrity import check_complete
from flatbuffer_tables import Table, flatbuffer, ints

DATA = Path(__file__).parents[1] / "data"
RESHAPE, RESHAPE_OPTIONS = 22, 17
_MARK = 123_456_789


def artifact(content: bytes) -> Artifact:
    return Artifact("tflite", "unknown", {"model.tflite": content})


def reshape(
    operator: dict[int, Any] | None = None,
    tensor: dict[int, Any] | None = None,
    graph: dict[int, Any] | None = None,
    model: dict[int, Any] | None = None,
) -> bytes:
    """A model of one operation, with other fields in its tables."""
    shape = Table({0: ints(1, 4), 2: np.uint32(0), **(tensor or {})})
    operation = Table({1: ints(0), 2: ints(1), 3: np.uint8(RESHAPE_OPTIONS), 4: Table({0: ints(1, 4)})})
    whole = Table({0: [shape, shape], 1: ints(0), 2: ints(1), 3: [Table({**operation, **(operator or {})})]})
    codes = [Table({0: np.int8(RESHAPE), 3: RESHAPE})]
    root = {0: 3, 1: codes, 2: [Table({**whole, **(graph or {})})], 4: [Table()]}
    return flatbuffer(Table({**root, **(model or {})}), b"TFL3")


def test_a_model_that_refers_to_itself_alone_passes() -> None:
    check_complete(artifact(reshape()))
    check_complete(artifact(reshape(operator={1: ints(0, -1)})))  # an input that is left out


@pytest.mark.parametrize("name", ["tiny.tflite", "tiny_int8.tflite", "tiny_float16.tflite"])
def test_so_does_every_converted_one(name: str) -> None:
    check_complete(read_artifact(DATA / name))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"operator": {0: np.uint32(1)}}, "an operation has number 1, of 1"),
        ({"operator": {1: ints(2)}}, "a tensor of an operation has number 2, of 2"),
        ({"operator": {2: ints(-2)}}, "a tensor of an operation has number -2, of 2"),
        ({"operator": {8: ints(7)}}, "a tensor of an operation has number 7, of 2"),
        ({"tensor": {2: np.uint32(1)}}, "a buffer has number 1, of 1"),
        ({"graph": {1: ints(-1)}}, "a tensor of the graph has number -1, of 2"),
        ({"graph": {2: ints(2)}}, "a tensor of the graph has number 2, of 2"),
        ({"model": {9: [Table()]}}, "its weights are in other files"),
        ({"model": {8: [Table({0: "/etc/passwd"})]}}, "its weights are in other files"),
        ({"model": {2: []}}, "the model has no graph"),
        # float32: a file of 1 kB that fills 8 GB.
        ({"tensor": {0: ints(2_147_483_647)}}, "a tensor of 2147483647 takes 8589934588 bytes"),
        ({"tensor": {0: ints(-1, 50_000, 50_000), 1: np.int8(9)}}, "a tensor of -1x50000x50000 takes"),
    ],
)
def test_numbers_of_what_is_not_there_are_refused(changed: Any, reason: str) -> None:
    with pytest.raises(ArtifactError, match=f"model.tflite: not a valid TFLite model .*: {reason}"):
        check_complete(artifact(reshape(**changed)))


@pytest.mark.parametrize("count", [1 << 16, 1 << 31, (1 << 32) - 1])
@pytest.mark.parametrize(
    "changed",
    [
        {"operator": {4: Table({0: ints(_MARK, 4)})}},  # the shape that LiteRT reads out of the options
        {"operator": {7: ints(_MARK)}},
        {"tensor": {6: Table({1: ints(_MARK)})}},
        {"tensor": {9: [Table({0: ints(_MARK)})]}},
        {"model": {5: ints(_MARK)}},
    ],
)
def test_vectors_that_leave_the_file_are_refused_wherever_they_are(changed: Any, count: int) -> None:
    content = bytearray(reshape(**changed))
    check_complete(artifact(bytes(content)))
    place = content.index(_MARK.to_bytes(4, "little")) - 4  # the length is before the first element
    content[place : place + 4] = count.to_bytes(4, "little")
    with pytest.raises(ArtifactError, match=r"bytes at byte \d+ are not within the file's"):
        check_complete(artifact(bytes(content)))
