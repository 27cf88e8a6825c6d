"""A missing or broken runtime is reported with the command that repairs it, and affects nothing else."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

LITERT = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter", "tensorflow.lite.python.interpreter")

PROGRAM = """
import sys
for name in sys.argv[2:]:
    sys.modules[name] = None
from edgevision.plugins import registry
row = {row.name: row for row in registry().backend_statuses()}[sys.argv[1]]
print(row.ready, row.reason or row.version)
"""


def status(backend: str, *absent: str, path: Path | None = None) -> str:
    before = f"import sys; sys.path.insert(0, {str(path)!r})\n" if path else ""
    done = subprocess.run(
        [sys.executable, "-c", before + PROGRAM, backend, *absent], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("backend", "absent", "reason"),
    [
        ("tflite", LITERT, "no TFLite interpreter is installed (ai-edge-litert is the usual one)"),
        ("openvino", ("openvino",), "OpenVINO is not installed"),
        ("onnx", ("onnxruntime",), "ONNX Runtime is not installed"),
        ("cuda", ("onnxruntime",), "ONNX Runtime is not installed"),
    ],
)
def test_a_missing_runtime_is_a_row_with_the_install_command(
    backend: str, absent: tuple[str, ...], reason: str
) -> None:
    assert status(backend, *absent) == f'False {reason}; run: pip install "edgevision[{backend}]"'


@pytest.mark.parametrize(
    ("backend", "package", "absent", "reason"),
    [
        (
            "tflite",
            "ai_edge_litert",
            (),
            "ai-edge-litert is installed and cannot be imported: built for numpy 1",
        ),
        (
            "tflite",
            "tflite_runtime",
            LITERT[:1],
            'environment of its own: pip install "edgevision[tflite-runtime]"',
        ),
        ("openvino", "openvino", (), "openvino is installed and cannot be imported: built for numpy 1"),
        ("onnx", "onnxruntime", (), "onnxruntime is installed and cannot be imported: built for numpy 1"),
    ],
)
def test_a_broken_runtime_is_a_row_with_its_reason(
    tmp_path: Path, backend: str, package: str, absent: tuple[str, ...], reason: str
) -> None:
    (tmp_path / package).mkdir()
    source = "raise ImportError('built for numpy 1')"
    for name in ("__init__", "interpreter"):
        (tmp_path / package / f"{name}.py").write_text(source)
    answer = status(backend, *absent, path=tmp_path)
    assert answer.startswith("False ")
    assert reason in answer


@pytest.mark.convert
def test_tensorflows_interpreter_is_used_if_there_is_no_other() -> None:
    program = """
        import sys
        from pathlib import Path
        for name in ("ai_edge_litert.interpreter", "tflite_runtime.interpreter"):
            sys.modules[name] = None
        from edgevision.artifact import read_artifact
        from edgevision.testing import check_backend
        from edgevision_tflite.backend import TFLiteBackend
        check_backend(TFLiteBackend(), read_artifact(Path(sys.argv[1])))
        print(TFLiteBackend().version())
    """
    model = Path(__file__).parents[1] / "data" / "tiny.tflite"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), model], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("tensorflow 2.")
