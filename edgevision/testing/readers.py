"""The contract of a reader of trained models, as one function for its author's tests."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.converter import ExplainingReader, Source, SourceFacts, SourceReader
from edgevision.errors import SourceError
from edgevision.plugins.shapes import wrong_item
from edgevision.system.files import temporary_files
from edgevision.system.reading import MOST_MODEL_BYTES, read_file
from edgevision.tensors import Array
from edgevision.testing.children import check_rules
from edgevision.testing.contract import expect, expect_raises
from edgevision.testing.process_state import no_temporary_files

_HOOK = "edgevision_readers"
#: Largest difference between one image alone and the same image among others.
_TOLERANCE = 1e-4


def check_reader(
    reader: SourceReader,
    path: str | Path,
    expected: tuple[Mapping[str, Array], Mapping[str, Array]] | None = None,
    others: Sequence[str | Path] = (),
) -> None:
    """Check that `reader` keeps the contract of `edgevision.converter`.

    Args:
        reader: the reader under test.
        path: a small model of its kind, a file or a folder, that contains no code.
        expected: inputs of `Source.run` for one image or more, and the outputs that the model gives in the
            library that trained it; `None` compares with none, and then a wrong model goes unnoticed.
        others: files and folders that are not of its kind, such as models of other libraries.

    Raises:
        AssertionError: states the broken rule, what was seen, and what to do.
        MissingRuntimeError: a library that the reader needs is not installed.
    """
    case = _Case(reader, Path(path).absolute(), expected, tuple(Path(one).absolute() for one in others))
    check_rules(_RULES, case, case.subject)


@dataclass(frozen=True)
class _Case:
    """A reader under test, and a model that it reads."""

    reader: Any
    path: Path
    known: tuple[Mapping[str, Array], Mapping[str, Array]] | None
    others: tuple[Path, ...]

    @property
    def subject(self) -> str:
        return f"reader '{getattr(self.reader, 'name', type(self.reader).__name__)}'"

    def read(self, path: Path | None = None) -> Source:
        source: Source = self.reader.read(path or self.path, trust_source=False, input_size_wh=None)
        return source

    def inputs(self, source: Source, count: int) -> dict[str, Array]:
        random = np.random.default_rng(0)
        return {
            spec.name: random.random((count, *spec.shape[1:]), np.float32)  # type: ignore[arg-type]
            for spec in source.inputs
        }

    def expect(self, holds: bool, message: str) -> None:
        expect(holds, self.subject, message)


def _check_members(case: _Case) -> None:
    """The reader has a name, and the methods ``reads`` and ``read``."""
    wrong = wrong_item(_HOOK, case.reader)
    case.expect(not wrong, f"is a {wrong}; see edgevision.converter.SourceReader")


def _check_reads(case: _Case) -> None:
    """Files of its kind are recognised without importing a library, and no others are."""
    package = type(case.reader).__module__.partition(".")[0]
    before = set(sys.modules)
    answer = case.reader.reads(case.path)
    imported = {name.partition(".")[0] for name in set(sys.modules) - before}
    foreign = sorted(imported - sys.stdlib_module_names - {package, "edgevision"})
    case.expect(not foreign, f"reads imports {', '.join(foreign)}; look at the name and the first bytes")
    case.expect(answer is True, f"reads({case.path.name}) returned {answer!r}, expected True")
    with _strangers() as strangers:
        for stranger in (*strangers, *case.others):
            answer = case.reader.reads(stranger)
            case.expect(answer is False, f"reads({stranger.name}) returned {answer!r}, expected False")
            if isinstance(case.reader, ExplainingReader):
                text = case.reader.explain(stranger)
                case.expect(isinstance(text, str), f"explain returned {text!r}, expected text")


@contextmanager
def _strangers() -> Iterator[list[Path]]:
    """Files that no reader knows."""
    contents = {"empty": b"", "text.txt": b"no model", "bytes.bin": bytes(range(256)) * 8}
    with temporary_files(contents) as folder:
        yield [folder / name for name in contents]


def _check_source(case: _Case) -> None:
    """A source states its kind, path, digest, versions and float32 tensors with an open batch."""
    source = case.read()
    for name in ("kind", "description"):
        text = getattr(source, name, None)
        case.expect(isinstance(text, str) and text != "", f"{name} is {text!r}, expected text")
    case.expect(Path(source.path) == case.path, f"path is {source.path}, expected {case.path}")
    if case.path.is_file():
        digest = hashlib.sha256(read_file(case.path, MOST_MODEL_BYTES)).hexdigest()
        case.expect(source.sha256 == digest, f"sha256 is {source.sha256!r}, expected {digest}, of the file")
    case.expect(isinstance(source.facts, SourceFacts), f"facts is {source.facts!r}, expected SourceFacts")
    versions = dict(source.versions)
    valid = all(isinstance(one, str) for pair in versions.items() for one in pair)
    case.expect(valid, f"versions is {versions!r}, expected library -> version")
    for side in ("inputs", "outputs"):
        specs = getattr(source, side)
        case.expect(isinstance(specs, tuple) and len(specs) > 0, f"{side} is {specs!r}, expected TensorSpecs")
        for spec in specs:
            sound = spec.dtype == "float32" and spec.dynamic_batch
            case.expect(sound, f"{side}: {spec.describe()}, expected float32 with an open batch (None, ...)")


def _check_run(case: _Case) -> None:
    """Images get the stated outputs, the same alone and among others, and their inputs are only read."""
    source = case.read()
    three = case.inputs(source, 3)
    kept = {name: array.copy() for name, array in three.items()}
    answer = source.run(three)
    changed = [name for name, array in kept.items() if not np.array_equal(array, three[name])]
    case.expect(not changed, f"run changed the inputs {changed}; they are only read")
    names = {spec.name for spec in source.outputs}
    case.expect(set(answer) == names, f"run returned {sorted(answer)}, expected {sorted(names)}")
    for spec in source.outputs:
        array = answer[spec.name]
        shape = (3, *spec.shape[1:])
        fits = array.dtype == np.float32 and array.ndim == len(shape)
        fits = fits and all(size in (None, got) for size, got in zip(shape, array.shape, strict=True))
        case.expect(fits, f"output '{spec.name}' is {array.shape} {array.dtype}, expected {shape} float32")
        case.expect(bool(np.isfinite(array).all()), f"output '{spec.name}' is not finite")
    before = {name: array.copy() for name, array in answer.items()}
    alone = source.run({name: array[:1] for name, array in three.items()})
    for name, array in before.items():
        case.expect(np.array_equal(answer[name], array), f"a later run changed output '{name}'; copy it")
        span = max(float(np.ptp(array)), 1e-3)
        error = float(np.abs(alone[name] - array[:1]).max()) / span
        case.expect(error < _TOLERANCE, f"output '{name}' of an image alone differs by {error:.3g}")


def _check_again(case: _Case) -> None:
    """Reading twice gives the same model, and leaves the file alone and nothing behind."""
    before = _digest(case.path)
    with no_temporary_files():
        first, second = case.read(), case.read()
        inputs = case.inputs(first, 1)
        same = all(np.allclose(first.run(inputs)[name], array) for name, array in second.run(inputs).items())
    case.expect(same, "reading the same file twice gave models with other answers")
    case.expect(_digest(case.path) == before, "reading changed the model's files; they are only read")


def _check_expected(case: _Case) -> None:
    """The answers are those of the library that trained the model."""
    if case.known is None:
        return
    inputs, outputs = case.known
    answer = case.read().run(inputs)
    for name, wanted in outputs.items():
        case.expect(name in answer, f"run returned {sorted(answer)}, expected '{name}' too")
        span = max(float(np.ptp(wanted)), 1e-3)
        error = float(np.abs(answer[name] - wanted).max()) / span
        case.expect(
            error < 1e-3, f"output '{name}' differs by {error:.3g} of its range from the expected one"
        )


def _check_damaged(case: _Case) -> None:
    """A file that is missing, empty or cut is refused with SourceError."""
    with tempfile.TemporaryDirectory() as folder:
        with expect_raises(SourceError, case.subject, "a file that does not exist"):
            case.read(Path(folder, f"missing{case.path.suffix}"))
        if not case.path.is_file():
            return
        content = read_file(case.path, MOST_MODEL_BYTES)
    for name, part in (("empty", b""), ("cut", content[: len(content) // 2])):
        with temporary_files({f"{name}{case.path.suffix}": part}) as written:
            damaged = written / f"{name}{case.path.suffix}"
            with expect_raises(SourceError, case.subject, f"a file that is {name}"):
                case.read(damaged)


_RULES: tuple[Callable[[_Case], None], ...] = (
    _check_members,
    _check_reads,
    _check_source,
    _check_run,
    _check_again,
    _check_expected,
    _check_damaged,
)


def _digest(path: Path) -> list[tuple[str, str]]:
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    return [(one.name, hashlib.sha256(read_file(one, MOST_MODEL_BYTES)).hexdigest()) for one in files]
