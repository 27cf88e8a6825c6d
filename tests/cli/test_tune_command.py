"""``edgevision tune`` and ``--no-tune`` as people and programs meet them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.convert


@pytest.fixture(scope="module")
def bundle(quickstart: Path) -> Path:
    return quickstart / "quickstart" / "digits.evb"


@pytest.fixture
def image(quickstart: Path) -> Path:
    return next((quickstart / "quickstart" / "evaluation" / "7").iterdir())


@pytest.fixture
def tuned(tmp_path: Path) -> dict[str, str]:
    """The environment of a user who lets it measure."""
    return {"EDGEVISION_TUNE": "1", "EDGEVISION_CACHE": str(tmp_path / "cache")}


def test_a_table_of_every_way_to_run_it_ends_with_the_choice(edgevision_command, bundle, tuned) -> None:
    options = ("--backend", "tflite", "--backend", "onnx", "--batch", 1, "--threads", 1, "--seconds", 0.3)
    done = edgevision_command("tune", bundle, *options, **tuned)
    assert done.returncode == 0, done.stderr
    _, header, *rows, chosen, stored = done.stdout.splitlines()
    columns = ("latency ms", "CPU ms", "images/s", "load ms", "memory MB", "known answers")
    assert all(name in header for name in columns)
    assert [row.split()[:4] for row in rows] == [
        ["tflite-int8", "tflite", "1", "1"],
        ["onnx-int8-symmetric", "onnx", "1", "1"],
    ]
    assert all(row.endswith("passed") for row in rows)
    assert chosen.startswith("chosen: ")
    assert stored.startswith(f"stored in {tuned['EDGEVISION_CACHE']}/tuning/")


def test_predict_runs_the_choice_unless_another_backend_is_requested(
    edgevision_command, bundle, image, tuned
) -> None:
    # No backend that is asked for but openvino may win.
    options = ("--backend", "openvino", "--batch", 1, "--threads", 1, "--seconds", 0.1, "--json")
    done = edgevision_command("tune", bundle, *options, **tuned)
    document = json.loads(done.stdout)
    assert document["chosen"] == {"artifact": "openvino-int8", "backend": "openvino", "threads": 1}
    (row,) = document["rows"]
    assert (row["precision"], row["batch"], row["status"]) == ("int8", 1, "passed")
    assert row["latency"]["wall_ms"]["p99"] >= row["latency"]["wall_ms"]["p50"] > 0
    assert row["latency"]["cpu_ms"]["p50"] > 0
    assert row["per_second"] > 0
    assert 10 < row["memory_mb"] < 4000
    assert Path(document["stored"]).is_file()

    def backend(*words: str, **environment: str) -> str:
        done = edgevision_command("predict", bundle, image, "--json", *words, **{**tuned, **environment})
        return json.loads(done.stdout)["backend"]

    assert backend() == "openvino"
    assert backend("--no-tune") == "tflite"
    assert backend(EDGEVISION_TUNE="0") == "tflite"
    assert backend("--backend", "onnx") == "onnx"


def test_v_shows_why_a_backend_was_chosen(edgevision_command, bundle, image, tuned) -> None:
    options = ("--backend", "openvino", "--batch", 1, "--threads", 1, "--seconds", 0.1)
    assert edgevision_command("tune", bundle, *options, "-q", **tuned).stderr == ""
    done = edgevision_command("predict", "-v", bundle, image, "--json", **tuned)
    assert json.loads(done.stdout)["backend"] == "openvino"
    assert "openvino-int8 on openvino, 1 thread: as measured before" in done.stderr
    done = edgevision_command("predict", "-v", bundle, image, "--no-tune")
    assert "tflite-int8 on tflite: the first in the bundle's order" in done.stderr


@pytest.mark.parametrize("command", ["predict", "generate", "evaluate", "compare", "bench"])
def test_every_command_that_runs_one_artifact_has_no_tune(edgevision_command, command) -> None:
    assert "--no-tune" in edgevision_command(command, "--help").stdout


def test_evaluate_measures_the_artifact_that_load_chooses(
    edgevision_command, bundle, quickstart, tuned
) -> None:
    options = ("--backend", "onnx", "--batch", 1, "--threads", 1, "--seconds", 0.1)
    assert edgevision_command("tune", bundle, *options, **tuned).returncode == 0
    data = quickstart / "quickstart" / "evaluation"
    for words, backend in (((), "onnx"), (("--no-tune",), "tflite")):
        done = edgevision_command("evaluate", bundle, data, "--samples", 20, "--json", *words, **tuned)
        assert json.loads(done.stdout)["backend"] == backend


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--backend", "tensorrt"), 6, "no backend 'tensorrt'"),
        (("--precision", "float64"), 2, "has no artifact of precision 'float64'"),
        (("--threads", 100_000), 2, "threads: expected 1 to "),
        (("--batch", 0), 2, "--batch"),
        (("--seconds", 0), 2, "--seconds"),
        (("--backend", "cuda"), 6, "no configuration can run on this machine: cuda: "),
    ],
)
def test_a_request_that_cannot_be_met_is_an_error(
    edgevision_command, bundle, tuned, words, code, message
) -> None:
    done = edgevision_command("tune", bundle, *words, **tuned)
    if code == 6 and done.returncode == 0:
        pytest.skip("this machine has a GPU")
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr


def test_without_a_batch_of_one_nothing_is_chosen_and_an_unwritable_cache_is_not_an_error(
    edgevision_command, bundle, tuned
) -> None:
    options = ("tune", bundle, "--backend", "tflite", "--threads", 1, "--seconds", 0.1)
    done = edgevision_command(*options, "--batch", 2, **tuned)
    assert "nothing chosen: no row with a batch of 1 passed in int8" in done.stdout
    done = edgevision_command(*options, "--batch", 1, **{**tuned, "EDGEVISION_CACHE": "/proc/cache"})
    assert done.returncode == 0
    assert "the choice could not be stored; set EDGEVISION_CACHE to a writable folder" in done.stdout
