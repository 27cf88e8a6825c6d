"""The interface of a task kind: what a network answers, from its description to its evaluation.

A plugin gives its kinds with the hook ``edgevision_tasks``; classification, detection and generation come
through the same hook (`edgevision.builtin_tasks`). `edgevision.tasks.api` has all that an author needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from edgevision.plugins import Registry, registry
from edgevision.session import CheckedSession
from edgevision.tasks.texts import TaskTexts
from edgevision.tensors import TensorSpec

if TYPE_CHECKING:  # who reads a manifest waits for no image
    from edgevision.imaging.pixels import Pixels
    from edgevision.imaging.preprocess import Preprocessing
    from edgevision.tasks.description import Task
    from edgevision.tasks.options import TaskOptions
    from edgevision.tasks.score_calibration import ScoreCalibration


class Claim(IntEnum):
    """How surely a network is of a task; the surest claim decides, and a tie asks the caller.

    Attributes:
        STATED: only if the caller says so, such as a regression, which looks like a classifier.
        POSSIBLE: where nothing else is surer.
        LIKELY: as such networks usually look.
        CERTAIN: no other task has such outputs, or the caller's options say so.
    """

    STATED = 0
    POSSIBLE = 1
    LIKELY = 2
    CERTAIN = 3


@dataclass(frozen=True, eq=False)
class NetworkFacts:
    """A network whose task is to be found.

    Attributes:
        outputs: its outputs, with the batch dimension.
        input_size_wh: width and height of its image; `None` for a network that takes none.
        options: the caller's statements.
        plugins: provide decoders.
        where: the model, for errors.
        score_kinds: output name -> kind of its scores, as far as the model says: ``softmax``, ``sigmoid``,
            ``logits``, or ``linear`` for the output of a linear layer.
    """

    outputs: tuple[TensorSpec, ...]
    input_size_wh: tuple[int, int] | None
    options: TaskOptions
    plugins: Registry
    where: str
    score_kinds: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ModelParts:
    """The parts beside a network in its bundle.

    Attributes:
        preprocessing: from an image to its input; `None` for a network that takes no image.
        labels: one name per class; empty without.
        score_calibration: of the artifact; `None` without.
        plugins: provide decoders.
    """

    preprocessing: Preprocessing | None
    labels: Sequence[str] = ()
    score_calibration: ScoreCalibration | None = None
    plugins: Registry = field(default_factory=registry)


@dataclass(frozen=True)
class TaskOption:
    """An option of a task, for ``--task-option NAME=VALUE``.

    Attributes:
        name: the option.
        help: one sentence: what it sets, its values, and its default.
    """

    name: str
    help: str


class TaskKind(Protocol):
    """A kind of task, provided by a plugin.

    Attributes:
        name: its name in manifests and for ``--task``.
        noun: for messages: what a model of this kind is, such as ``classifier``.
        activity: what it is called, such as ``classification``.
        verb: for messages: what it does, such as ``classifies images``.
        ranks_classes: True if results rank classes, so that the best few can be shown, and their
            ``to_dict`` takes that number.
        takes_images: False if no model of this kind answers about images.
        description: the frozen dataclass that manifests hold: plain fields, and the class variable `name`;
            its constructor raises `OptionError` for an invalid field.
        schema: JSON schema of that part of a manifest, for other programs.
        texts: words for reports and commands.
        options: the options that its descriptions are made of where a model does not say.
    """

    @property
    def name(self) -> str: ...
    @property
    def noun(self) -> str: ...
    @property
    def activity(self) -> str: ...
    @property
    def verb(self) -> str: ...
    @property
    def ranks_classes(self) -> bool: ...
    @property
    def takes_images(self) -> bool: ...
    @property
    def description(self) -> type[Any]: ...
    @property
    def schema(self) -> Mapping[str, Any]: ...
    @property
    def texts(self) -> TaskTexts: ...
    @property
    def options(self) -> Sequence[TaskOption]: ...

    def recognise(self, network: NetworkFacts) -> Claim | None:
        """How surely a network is of this kind; `None` if it cannot be.

        Raises:
            OptionError: the caller's options contradict the network.
        """
        ...

    def model(self, session: CheckedSession, task: Any, parts: ModelParts) -> Any:
        """The model on a session, an `edgevision.tasks.image_model.ImageModel` if it answers about images.

        Args:
            session: the network; the model closes it.
            task: a `description`.
            parts: its preprocessing, labels and decoders.

        Raises:
            OptionError: the network's tensors are not what the task needs.
        """
        ...

    def lines(self, result: Any, top: int) -> Sequence[str]:
        """A result as lines for a terminal, each without the image's name; one or more.

        Args:
            result: of one image, from the model.
            top: number of classes to show, for kinds that rank classes.
        """
        ...

    def draw(self, image: Pixels, result: Any, top: int, scale: int = 1) -> Pixels:
        """An image with its result drawn into it, for people.

        Args:
            image: (h, w, 3) uint8 RGB; not changed.
            result: of that image, before it was enlarged.
            top: as for `lines`.
            scale: the whole factor that it was enlarged by.

        Returns:
            (h, w, 3) uint8 RGB, owned by the caller; it may be larger.
        """
        ...

    def evaluation(self) -> Any:
        """The task's evaluation, an `edgevision.evaluation.task_evaluation.TaskEvaluation`.

        Imports what a workstation needs, and is called there alone.
        """
        ...


@runtime_checkable
class DescribingKind(TaskKind, Protocol):
    """A kind that describes a network by its outputs and the task's options, such as that of a bare file."""

    def describe(self, network: NetworkFacts) -> Any:
        """The description of a network.

        Args:
            network: it, with the caller's statements.

        Raises:
            MissingOptionError: something is neither in the network nor stated; names the option.
            OptionError: an option contradicts the network.
        """
        ...


@runtime_checkable
class ResultReplayer(Protocol):
    """A kind whose results for the known answers of a bundle are recorded, and checked on each device.

    Without it, the network's outputs alone are checked.
    """

    def known_rows(self, place: int, result: Any) -> Any:
        """Float rows ``(n, columns)`` of a result, to be recorded.

        Args:
            place: number of the known image.
            result: of that image.
        """
        ...

    def same_results(self, found: Any, known: Any, task: Any) -> bool:
        """True if the rows of all images say the same as those that were recorded."""
        ...


class DecisionDifference(NamedTuple):
    """Two results of one frame, compared.

    Attributes:
        differs: whether the decisions are different.
        recorded, replayed: each decision in words.
        score_difference: the largest difference of two scores of one class or object, 0…1; `None` if no score
            is in both.
    """

    differs: bool
    recorded: str
    replayed: str
    score_difference: float | None = None


@runtime_checkable
class DecidingKind(Protocol):
    """A kind that says when two results, as `to_dict` gives them, are the same decision: for journals.

    Without it, two results are the same if all their texts are, and their numbers are within 1 %.
    """

    def decision_words(self, result: Mapping[str, Any]) -> str:
        """The decision in one result, for a list of rows."""
        ...

    def compare_decisions(
        self, recorded: Mapping[str, Any], replayed: Mapping[str, Any]
    ) -> DecisionDifference:
        """Compare two results.

        Raises:
            KeyError, TypeError, ValueError: a result has another form.
        """
        ...


def task_kinds() -> dict[str, TaskKind]:
    """Name -> kind of task, of all plugins of this process."""
    kinds: dict[str, TaskKind] = registry().tasks()
    return kinds


def task_kind(name: str) -> TaskKind:
    """The kind called `name`.

    Raises:
        PluginError: no plugin provides it; lists the available ones.
    """
    kind: TaskKind = registry().task(name)
    return kind


def kind_of(task: Task) -> TaskKind:
    """The kind of a description; raises as `task_kind`."""
    return task_kind(task.name)
