"""A base for the kinds of tasks whose models answer about images: what most of them have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from edgevision.errors import OptionError
from edgevision.tasks.kind import ModelParts, TaskOption
from edgevision.tasks.texts import TaskTexts

if TYPE_CHECKING:
    from edgevision.imaging.pixels import Pixels
    from edgevision.imaging.preprocess import Preprocessing
    from edgevision.session import CheckedSession

#: The field `overlap` of a description whose kind has a `TiledModel` of `edgevision.tasks.tiled`.
OVERLAP_OPTION = TaskOption(
    "overlap",
    "Cut images into tiles of the network's size that share this many pixels. Default: the whole image is "
    "resized.",
)


class ImageTaskKind:
    """As `edgevision.tasks.kind.TaskKind`; a subclass adds names, `recognise`, `image_model`, `evaluation`.

    Results have methods ``lines() -> list[str]`` and ``draw(image, scale) -> image``, as the kind's own; a
    subclass whose results have none overrides `lines` and `draw`.
    """

    ranks_classes = False
    takes_images = True
    description: type[Any]
    texts = TaskTexts()
    options: Sequence[TaskOption] = ()

    @property
    def schema(self) -> Mapping[str, Any]:
        """As `TaskKind.schema`: the names of the description's fields alone; a subclass may say more."""
        names = [field.name for field in fields(self.description)]
        properties: dict[str, Any] = {
            "name": {"const": self.description.name},
            **{name: {} for name in names},
        }
        return {
            "type": "object",
            "required": ["name", *names],
            "additionalProperties": False,
            "properties": properties,
        }

    @abstractmethod
    def image_model(
        self, session: CheckedSession, task: Any, preprocessing: Preprocessing, labels: Sequence[str]
    ) -> Any:
        """The model on a session; arguments and errors as `TaskKind.model`."""

    def model(self, session: CheckedSession, task: Any, parts: ModelParts) -> Any:
        """As `TaskKind.model`."""
        if parts.preprocessing is None:
            raise OptionError(f"task '{task.name}': expected a preprocessing for its images, got none")
        return self.image_model(session, task, parts.preprocessing, parts.labels)

    def lines(self, result: Any, top: int) -> Sequence[str]:
        """As `TaskKind.lines`: the result's own."""
        lines: Sequence[str] = result.lines()
        return lines

    def draw(self, image: Pixels, result: Any, top: int, scale: int = 1) -> Pixels:
        """As `TaskKind.draw`: the result's own."""
        drawn: Pixels = result.draw(image, scale)
        return drawn
