"""Every Python snippet in documents and docstrings passes `mypy --strict`; every public name has a type."""

from __future__ import annotations

import ast
import builtins
import doctest
import importlib
import importlib.util
import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import edgevision

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "examples").glob("*/README.md")),
    *sorted((ROOT / "docs").glob("**/*.md")),
]
SOURCES = [
    *sorted((ROOT / "edgevision").rglob("*.py")),
    *sorted((ROOT / "plugins").rglob("*.py")),
    *sorted((ROOT / "converters").rglob("*.py")),
]

#: Names that a snippet may use without defining them -> their types.
READERS_OWN = {
    "frame": "NDArray[np.uint8]",
    "Gate": "Any",
    "MyBackend": "type[edgevision.backend.Backend]",
    "MyDecoder": "type[edgevision.decoder.Decoder]",
    "CountKind": "Any",
    "CountTask": "Any",
    "my_artifact": "edgevision.Artifact",
}

#: How Python begins: an indented block that begins so and cannot be parsed is an error.
PYTHON = re.compile(r"(>>> |import \w+|from \w+ import |for \w+ in |with .+:$|def \w+\(|\w+ = \w+)")


class Snippet(NamedTuple):
    """A piece of Python as a reader sees it."""

    origin: str
    code: str

    @property
    def file_name(self) -> str:
        return re.sub(r"\W+", "_", self.origin) + ".py"


def document_snippets(path: Path) -> Iterator[Snippet]:
    """Fenced Python blocks, indented blocks of Python, and programs in ``python -c``."""
    text = path.read_text(encoding="utf-8")
    where = path.relative_to(ROOT)
    for match in re.finditer(r"^( *)```(\w*)\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
        line = text[: match.start()].count("\n") + 1
        code = inspect.cleandoc("\n" + match[3])
        if match[2] == "python":
            yield Snippet(f"{where}:{line}", code)
        else:
            yield from programs(f"{where}:{line}", code)
    without_fences = re.sub(
        r"^ *```.*?^ *```", lambda match: "\n" * match[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE
    )
    yield from indented_snippets(str(where), without_fences)


def indented_snippets(where: str, text: str) -> Iterator[Snippet]:
    for match in re.finditer(r"(?:^(?: {4,}[^\n]*|[ ]*)\n)+", text, re.MULTILINE):
        line = text[: match.start()].count("\n") + 1
        code = inspect.cleandoc("\n" + match[0].strip("\n"))
        if code:
            line += len(match[0]) - len(match[0].lstrip("\n"))
            if is_python(code):
                yield Snippet(f"{where}:{line}", code)
            else:
                assert not PYTHON.match(code) or "python -c" in code, f"{where}:{line}: not valid Python"
                yield from programs(f"{where}:{line}", code)


def programs(where: str, code: str) -> Iterator[Snippet]:
    """The programs of ``python -c`` in a block of shell commands."""
    if "python -c" in code:
        words = shlex.split(code, comments=True)
        for place, word in enumerate(words):
            if word == "-c":
                yield Snippet(f"{where} -c {place}", inspect.cleandoc("\n" + words[place + 1]))


def is_python(code: str) -> bool:
    try:
        body = ast.parse(code).body
    except SyntaxError:
        return False
    return any(not isinstance(node, ast.Expr) or isinstance(node.value, ast.Call) for node in body)


def docstring_snippets(path: Path) -> Iterator[Snippet]:
    """``>>>`` examples, blocks after ``::``, and the indented blocks of the package's own docstring."""
    where = str(path.relative_to(ROOT))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            continue
        text = ast.get_docstring(node)
        if text is None:
            continue
        name = f"{where}:{getattr(node, 'name', '')}"
        if ">>> " in text:
            code = "".join(example.source for example in doctest.DocTestParser().get_examples(text))
            yield Snippet(name, code)
            continue
        for place, match in enumerate(re.finditer(r"::\n\n((?:(?: +[^\n]*)?(?:\n|\Z))+)", text)):
            yield Snippet(f"{name} {place}", inspect.cleandoc("\n" + match[1]))
        if path == ROOT / "edgevision" / "__init__.py" and isinstance(node, ast.Module):
            yield from indented_snippets(name, text + "\n")


def all_snippets() -> list[Snippet]:
    return [
        *(snippet for path in DOCUMENTS for snippet in document_snippets(path)),
        *(snippet for path in SOURCES for snippet in docstring_snippets(path)),
    ]


SNIPPETS = all_snippets()


def prelude(snippet: Snippet) -> str:
    """Imports and declarations of the names that a snippet uses and does not define."""
    tree = ast.parse(snippet.code)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    used = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    defined = {node.id for node in names if isinstance(node.ctx, ast.Store)} | set(dir(builtins))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            defined |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined.add(node.name)
    lines = [
        "from typing import Any",
        "import edgevision.backend, edgevision.decoder",
        "import numpy as np",
        "from numpy.typing import NDArray",
    ]
    free = used - defined - {"edgevision", "np", "NDArray"}
    lines += [f"{name}: {READERS_OWN[name]}" for name in sorted(free & set(READERS_OWN))]
    path, _, owner = snippet.origin.partition(":")
    if path.endswith(".py"):
        name_of_module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        module = importlib.import_module(name_of_module)
        if "model" in free:  # in the docstring of a class: an instance of it
            lines.append(f"model: edgevision.{owner.split()[0]}")
        things = {name: getattr(module, name) for name in free if hasattr(module, name)}
        lines += [f"from {thing.__module__} import {name}" for name, thing in sorted(things.items())]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def messages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """File name -> mypy's messages. All files are checked in one run, so mypy reads the package once."""
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("needs mypy, which the extra `dev` installs")
    folder = tmp_path_factory.mktemp("snippets")
    for snippet in SNIPPETS:
        (folder / snippet.file_name).write_text(prelude(snippet) + snippet.code + "\n", encoding="utf-8")
    reveals = "".join(f"reveal_type(edgevision.{name})\n" for name in edgevision.__all__)
    (folder / "names.py").write_text(f"import edgevision\n{reveals}", encoding="utf-8")
    (folder / "stars.py").write_text("from edgevision import *\nreveal_type(load)\n", encoding="utf-8")
    (folder / "misspelled.py").write_text(
        "import edgevision\nedgevision.laod('model.evb')\n", encoding="utf-8"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml")]
    files = sorted(str(file) for file in folder.glob("*.py"))
    result = subprocess.run(
        [*command, "--no-error-summary", "--hide-error-context", *files],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode in (0, 1), result.stdout + result.stderr
    by_file: dict[str, list[str]] = {Path(file).name: [] for file in files}
    for line in result.stdout.splitlines():
        file, _, message = line.partition(":")
        by_file.setdefault(Path(file).name, []).append(message)
    return by_file


def test_the_documents_have_snippets_of_each_kind() -> None:
    """A collector that finds nothing would pass everything."""
    origins = " ".join(["", *(snippet.origin for snippet in SNIPPETS)])
    for part in (
        " README.md:",
        "examples/plugin_template/README.md",
        " -c ",
        "edgevision/__init__.py",
        "fake.py",
    ):
        assert part in origins, part
    assert len({snippet.file_name for snippet in SNIPPETS}) == len(SNIPPETS)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.origin)
def test_a_snippet_passes_mypy_strict(snippet: Snippet, messages: dict[str, list[str]]) -> None:
    assert messages[snippet.file_name] == [], prelude(snippet) + snippet.code


def test_mypy_sees_every_public_name_with_its_type(messages: dict[str, list[str]]) -> None:
    revealed = messages["names.py"]
    assert len(revealed) == len(edgevision.__all__), revealed
    assert [line for line in revealed if "Revealed type is" not in line or '"Any"' in line] == []
    types = dict(zip(edgevision.__all__, revealed, strict=True))
    assert "def (path: str | pathlib.Path" in types["load"].replace("builtins.str", "str")
    assert "edgevision.tasks.classify.Classifier" in types["load"]
    assert types["load_classifier"].endswith('-> edgevision.tasks.classify.Classifier"')
    assert "edgevision.evidence.records.Evidence" in types["convert"]


def test_mypy_sees_the_names_of_a_star_import(messages: dict[str, list[str]]) -> None:
    assert "Revealed type is" in messages["stars.py"][0]


def test_mypy_refuses_a_misspelled_name(messages: dict[str, list[str]]) -> None:
    assert any('Module has no attribute "laod"' in line for line in messages["misspelled.py"])
