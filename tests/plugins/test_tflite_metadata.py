"""A TFLite file's labels, normalization, score type and task are read; a damaged file is refused."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgevision.artifact import Artifact
from edgevision.backend import ArtifactDescription
from edgevision.errors import ArtifactError
from edgevision_tflite.metadata import describe
from flatbuffer_tables import Table, flatbuffer, floats, ints

DATA = Path(__file__).parents[1] / "data"
FULLY_CONNECTED, LOGISTIC, RESHAPE, SOFTMAX, CUSTOM, LOG_SOFTMAX, QUANTIZE, GELU = (
    9,
    14,
    22,
    25,
    32,
    50,
    114,
    150,
)


def artifact(content: bytes) -> Artifact:
    return Artifact("tflite", "unknown", {"model.tflite": content})


def described(path: Path) -> ArtifactDescription:
    return describe(artifact(path.read_bytes()))


# --- small models -------------------------------------------------------------------------------


def label_file(name: str, locale: str | None = None, kind: int = 2) -> Table:
    return Table({0: name, 2: np.int8(kind)} | ({} if locale is None else {3: locale}))


def metadata(
    mean: Any = None, std: Any = None, files: list[Table] | None = None, identifier: bytes = b"M001"
) -> bytes:
    units = [] if mean is None else [Table({0: np.uint8(1), 1: Table({0: mean, 1: std})})]
    # A threshold before the normalization: the reader has to look for the right unit.
    image = Table({0: "image", 4: [Table({0: np.uint8(3), 1: Table()}), *units]})
    scores = Table({0: "scores", 6: files or []})
    return flatbuffer(Table({0: "a model", 3: [Table({2: [image], 3: [scores]})]}), identifier)


def model(
    *operators: int,
    meta: bytes | None = None,
    labels: dict[str, str] | None = None,
    rank: int = 2,
    fused: int = 0,
) -> bytes:
    """A chain of operators from tensor 0 to the only output, with metadata and label files."""
    last = len(operators)
    root = Table(
        {
            0: 3,
            1: [Table({0: np.int8(min(code, 127)), 3: code}) for code in operators],
            2: [
                Table(
                    {
                        0: [Table({0: ints(*[1] * rank)}) for _ in range(last + 1)],
                        1: ints(0),
                        2: ints(last),
                        3: [
                            Table(
                                {0: np.uint32(n), 1: ints(n), 2: ints(n + 1), 4: Table({0: np.int8(fused)})}
                            )
                            for n in range(last)
                        ],
                    }
                )
            ],
            4: [Table(), Table({0: meta} if meta else {})],
        }
        | (
            {6: [Table({0: "other", 1: np.uint32(0)}), Table({0: "TFLITE_METADATA", 1: np.uint32(1)})]}
            if meta
            else {}
        )
    )
    content = flatbuffer(root, b"TFL3")
    if not labels:
        return content
    appended = io.BytesIO(content)
    with zipfile.ZipFile(appended, "a") as archive:
        for name, text in labels.items():
            archive.writestr(name, text)
    return appended.getvalue()


# --- valid files -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mobilenet_v1_0.25_224_metadata", "mobilenet_v1_0.25_224_quant_metadata"])
def test_the_metadata_of_a_classifier_is_enough_to_run_it(name: str, shared: Path) -> None:
    description = described(shared / "models" / f"{name}.tflite")
    assert description.labels is not None
    assert len(description.labels) == 1001
    assert description.labels[:2] == ("background", "tench")
    assert (description.value_range, description.mean, description.scale) == (
        (0.0, 255.0),
        (127.5,),
        (127.5,),
    )
    assert (description.score_kind, description.task) == ("softmax", "classify")


def test_a_detector_is_described_as_one(shared: Path) -> None:
    description = described(shared / "models" / "coco_ssd_mobilenet_v1_quant_metadata.tflite")
    assert description.labels is not None
    assert description.labels[:3] == ("person", "bicycle", "car")
    assert (description.mean, description.scale) == ((127.5,), (127.5,))
    assert (description.score_kind, description.task) == (None, "detect")


@pytest.mark.parametrize("name", ["tiny.tflite", "tiny_int8.tflite"])
def test_a_converted_model_without_metadata_has_no_labels(name: str) -> None:
    description = described(DATA / name)
    assert description.labels is None
    assert description.value_range is None
    assert description.mean is None


@pytest.mark.parametrize(
    ("operators", "score_kind"),
    [
        ((FULLY_CONNECTED, SOFTMAX), "softmax"),
        ((FULLY_CONNECTED, LOGISTIC), "sigmoid"),
        ((FULLY_CONNECTED, SOFTMAX, QUANTIZE), "softmax"),
        ((FULLY_CONNECTED, LOGISTIC, RESHAPE, QUANTIZE), "sigmoid"),
        ((SOFTMAX, FULLY_CONNECTED), "logits"),
        ((FULLY_CONNECTED, LOG_SOFTMAX), "logits"),
        ((SOFTMAX, GELU), None),
        ((RESHAPE,), None),
        ((), None),
    ],
)
def test_the_last_operator_that_changes_values_determines_the_score_type(
    operators: tuple[int, ...], score_kind: str | None
) -> None:
    assert describe(artifact(model(*operators))).score_kind == score_kind


def test_an_operator_with_a_fused_activation_returns_no_logits() -> None:
    assert describe(artifact(model(FULLY_CONNECTED, fused=1))).score_kind is None


@pytest.mark.parametrize(("rank", "task"), [(1, "classify"), (2, "classify"), (3, None), (4, None)])
def test_one_output_of_scores_is_a_classifier(rank: int, task: str | None) -> None:
    assert describe(artifact(model(SOFTMAX, rank=rank))).task == task


def test_normalization_is_read_for_each_channel() -> None:
    mean, std = floats(1, 2, 3), floats(4)
    description = describe(artifact(model(SOFTMAX, meta=metadata(mean, std))))
    assert (description.value_range, description.mean, description.scale) == (
        (0.0, 255.0),
        (1.0, 2.0, 3.0),
        (4.0,),
    )


def test_metadata_without_normalization_and_labels_leaves_them_empty() -> None:
    description = describe(artifact(model(SOFTMAX, meta=metadata())))
    assert description == ArtifactDescription(score_kind="softmax", task="classify")


def test_the_label_file_without_a_language_is_used() -> None:
    files = [
        label_file("about.txt", kind=1),
        label_file("de.txt", "de"),
        label_file("all.txt"),
        label_file("b.txt"),
    ]
    texts = {"about.txt": "x", "de.txt": "Hund\nKatze\n", "all.txt": " dog \r\ncat\n\n", "b.txt": "?"}
    description = describe(artifact(model(SOFTMAX, meta=metadata(files=files), labels=texts)))
    assert description.labels == ("dog", "cat")


def test_the_first_of_several_label_files_with_a_language_is_used() -> None:
    files = [label_file("de.txt", "de"), label_file("en.txt", "en")]
    texts = {"en.txt": "dog", "de.txt": "Hund"}
    assert describe(artifact(model(SOFTMAX, meta=metadata(files=files), labels=texts))).labels == ("Hund",)


# --- damage -------------------------------------------------------------------------------------

LABELLED = model(
    FULLY_CONNECTED,
    SOFTMAX,
    meta=metadata(floats(127.5), floats(127.5), [label_file("l.txt")]),
    labels={"l.txt": "a\nb"},
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"",
            r"model\.tflite: not a valid TFLite model \(truncated or corrupted\?\): bytes 4 to 8 are "
            "not TFL3; copy or convert it again",
        ),
        (b"a text file, and not a model at all", "bytes 4 to 8 are not TFL3"),
        (b"\x10\0\0\0TFL3", "an offset leads to byte 16, of 8"),
        (flatbuffer(Table({0: 3}), b"TFL3"), "the model has no graph"),
        (model(SOFTMAX, meta=b"not a flatbuffer"), "bytes 4 to 8 are not M001"),
        (model(SOFTMAX, meta=metadata(files=[label_file("l.txt")])), r"file 'l\.txt' cannot be read"),
        (
            model(SOFTMAX, meta=metadata(files=[label_file("l.txt")]), labels={"m.txt": "a"}),
            r"has no file 'l\.txt'",
        ),
    ],
)
def test_damage_is_reported(content: bytes, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        describe(artifact(content))


@pytest.mark.timeout(120)  # the work is bounded, whatever the file says
def test_labels_that_unpack_to_an_absurd_size_are_refused() -> None:
    appended = io.BytesIO(model(SOFTMAX, meta=metadata(files=[label_file("l.txt")])))
    with zipfile.ZipFile(appended, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("l.txt", bytes(20_000_000))
    with pytest.raises(ArtifactError, match="'l.txt' has 20,000,000 bytes, expected 16,000,000 at most"):
        describe(artifact(appended.getvalue()))


def assert_survives(content: bytes) -> None:
    with contextlib.suppress(ArtifactError):
        assert isinstance(describe(artifact(content)), ArtifactDescription)


def test_a_model_cut_at_any_point_is_described_or_refused() -> None:
    for end in range(len(LABELLED)):
        assert_survives(LABELLED[:end])


def test_a_model_with_any_byte_changed_is_described_or_refused() -> None:
    for position in range(len(LABELLED)):
        for value in (0x00, 0x01, 0x7F, 0x80, 0xFF):
            assert_survives(LABELLED[:position] + bytes([value]) + LABELLED[position + 1 :])


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(LABELLED) - 4), st.integers(0, 2**32 - 1)), max_size=6))
def test_a_model_with_words_changed_is_described_or_refused(changes: list[tuple[int, int]]) -> None:
    content = bytearray(LABELLED)
    for position, word in changes:
        struct.pack_into("<I", content, position, word)
    assert_survives(bytes(content))


@given(st.binary(max_size=300))
def test_noise_behind_the_signature_is_described_or_refused(noise: bytes) -> None:
    assert_survives(b"\x10\0\0\0TFL3" + noise)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_real_model_with_words_changed_is_described_or_refused(shared: Path, data: st.DataObject) -> None:
    content = bytearray((shared / "models" / "mobilenet_v1_0.25_224_quant_metadata.tflite").read_bytes())
    for position, word in data.draw(
        st.lists(st.tuples(st.integers(0, len(content) - 4), st.integers(0, 2**32 - 1)), max_size=50)
    ):
        struct.pack_into("<I", content, position, word)
    assert_survives(bytes(content))


def test_a_real_model_cut_at_many_points_is_described_or_refused(shared: Path) -> None:
    content = (shared / "models" / "mobilenet_v1_0.25_224_quant_metadata.tflite").read_bytes()
    for end in range(0, len(content), 5003):
        assert_survives(content[:end])


@pytest.mark.timeout(120)  # the work is bounded, whatever the file says
def test_an_operator_that_feeds_itself_is_refused() -> None:
    content = model(RESHAPE)
    own_output = struct.pack("<Ii", 1, 1)
    looped = content.replace(struct.pack("<Ii", 1, 0), own_output)
    assert looped != content
    with pytest.raises(ArtifactError, match=r"too many references \(a loop"):
        describe(artifact(looped))


@pytest.mark.timeout(120)  # the work is bounded, whatever the file says
def test_overlapping_vectors_do_not_take_quadratic_time() -> None:
    """Many operators share a vector of outputs: quadratic work in a small file."""
    operators = [Table({0: np.uint32(0), 2: ints(*[7] * 2000)}) for _ in range(2000)]
    graph = Table({0: [Table({0: ints(1, 1)})], 2: ints(0), 3: operators})
    content = flatbuffer(Table({1: [Table({0: np.int8(SOFTMAX)})], 2: [graph]}), b"TFL3")
    with pytest.raises(ArtifactError, match="too many references"):
        describe(artifact(content))
