"""Conversion connects to nothing and writes no identifier."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from keras_sources import MARKS

pytestmark = MARKS


def test_an_int8_conversion_to_openvino_connects_to_nothing_and_writes_no_identifier(
    trained_file: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    program = """
        import json, sys, threading
        connections = []
        sys.addaudithook(lambda name, arguments: connections.append(name) if name.startswith(
            ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")) else None)
        from pathlib import Path
        from keras_sources import calibration_for, coloured_images, read
        from edgevision_keras.openvino import OpenVINOConverter
        source = read(Path(sys.argv[1]))
        calibration = calibration_for(source, coloured_images(4, seed=41)[0])
        OpenVINOConverter().convert(source, "int8", calibration)
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join(5)
        modules = [name for name in ("openvino_telemetry", "edgevision_openvino") if name in sys.modules]
        print(json.dumps({"connections": connections, "modules": modules}))
    """
    search_path = [str(Path(__file__).parent), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), trained_file],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(search_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"connections": [], "modules": []}
    written = [path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()]
    # Settings of Keras, and the font list of matplotlib, which NNCF imports: neither identifies anyone.
    assert [name for name in written if not name.startswith((".keras/", ".cache/matplotlib/"))] == []


@pytest.mark.parametrize("library", ["openvino", "nncf"])
def test_the_telemetry_of_openvino_is_absent_while_a_library_is_imported_and_back_afterwards(
    monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    from edgevision_keras import libraries

    telemetry, seen = object(), []

    class Track:
        def __init__(self, disable: bool = False) -> None: ...

    class Library:
        track = Track

        def set_log_level(self, _: int) -> None: ...

    def imported(name: str) -> Library:
        seen.append((name, sys.modules["openvino_telemetry"]))
        return Library()

    monkeypatch.setitem(sys.modules, "openvino_telemetry", telemetry)  # type: ignore[arg-type]
    monkeypatch.setattr(libraries.importlib, "import_module", imported)
    getattr(libraries, f"require_{library}")()
    assert seen[0] == (library, None)
    assert {hidden for _, hidden in seen} == {None}
    assert sys.modules["openvino_telemetry"] is telemetry
