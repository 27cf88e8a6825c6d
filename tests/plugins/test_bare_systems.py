"""Runtimes on systems as devices have them: nothing writable, and nothing that may be written or sent."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from edgevision.artifact import Artifact
from edgevision.errors import ArtifactError
from edgevision.session import open_session

DATA = Path(__file__).parents[1] / "data"
TINY = str(DATA / "tiny.tflite")

NOTHING_WRITABLE = """
    import json, sys, tempfile
    from pathlib import Path
    from edgevision.system import files
    tempfile._candidate_tempdir_list = lambda: ["/proc/no-such-folder"]
    files._FOLDERS_IN_MEMORY = ("/proc/no-such-folder",)
"""


def _run(program: str, home: Path | str, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, words)],
        env={
            "HOME": str(home),
            "TMPDIR": str(home),
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": ":".join(sys.path),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_backend_writes_a_file_or_connects_when_it_is_imported_and_runs(
    tmp_path: Path, tiny_onnx: Artifact
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "tiny.onnx").write_bytes(tiny_onnx.content)
    program = """
        import json, sys
        calls = []
        sys.addaudithook(lambda name, details: calls.append(name) if name.startswith(
            ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")) else None)
        from edgevision.artifact import read_artifact
        from edgevision.errors import EdgeVisionError
        from edgevision.plugins import registry
        from edgevision.session import open_session
        ran = []
        registry().backend_statuses()
        for path in sys.argv[1:]:
            artifact = read_artifact(path)
            for name, backend in registry().backends().items():
                if artifact.format not in backend.formats:
                    continue
                try:
                    with open_session(backend, artifact) as session, session.lease() as slot:
                        slot.run()
                    ran.append(name)
                except EdgeVisionError:
                    pass
        print(json.dumps({"calls": calls, "ran": ran}))
    """
    done = _run(program, home, TINY, tmp_path / "tiny.onnx")
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert {"tflite", "openvino", "onnx"} <= set(seen["ran"])
    assert seen["calls"] == []
    assert list(home.rglob("*")) == []


def test_where_nothing_is_writable_only_the_backend_that_needs_a_file_refuses(tiny_onnx: Artifact) -> None:
    program = f"""{NOTHING_WRITABLE}
    from edgevision.artifact import Artifact
    from edgevision.errors import ArtifactError
    from edgevision.plugins import registry
    from edgevision.session import open_session
    ran, refused = [], {{}}
    for kind, path in (("tflite", sys.argv[1]), ("onnx", "/dev/stdin")):
        artifact = Artifact(kind, "unknown", {{f"tiny.{{kind}}": Path(path).read_bytes()}})
        for name in ("tflite", "openvino", "onnx"):
            backend = registry().backend(name)
            if kind not in backend.formats:
                continue
            try:
                with open_session(backend, artifact) as session, session.lease() as slot:
                    slot.run()
                ran.append(f"{{kind}} on {{name}}")
            except ArtifactError as error:
                refused[f"{{kind}} on {{name}}"] = str(error)
    print(json.dumps([ran, refused]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), TINY],
        input=tiny_onnx.content,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    ran, refused = json.loads(done.stdout)
    assert ran == ["tflite on tflite", "onnx on openvino", "onnx on onnx"]
    assert "set TMPDIR" in refused["tflite on openvino"]
    assert "backend tflite" in refused["tflite on openvino"]


@pytest.mark.parametrize(
    "words",
    [
        ("backends",),
        ("predict", "MODEL", "IMAGE"),
        ("bench", "MODEL", "--seconds", "0.2"),
    ],
)
def test_commands_need_no_writable_folder(words: tuple[str, ...], tmp_path: Path) -> None:
    import cv2
    import numpy as np

    image = tmp_path / "image.png"
    cv2.imwrite(str(image), np.zeros((8, 8, 3), np.uint8))
    options = ["--input-range", "0..1", "--scores", "softmax", "--output-name", "scores"]
    filled = [{"MODEL": TINY, "IMAGE": str(image)}.get(word, word) for word in words]
    program = f"""{NOTHING_WRITABLE}
    from edgevision.cli import main
    sys.argv[0] = "edgevision"
    main()
    """
    done = _run(program, "/proc/no-such-folder", *filled, *(options if len(words) > 1 else ()))
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_whatever_a_backend_raises_when_it_opens_is_an_error_that_names_it() -> None:
    class Broken:
        name, formats, options = "broken", ("fake",), ()

        def open(self, artifact: Artifact, settings: object) -> None:
            raise FileNotFoundError("No usable temporary directory found")

    with pytest.raises(
        ArtifactError, match="model.fake: backend 'broken' failed to load it: FileNotFoundError"
    ):
        open_session(Broken(), Artifact("fake", "float32", {"model.fake": b""}))  # type: ignore[arg-type]
