"""The task of a network, as stored in a manifest: one class per task, plain values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from edgevision.errors import OptionError, first_line
from edgevision.plugins import registry
from edgevision.system.arguments import one_of
from edgevision.system.numeric import is_real, is_share, is_whole, plain_fields
from edgevision.system.reading import MOST_SETTINGS_BYTES, read_file
from edgevision.system.shown import shown
from edgevision.system.strict_json import JsonError, read_json
from edgevision.tasks.score_calibration import SCORE_KINDS

if TYPE_CHECKING:
    from edgevision.tasks.generation_settings import GenerateSettings


@dataclass(frozen=True)
class ClassifyTask:
    """Image classification.

    Attributes:
        output: name of the output tensor with the scores.
        score_kind: ``softmax``, ``sigmoid`` (independent scores) or ``logits``.
    """

    name: ClassVar[str] = "classify"
    output: str
    score_kind: str

    def __post_init__(self) -> None:
        _check(isinstance(self.output, str), "output", "the name of a tensor", self.output)
        one_of(self.score_kind, SCORE_KINDS, "score_kind")

    @property
    def read_outputs(self) -> dict[str, str]:
        """As `Task`'s."""
        return {self.output: self.score_kind}


@dataclass(frozen=True)
class DetectTask:
    """Object detection.

    Attributes:
        decoder: name of the decoder, from the outputs to boxes.
        decoder_settings: settings of that decoder; JSON values.
        score_threshold: the lowest score of a box, 0…1.
        iou_threshold: non-maximum suppression: of two boxes of one class that overlap more, the
            better one is kept, 0…1; 1 keeps all.
        max_detections: the most boxes per image; the best are kept.
    """

    name: ClassVar[str] = "detect"
    decoder: str
    decoder_settings: Mapping[str, Any] = field(default_factory=dict)
    score_threshold: float = 0.25
    iou_threshold: float = 0.5
    max_detections: int = 100

    def __post_init__(self) -> None:
        plain_fields(self, "decoder_settings", "score_threshold", "iou_threshold", "max_detections")
        _check(isinstance(self.decoder, str), "decoder", "a name", self.decoder)
        _check(
            isinstance(self.decoder_settings, Mapping), "decoder_settings", "an object", self.decoder_settings
        )
        for name in ("score_threshold", "iou_threshold"):
            _check(is_share(getattr(self, name)), name, "0 to 1", getattr(self, name))
        _check(is_whole(self.max_detections, 1), "max_detections", "1 or more", self.max_detections)


@dataclass(frozen=True)
class GenerateTask:
    """Image generation.

    Attributes:
        kind: ``image-to-image``, ``latent`` or ``diffusion``.
        output: name of the output tensor, ``(batch, height, width, channels)``.
        output_range: (low, high): the values of black and white in the output.
        color: channel order of the output: ``rgb``, ``bgr`` or ``gray``.
        settings: further settings of the kind.
    """

    name: ClassVar[str] = "generate"
    kind: str
    output: str
    output_range: tuple[float, float]
    color: str
    settings: GenerateSettings

    def __post_init__(self) -> None:
        # Imported here: a process that only classifies should not wait for it.
        from edgevision.tasks.generation_settings import KINDS, SETTINGS_OF_KIND, read_fields

        plain_fields(self, "output_range")
        one_of(self.kind, KINDS, "kind")
        _check(isinstance(self.output, str), "output", "the name of a tensor", self.output)
        _check(_is_range(self.output_range), "output_range", "a low number, then a higher", self.output_range)
        one_of(self.color, ("rgb", "bgr", "gray"), "color")
        object.__setattr__(self, "output_range", tuple(map(float, self.output_range)))
        settings = read_fields(SETTINGS_OF_KIND[self.kind], self.settings, "settings")
        object.__setattr__(self, "settings", settings)

    @property
    def read_outputs(self) -> dict[str, str]:
        """As `Task`'s."""
        return {self.output: ""}


class Task(Protocol):
    """The description of a task, as a manifest has it: a frozen dataclass with plain values.

    It may have a property ``read_outputs``: the outputs that its models read, with the kind of the scores in
    each (``softmax``, ``sigmoid`` or ``logits``; empty for other values). Without it, these are all outputs.

    A field that a later version of the task added has ``field(default=…, metadata={"added": VERSION})``:
    bundles of earlier versions, which lack it, get the default.

    Attributes:
        name: of its kind, such as ``classify``; see `edgevision.tasks.kind.TaskKind`.
    """

    name: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]


def task_to_dict(task: Task) -> dict[str, Any]:
    """The task as JSON values."""
    return {"name": task.name, **asdict(task)}


def task_from_dict(document: Mapping[str, Any], where: str) -> Task:
    """The task from the result of `task_to_dict`.

    Raises:
        OptionError: the task is unknown, or a field is missing, unknown or invalid.
    """
    values = dict(document)
    name = values.pop("name", None)
    kinds = {name: kind.description for name, kind in sorted(registry().tasks().items())}
    if not isinstance(name, str) or name not in kinds:
        raise OptionError(
            f"{where}: task '{name}' is not supported; supported are: {', '.join(kinds)}; if a package "
            "provides it, install that package"
        )
    known = [field.name for field in fields(kinds[name])]
    added = {field.name for field in fields(kinds[name]) if "added" in field.metadata}
    for field_name in known:
        if field_name not in values and field_name not in added:
            raise OptionError(f"{where}: field '{field_name}' is missing")
    for field_name in values:
        if field_name not in known:
            raise OptionError(
                f"{where}: unknown field '{field_name}'; known fields: name, {', '.join(known)}"
            )
    try:
        task: Task = kinds[name](**values)
        return task
    except OptionError as error:
        raise OptionError(f"{where}: {error}") from error


def read_generation(path: str | Path) -> GenerateTask:
    """The task of a generator, from a JSON file like the ``task`` of a manifest.

    Raises:
        OptionError: the file cannot be read or is not such a task; names the field.
    """
    try:
        document = read_json(read_file(path, MOST_SETTINGS_BYTES))
    except (OSError, JsonError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise OptionError(f"{path}: expected JSON like a manifest's task: {reason}") from error
    if not isinstance(document, dict):
        raise OptionError(f"{path}: expected a JSON object like a manifest's task")
    task = task_from_dict(document, str(path))
    if not isinstance(task, GenerateTask):
        raise OptionError(f"{path}: expected a task 'generate', got '{task.name}'")
    return task


def _check(valid: bool, name: str, expected: str, got: object) -> None:
    if not valid:
        raise OptionError(f"{name}: expected {expected}, got {shown(got)}")


def _is_range(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(is_real, value)) and value[0] < value[1]
