"""An artifact: what a runtime loads, as the very bytes whose digest was checked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgevision.errors import ArtifactError, OptionError
from edgevision.system.arguments import instance, mapping, one_of, text
from edgevision.system.folders import entries_below
from edgevision.system.reading import MOST_MODEL_BYTES, read_file
from edgevision.system.shown import shown


@dataclass(frozen=True)
class FileFormat:
    """The files in which artifacts of a format come, as a backend says in its ``file_formats``.

    Attributes:
        name: of the format, as in `Backend.formats`.
        suffixes: how the names of its files end, such as ``.xml`` and ``.bin``: the first names the artifact,
            and a file with each of the others and the same stem belongs to it.
        folder: whether the artifact is a folder whose name ends in the first suffix, with all files in it.

    Raises:
        OptionError: the name is empty, or a suffix does not begin with a dot.
    """

    name: str
    suffixes: tuple[str, ...]
    folder: bool = False

    def __post_init__(self) -> None:
        suffixes = tuple(self.suffixes) if not isinstance(self.suffixes, str) else ()
        valid = [isinstance(one, str) and len(one) > 1 and one.startswith(".") for one in suffixes]
        if not isinstance(self.name, str) or not self.name or not valid or not all(valid):
            raise OptionError(
                f"file format {shown(self.name, 40)}: expected a name, and suffixes such as ('.tflite',), "
                f"got {shown(self.suffixes)}"
            )
        object.__setattr__(self, "suffixes", tuple(one.lower() for one in suffixes))


#: Formats that several backends load, as these declare them.
TFLITE = FileFormat("tflite", (".tflite",))
OPENVINO = FileFormat("openvino", (".xml", ".bin"))
ONNX = FileFormat("onnx", (".onnx",))
STANDARD_FORMATS = (TFLITE, OPENVINO, ONNX)
#: Artifacts in a folder that an error names.
_MOST_NAMED = 3

#: Every precision an artifact can have, from the most expensive to the cheapest.
PRECISIONS: dict[str, str] = {
    "float32": "weights and activations float32",
    "float16": "weights float16; activations float16 or float32, as the runtime decides",
    "int16x8": "weights int8, activations int16, calibrated",
    "int8-dynamic": "weights int8, activations computed in float at run time",
    "int8-mixed": "as int8, except some layers that stay float32; found by the search for a budget",
    "int8-float-io": "weights and activations int8, calibrated; input and output float32",
    "int8": "weights and activations int8, calibrated, except operations that the evidence names; "
    "for TFLite input and output int8 as well",
}

#: Precisions whose activations have ranges, and which therefore need a calibration set.
CALIBRATED = frozenset({"int16x8", "int8-mixed", "int8-float-io", "int8"})


@dataclass(frozen=True)
class PrecisionWord:
    """A precision that a converter adds to `PRECISIONS`, as it says in its attribute ``precision_words``.

    Attributes:
        name: such as ``int4`` or ``fp8``.
        meaning: what has which type, in words.
        like: the one of `PRECISIONS` that it is most like: its limits of agreement hold, and a calibration
            set is needed where that precision needs one.

    Raises:
        OptionError: the name is one of `PRECISIONS`, or `like` is not; or the meaning is empty.
    """

    name: str
    meaning: str
    like: str

    def __post_init__(self) -> None:
        for field_name in ("name", "meaning"):
            text(getattr(self, field_name), field_name)
        one_of(self.like, tuple(PRECISIONS), "like")
        if self.name in PRECISIONS:
            raise OptionError(f"name: '{self.name}' is a precision of EdgeVision's own; choose another word")


#: The words that the converters of this process add.
_words: dict[str, PrecisionWord] = {}


def declare_precisions(words: Iterable[PrecisionWord]) -> None:
    """Add precisions of a converter; of two converters with one word, the first says what it means."""
    for word in words:
        _words.setdefault(instance(word, PrecisionWord, "precision_words").name, word)


def precision_meanings() -> dict[str, str]:
    """Every known precision -> what it means: `PRECISIONS`, and the words that converters added."""
    return {**PRECISIONS, **{name: word.meaning for name, word in _words.items()}}


def standard_precision(name: str) -> str:
    """The one of `PRECISIONS` whose limits hold for a precision: itself, or the one that a word is like."""
    return _words[name].like if name in _words else name


def is_calibrated(precision: str) -> bool:
    """True if artifacts of a precision need a calibration set."""
    return standard_precision(precision) in CALIBRATED


#: Name of EdgeVision's own description in an artifact's metadata; see `edgevision.description`.
DESCRIPTION_KEY = "edgevision"

#: Precision of an ``int8`` artifact that has some layers in float32.
MIXED = "int8-mixed"


@dataclass(frozen=True)
class FloatOperation:
    """An operation of an int8 artifact that is computed in float.

    Attributes:
        operation: the format's name of it, such as ``BATCH_MATMUL``.
        layer: the layer of the source that it belongs to; empty if unknown.
        reason: why, such as ``no int8 kernel`` or ``slower in int8``.
    """

    operation: str
    layer: str
    reason: str


#: In place of a rule for ranges: the source was trained for int8, and has them from its training.
FROM_TRAINING = "training"


@dataclass(frozen=True)
class QuantizationRecord:
    """How an int8 artifact was quantized, for its evidence.

    Attributes:
        recipe: ``edgevision``; ``plain``, the format's usual tool with its default settings; or a plugin's
            own.
        tool: that tool with its version, such as ``TFLiteConverter of TensorFlow 2.21.0``.
        range_rule: the rule that chose the ranges of activations; empty where the tool's own did;
            ``training`` where the source was trained with these ranges.
        range_errors: rule -> mean squared error of the outputs before their activation (of the logits),
            relative to their variance, simulated on images held out of the calibration set.
        float_operations: the operations that are computed in float.
    """

    recipe: str
    tool: str
    range_rule: str = ""
    range_errors: Mapping[str, float] = field(default_factory=dict)
    float_operations: tuple[FloatOperation, ...] = ()


@dataclass(frozen=True)
class Artifact:
    """A model as a runtime loads it: one file, or several, such as ``.xml`` and ``.bin``.

    Attributes:
        format: ``tflite``, ``openvino`` or ``onnx``, or a format of a plugin.
        precision: one of `PRECISIONS`, a `PrecisionWord` of a converter, or ``unknown`` for a bare file.
        files: file name -> content, with ``/`` in those of a folder. The first names the artifact.
        quantization: how it was quantized, where its converter says so.

    Raises:
        OptionError: a field has an invalid value; names it.
    """

    format: str
    precision: str
    files: Mapping[str, bytes] = field(repr=False)
    quantization: QuantizationRecord | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("format", "precision"):
            text(getattr(self, name), name)
        files = mapping(self.files, "files")
        if not files or not all(isinstance(content, bytes) for content in files.values()):
            raise OptionError(f"files: expected the name and the bytes of each file, got {shown(files)}")
        for name in files:
            text(name, "files")

    @property
    def name(self) -> str:
        """The name of the first file."""
        return next(iter(self.files))

    @property
    def content(self) -> bytes:
        """The content of the first file."""
        return next(iter(self.files.values()))

    @property
    def sha256(self) -> str:
        """One digest over all files, without their names, in hex."""
        import hashlib  # not at the top: it loads OpenSSL

        digest = hashlib.sha256()
        for content in self.files.values():
            digest.update(hashlib.sha256(content).digest())
        return digest.hexdigest()

    @property
    def size_bytes(self) -> int:
        """The total size of all files."""
        return sum(map(len, self.files.values()))


def format_of(path: str | Path, formats: Sequence[FileFormat] = STANDARD_FORMATS) -> FileFormat | None:
    """The format of a bare artifact, by the end of its name; ``None`` for any other file.

    Args:
        path: a file or folder.
        formats: those that are known; `edgevision.plugins.Registry.file_formats` has those of all backends.

    Raises:
        OptionError: two formats have this suffix.
    """
    path = Path(path)
    name = path.name.lower()
    known = [one for one in formats if name.endswith(one.suffixes[0]) and one.folder == path.is_dir()]
    longest = max((len(one.suffixes[0]) for one in known), default=0)
    matching = [one for one in known if len(one.suffixes[0]) == longest]
    if len({one.name for one in matching}) > 1:
        raise OptionError(
            f"{path}: may be of format {' or '.join(one.name for one in matching)}; name the backend that is "
            "to run it with --backend"
        )
    return matching[0] if matching else None


def read_artifact(path: str | Path, formats: Sequence[FileFormat] = STANDARD_FORMATS) -> Artifact:
    """Read a bare artifact, and the files that belong to it, into memory.

    Args:
        path: the file that names it, or its folder.
        formats: as for `format_of`.

    Raises:
        OptionError: the suffix is not that of an artifact.
        ArtifactError: a file is missing or cannot be read.
    """
    path = Path(path)
    form = format_of(path, formats)
    if form is None:
        known = ", ".join(dict.fromkeys(one.suffixes[0] for one in formats))
        step = _step_towards_artifact(path, formats)
        raise OptionError(f"{path}: expected a bundle (.evb) or an artifact ({known}); {step}")
    files = {}
    for name, part in _parts(path, form):
        beside = "" if part == path or form.folder else f"; it belongs to {path.name}: copy it beside that"
        try:
            files[name] = read_file(part, MOST_MODEL_BYTES)
        except OSError as error:
            raise ArtifactError(f"{part}: cannot be read: {error.strerror or error}{beside}") from error
    if not files:
        raise ArtifactError(f"{path}: the folder is empty; expected an artifact of format {form.name}")
    return Artifact(format=form.name, precision="unknown", files=files)


def _step_towards_artifact(path: Path, formats: Sequence[FileFormat]) -> str:
    """The next step for a path that is no artifact: which file to pass, or how to get one."""
    inside = sorted(path.iterdir()) if path.is_dir() and os.access(path, os.R_OK) else []
    artifacts = [str(file) for file in inside if file.is_file() and format_of(file, formats) is not None]
    if artifacts:
        return f"pass {' or '.join(artifacts[:_MOST_NAMED])}"
    for form in formats:
        if path.suffix.lower() in form.suffixes[1:]:
            return f"pass the {form.suffixes[0]} file that it belongs to"
    return "run edgevision convert to get a bundle from a trained model"


def _parts(path: Path, form: FileFormat) -> Iterator[tuple[str, Path]]:
    """Name within the artifact, and path, of each file."""
    if form.folder:
        try:
            parts = sorted(Path(entry.path) for _, entry in entries_below(path) if entry.is_file())
        except OSError as error:
            raise ArtifactError(f"{path}: cannot be listed: {error.strerror or error}") from error
        for part in parts:
            yield part.relative_to(path).as_posix(), part
        return
    stem = path.name[: -len(form.suffixes[0])]
    for place, suffix in enumerate(form.suffixes):
        part = path if place == 0 else path.with_name(stem + suffix)
        yield part.name, part
