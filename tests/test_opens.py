"""Files are opened in one place, written in one, and parsed strictly in one: everything else asks there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path for folder in ("edgevision", "plugins", "converters") for path in (ROOT / folder).rglob("*.py")
)

#: What opens, reads, writes or parses files, and who may.
READING, WRITING = "edgevision/system/reading.py", "edgevision/system/files.py"
CALLS: dict[str, tuple[str, ...]] = {
    "open": (READING, WRITING, "edgevision/system/strict_zip.py"),
    "read_bytes": (READING,),
    "read_text": (READING,),
    "write_bytes": (WRITING,),
    "write_text": (),
    "unlink": (WRITING,),
    "rmdir": (WRITING,),
    "rename": (WRITING,),
    "replace": (WRITING,),
    "rmtree": (WRITING,),
    "mkstemp": (),
    "mkdtemp": (),
    "symlink_to": (WRITING,),
    "FileIO": (READING,),
    "ZipFile": ("edgevision/system/strict_zip.py",),
    "loads": ("edgevision/system/strict_json.py",),
    "is_zipfile": (),
    "imread": (),
    "fromfile": (),
    "memmap": (),
    # SQLite opens its files itself, with its own locks: nothing else may open them in the same process. What
    # is at the path, and that the file is a journal, is checked first; no SQL of the file is run.
    "connect": ("edgevision/journal/database.py",),
}
#: Calls that only look like one of these, or write what is their own: file -> calls, each with its reason.
EXCEPTIONS: dict[str, dict[str, str]] = {
    # opens the standard streams, of which it discards one
    "edgevision/execution/worker.py": {"open": "os.devnull, in a child", "FileIO": "its standard input"},
    "edgevision/cli/__init__.py": {"open": "os.devnull, for a closed pipe"},
    "edgevision/isolation/host.py": {"open": "os.devnull, in a child"},
    "edgevision/execution/limits.py": {"write_bytes": "/proc, of its own process"},
    "edgevision/system/process_bound.py": {"read_bytes": "/proc, of its own threads"},
    # archives that are written into memory
    "edgevision/bundle/storage.py": {"ZipFile": "written into memory"},
    "edgevision/bundle/pictures.py": {"ZipFile": "written into memory"},
    "plugins/edgevision_tflite/model_file.py": {"ZipFile": "written into memory"},
    "edgevision/bundle/manifest.py": {"loads": "its own text, to be put into canonical form"},
    # TOML, which its readers read strictly
    "edgevision/conversion/messages.py": {"loads": "a pickle of the process that started this one"},
    "edgevision/target.py": {"loads": "TOML"},
    "edgevision/conversion/latency_table.py": {"loads": "TOML"},
    "edgevision/cli/own_stdout.py": {"open": "a copy of stdout's descriptor"},
    "edgevision/cli/plugin_survey.py": {"write_bytes": "an empty temporary file that no reader knows"},
    "edgevision/testing/backend_resources.py": {"read_text": "/proc, of its own process"},
    "edgevision/testing/children.py": {"loads": "a pickle of the process that started this one"},
    "edgevision/testing/process_state.py": {"open": "a descriptor of a temporary file"},
    "edgevision/testing/fake.py": {"loads": "an artifact of tests, from memory"},
    # what the package itself carries
    "edgevision/reporting/page.py": {"read_text": "the package's own style sheet"},
    "edgevision/preview/app.py": {"read_bytes": "the package's own page"},
    "edgevision/serving/app.py": {"read_bytes": "the package's own OpenAPI document"},
    # metadata of installed packages, read by importlib
    "converters/edgevision_keras/reading/packages.py": {"read_text": "of importlib.metadata"},
    # a method of ours with this name, and objects of a store, by its library
    "edgevision/batching/local.py": {"open": "of a `Work`, which loads a model"},
    "edgevision/batching/prediction.py": {"open": "of a `PinnedModel`, which loads a model"},
    "plugins/edgevision_ray/executor.py": {"open": "of a `Work`, which loads a model"},
    "edgevision/batching/run_folder.py": {"loads": "its own text, to be put into canonical form"},
    "edgevision/batching/stores.py": {"open": "of fsspec, an object behind a URL"},
    # streams: PyAV reads addresses, and writes into a file that is open
    "plugins/edgevision_video/network_stream.py": {"open": "av.open of an address"},
    "edgevision/streaming/video_writer.py": {"open": "av.open of a file of system.files"},
    "edgevision/streaming/sources/decoded_file.py": {"open": "av.open of a file of system.reading"},
    # temporary files for libraries that read or write paths alone
    "converters/edgevision_keras/reading/keras_files.py": {"symlink_to": "in a folder of its own"},
    "converters/edgevision_keras/quantization/onnx_float_model.py": {"write_bytes": "in a folder of its own"},
    "converters/edgevision_keras/quantization/plain.py": {"write_bytes": "in a folder of its own"},
}
#: Objects of ours with such a method, and modules whose functions are allowed.
OWN = ("ImageSet", "backend", "case", "archive", "self", "choice", "candidate", "cls", "kind", "VideoFile()")


def _calls(path: Path) -> Iterator[tuple[str, int]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Name) and function.id in CALLS:
            if _is_imported_from_package(tree, function.id):
                continue
            if function.id != "replace":  # dataclasses.replace
                yield function.id, node.lineno
        if isinstance(function, ast.Attribute) and function.attr in CALLS:
            if function.attr == "replace" and not _renames(node):
                continue
            owner = ast.unparse(function.value)
            if owner.rpartition(".")[2] not in OWN:
                yield function.attr, node.lineno


def _is_imported_from_package(tree: ast.AST, name: str) -> bool:
    return any(
        isinstance(node, ast.ImportFrom) and (node.module or "").startswith("edgevision")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and name in {alias.asname or alias.name for alias in node.names}
    ) or any(isinstance(node, ast.FunctionDef) and node.name == name for node in ast.walk(tree))


def _renames(call: ast.Call) -> bool:
    """`Path.replace` has one argument; `str.replace` and `dataclasses.replace` have others."""
    owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    return owner == "os" or (len(call.args) == 1 and not call.keywords)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_other_module_opens_or_parses_files(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    known = EXCEPTIONS.get(name, {})
    found = [
        f"line {line}: {call}" for call, line in _calls(path) if name not in CALLS[call] and call not in known
    ]
    assert not found, (
        f"{name}: {', '.join(found)}: read with system.reading, write with system.files, "
        "parse with strict_json and strict_zip"
    )


def test_every_exception_is_still_needed() -> None:
    for name, calls in EXCEPTIONS.items():
        used = {call for call, _ in _calls(ROOT / name)}
        assert used >= calls.keys(), f"{name}: {calls.keys() - used} no longer calls it"


def test_the_check_sees_what_opens_files(tmp_path: Path) -> None:
    path = tmp_path / "opens.py"
    path.write_text(
        "import os, json, zipfile\nfrom pathlib import Path\nopen('a')\nPath('a').open()\nos.open('a', 0)\n"
        "Path('a').read_bytes()\njson.loads('1')\nzipfile.ZipFile('a')\nPath('a').replace('b')\n"
        "'a'.replace('a', 'b')\n"
    )
    assert [call for call, _ in sorted(_calls(path), key=lambda one: one[1])] == [
        *("open", "open", "open", "read_bytes", "loads", "ZipFile", "replace")
    ]
