"""No command and no session contacts anyone, or writes what it was not told to: system calls, traced."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from edgevision import Journal, Preprocessing, cli, load, sign_bundle
from edgevision.artifact import Artifact, read_artifact
from edgevision.evidence.document import evidence_json
from edgevision.imaging.write import write_image
from edgevision.tasks.description import GenerateTask
from edgevision.tasks.generation_settings import ImageToImageSettings
from evaluation.tiny_bundle import LABELS, write_tiny_bundle
from reporting.report_bundle import classified, evidence_of, measured, write_report_bundle
from streaming.video_files import write_video
from tiny_bundles import DATA, DETECT, detector_artifact, write_artifacts

STRACE = shutil.which("strace")
pytestmark = pytest.mark.skipif(STRACE is None, reason="needs strace: apt-get install strace")

_CALLS = (
    "connect,sendto,sendmsg,sendmmsg,openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,symlink,link"
)
_STRACE_OPTIONS = ("-f", "--seccomp-bpf", "-qq", "-s", "300", "-e", f"trace={_CALLS}")
#: Where everyone may write: devices, and the kernel's own files.
_ALWAYS = ("/dev/", "/proc/", "/sys/")
#: How long an idle session is watched: ONNX Runtime's telemetry connects after some nine seconds.
IDLE_S = 15


class Trace(NamedTuple):
    """What a process and its children did.

    Attributes:
        code, output: of the process.
        contacts: addresses of other machines that it tried to reach.
        written: files that it created or opened for writing, but for those in `_ALWAYS`.
    """

    code: int
    output: str
    contacts: list[str]
    written: list[str]


def traced(command: Sequence[object], folder: Path) -> Trace:
    """Run a command in `folder`, with an empty home, its own temporary folder, and a cache in `folder`."""
    for name in ("home", "tmp", "cache"):
        (folder / name).mkdir(exist_ok=True)
    log = folder.parent / f"{folder.name}.strace"
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ORT_", "KERAS_", "MPL", "XDG_", "COVERAGE"))
    }
    environment |= {
        **{"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"},
        "EDGEVISION_CACHE": str(folder / "cache"),
    }
    environment.pop("EDGEVISION_TUNE", None)
    environment.pop("EDGEVISION_SELFTEST", None)
    done = subprocess.run(
        [str(STRACE), *_STRACE_OPTIONS, "-o", log, *map(str, command)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = log.read_text(errors="replace").splitlines()
    contacts = [line for line in lines if re.search(r"sa_family=AF_INET6?\b", line)]
    return Trace(done.returncode, done.stdout + done.stderr, contacts, sorted(set(_written(lines, folder))))


def _written(lines: Sequence[str], folder: Path) -> Iterator[str]:
    for line in lines:
        if line.rstrip().endswith(")") and " = -1 " in line:
            continue
        names = re.findall(r'"([^"]*)"', line)
        opens = re.search(r"\b(openat|open)\(", line) is not None
        if not names or (opens and not re.search(r"O_WRONLY|O_RDWR|O_CREAT", line)):
            continue
        if re.search(r"\b(connect|send\w*)\(", line):
            continue
        path = os.path.normpath(folder / names[-1])
        if not path.startswith(_ALWAYS):
            yield path


def outside(trace: Trace, folder: Path, *allowed: str) -> list[str]:
    """The written paths that are neither temporary, nor in the cache, nor named."""
    within = tuple(str(folder / name) for name in ("tmp", "cache", *allowed))
    return [path for path in trace.written if not path.startswith(within)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a bundle, and images in one folder per class."""
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    folder = tmp_path_factory.mktemp("traced") / "work"
    pixels = np.random.default_rng(0)
    for label in LABELS:
        (folder / "five" / label).mkdir(parents=True)
        write_image(folder / "five" / label / "1.png", pixels.integers(0, 256, (16, 16, 3), np.uint8))
    write_tiny_bundle(folder / "tiny.evb")
    write_report_bundle(folder / "evidence.evb", evidence_of(measured("tflite-int8", classified())))
    write_tiny_bundle(folder / "unsigned.evb")
    text = evidence_json(evidence_of(measured("tflite-float32", classified())))
    write_tiny_bundle(folder / "measured.evb", evidence_text=text)
    write_tiny_bundle(folder / "signed.evb")
    with Journal(folder / "runs.db", frames="all") as journal, load(folder / "tiny.evb", "tflite") as model:
        image = pixels.integers(0, 256, (16, 16, 3), np.uint8)
        journal.record(model(image), image, model=model)
    write_video(folder / "clip.avi", frames=5)
    _write_generator(folder / "generator.evb")
    _write_detector(folder / "detector.evb")
    _write_keys(folder)
    sign_bundle(folder / "signed.evb", folder / "private.pem")
    return folder


def _write_generator(path: Path) -> None:
    """A network that gives back its image."""
    onnx = pytest.importorskip("onnx", reason="needs the extra `convert`")
    image, made = (onnx.helper.make_tensor_value_info(name, 1, [1, 8, 8, 3]) for name in ("image", "made"))
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["image"], ["made"])], "same", [image], [made]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    artifact = Artifact("onnx", "float32", {"same.onnx": model.SerializeToString()})
    task = GenerateTask("image-to-image", "made", (0.0, 1.0), "rgb", ImageToImageSettings("tiles", 4))
    how = Preprocessing((8, 8), (0.0, 1.0))
    write_artifacts(path, {"onnx-float32": artifact}, task=task, how=how)


def _write_detector(path: Path) -> None:
    artifact = detector_artifact(read_artifact(DATA / "tiny.tflite"))
    write_artifacts(path, {"tflite-float32": artifact}, task=DETECT)


def _write_keys(folder: Path) -> None:
    asymmetric = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec", reason="needs `trust`")
    from cryptography.hazmat.primitives import serialization

    key = asymmetric.generate_private_key(asymmetric.SECP256R1())
    pem, none = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none)
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "private.pem").write_bytes(private)
    (folder / "public.pem").write_bytes(public)


_PHOTO = "five/a/1.png"
_STREAM = ("stream", "tiny.evb", "clip.avi", "--backend", "tflite")
#: Words of each command, and the paths that it may write.
COMMANDS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("backends",), ()),
    (("batch", "tiny.evb", "five", "-o", "table", "--format", "jsonl"), ("table",)),
    (("bench", "tiny.evb", "--backend", "tflite", "--seconds", "0.2"), ()),
    (("bench", "tiny.evb", "--seconds", "0.2", "--plot", "bench.png"), ("bench.png", ".bench.png")),
    (("compare", "tiny.evb", "tiny.evb", "five"), ()),
    (("evaluate", "tiny.evb", "five"), ()),
    (("evaluate", "tiny.evb", "five", "--save", "worst"), ("worst",)),
    (("explain", "tiny.evb", _PHOTO, "-o", "maps", "--budget", "64"), ("maps",)),
    (
        ("export", "tiny.evb", "--for", "mediapipe", "-o", "exported.tflite"),
        ("exported.tflite", ".exported.tflite"),
    ),
    (
        ("gate", "measured.evb", "five", "--false-abstentions", "0.4", "-o", "gated.evb"),
        ("gated.evb", ".gated.evb"),
    ),
    (("generate", "generator.evb", "--input", _PHOTO, "-o", "made"), ("made",)),
    (("inspect", "evidence.evb"), ()),
    (("install", "tiny.evb", "device", "--backend", "tflite"), ("device",)),
    (("journal", "verify", "runs.db"), ("runs.db",)),
    (("journal", "show", "runs.db"), ("runs.db",)),
    (("journal", "export", "runs.db", "-o", "rows.jsonl"), ("runs.db", "rows.jsonl", ".rows.jsonl")),
    (("journal", "replay", "runs.db", "--bundle", "tiny.evb"), ("runs.db",)),
    (("plan-evaluation", "--max-drop", "2", "--expected-flips", "0.02"), ()),
    (("plugins",), ()),
    (("predict", "tiny.evb", _PHOTO, "--journal", "new.db"), ("new.db",)),
    (("predict", "detector.evb", "five", "--save", "drawn"), ("drawn",)),
    (("report", "evidence.evb", "-o", "report.html"), ("report.html", ".report.html")),
    (("sbom", "measured.evb"), ()),
    (("sbom", "measured.evb", "--soup"), ()),
    (("selftest", "tiny.evb"), ()),
    (("sign", "unsigned.evb", "--key", "private.pem"), ("unsigned.evb",)),
    ((*_STREAM, "--jsonl", "stream.jsonl"), ("stream.jsonl",)),
    ((*_STREAM, "--preview=0"), ()),
    ((*_STREAM, "--save", "drawn.mp4"), ("drawn.mp4", ".drawn.mp4")),
    (("stream", "detector.evb", "clip.avi", "--jsonl", "-", "--track", "bytetrack"), ()),
    (("targets",), ()),
    (("verify", "signed.evb", "--key", "public.pem"), ()),
    (("tune", "tiny.evb", "--backend", "tflite", "--seconds", "0.2"), ()),
)
#: Commands whose traced run is in another test, since it takes TensorFlow.
WITH_TENSORFLOW = {"convert", "pack"}
#: Word of a command -> the module that it needs.
_NEEDS = {"--preview=0": "starlette", "--save": "av", "--track": "trackers", "--plot": "matplotlib"}


def _row(words: tuple[str, ...], allowed: tuple[str, ...]) -> Any:
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    name = " ".join([*(words[:2] if words[0] == "journal" else words[:1]), *options])
    return pytest.param(words, allowed, id=name, marks=[pytest.mark.slow] * (words[0] == "tune"))


@pytest.mark.parametrize(("words", "allowed"), [_row(*row) for row in COMMANDS])
def test_a_command_contacts_nobody_and_writes_only_what_it_was_told_to(
    folder: Path, words: tuple[str, ...], allowed: tuple[str, ...]
) -> None:
    for word in words:
        if word in _NEEDS:
            pytest.importorskip(_NEEDS[word])
    trace = traced([sys.executable, "-m", "edgevision", *words], folder)
    assert trace.contacts == [], trace.output
    assert outside(trace, folder, *allowed) == [], trace.output
    assert list((folder / "home").iterdir()) == []
    assert list((folder / "tmp").iterdir()) == []
    assert trace.code == 0, trace.output


def test_every_command_is_traced() -> None:
    assert set(cli.COMMANDS) == {words[0] for words, _ in COMMANDS} | WITH_TENSORFLOW | {"serve"}


#: ``edgevision serve``, which a signal ends a second after it began to listen.
_SERVE = """
import os, signal, sys, threading
from edgevision import cli
from edgevision.cli import serve
told = serve._told
def told_and_ended(*arguments):
    told(*arguments)
    threading.Timer(1, os.kill, [os.getpid(), signal.SIGTERM]).start()
serve._told = told_and_ended
sys.argv = ["edgevision", "serve", "tiny.evb", "--port", "0", "--backend", "tflite"]
cli.main()
"""


def test_a_server_contacts_nobody_and_writes_nothing(folder: Path) -> None:
    pytest.importorskip("uvicorn", reason="needs the extra `serve`")
    trace = traced([sys.executable, "-c", _SERVE], folder)
    assert "serving on http://127.0.0.1:" in trace.output
    assert trace.contacts == [], trace.output
    assert outside(trace, folder) == [], trace.output
    assert trace.code == 128 + signal.SIGTERM, trace.output


@pytest.mark.convert
def test_a_conversion_and_a_packing_contact_nobody_and_write_only_the_bundle(
    tmp_path: Path, quickstart: Path
) -> None:
    folder = tmp_path / "work"
    shutil.copytree(quickstart / "quickstart", folder)
    command = [
        *(sys.executable, "-m", "edgevision", "convert", "digits.keras", "--target", "raspberry-pi-5"),
        *("--target", "intel-cpu", "--precision", "int8", "--calibration", "training"),
        *("--evaluation", "evaluation", "-o", "new.evb", "--accept-not-shown"),
    ]
    trace = traced(command, folder)
    assert trace.contacts == [], trace.output
    assert outside(trace, folder, "new.evb", ".new.evb") == [], trace.output
    assert list((folder / "home").iterdir()) == []
    assert list((folder / "tmp").iterdir()) == []
    assert (folder / "new.evb").exists(), trace.output
    trace = traced([sys.executable, "-m", "edgevision", "pack", "new.evb", "-o", "packed.evb"], folder)
    assert (trace.code, trace.contacts) == (0, []), trace.output
    assert outside(trace, folder, "packed.evb", ".packed.evb") == [], trace.output


IDLE = """
import sys, time
import numpy as np
from edgevision.artifact import read_artifact
from edgevision.plugins import registry
from edgevision.session import open_session

backend, path, seconds = sys.argv[1:]
registry().backend(backend).devices()
with open_session(registry().backend(backend), read_artifact(path)) as session:
    spec = session.inputs[0]
    session.run({spec.name: np.ones(spec.with_batch(1), spec.dtype)})
    time.sleep(float(seconds))
"""


@pytest.mark.parametrize(
    ("backend", "module"), [("tflite", "ai_edge_litert"), ("openvino", "openvino"), ("onnx", "onnxruntime")]
)
@pytest.mark.parametrize("seconds", [pytest.param(IDLE_S, marks=pytest.mark.slow), 0.5])
def test_an_idle_session_contacts_nobody_and_writes_nothing(
    tmp_path: Path, backend: str, module: str, seconds: float
) -> None:
    pytest.importorskip(module)
    folder = tmp_path / "work"
    folder.mkdir()
    path = Path(__file__).parents[1] / "data" / "tiny.tflite"
    if backend == "onnx":
        from tiny_onnx import tiny_onnx_bytes

        path = folder / "tiny.onnx"
        path.write_bytes(tiny_onnx_bytes())
    trace = traced([sys.executable, "-c", IDLE, backend, path, seconds], folder)
    assert trace.code == 0, trace.output
    assert trace.contacts == []
    assert outside(trace, folder) == []
    assert list((folder / "home").iterdir()) == []


def test_the_trace_sees_a_contact_and_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    program = (
        "import socket, pathlib, os; pathlib.Path(os.environ['HOME'], 'id').write_text('x')\n"
        "s = socket.socket(); s.settimeout(0.1); s.connect_ex(('127.0.0.1', 9))"
    )
    trace = traced([sys.executable, "-c", program], folder)
    assert len(trace.contacts) == 1
    assert outside(trace, folder) == [str(folder / "home" / "id")]
