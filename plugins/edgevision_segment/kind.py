"""Semantic segmentation as a task kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgevision.tasks.api import (
    Claim,
    ModelParts,
    NetworkFacts,
    OptionError,
    TaskOption,
    TaskTexts,
)
from edgevision_segment.description import AXES, VALUES, SegmentTask
from edgevision_segment.recognition import chosen_output, described

if TYPE_CHECKING:
    from edgevision.tasks.api import CheckedSession, Pixels, TaskEvaluation
    from edgevision_segment.model import Segmenter
    from edgevision_segment.segmentation import Segmentation


class SegmentKind:
    """A class for each pixel: by exclusive scores, by independent masks, or by class numbers."""

    name = SegmentTask.name
    noun = "segmenter"
    activity = "segmentation"
    verb = "segments images"
    ranks_classes = False
    takes_images = True
    description: type[Any] = SegmentTask
    texts = TaskTexts(
        errors="have pixels of another class than the ground truth",
        changes_title="Changed segmentations",
        changes="Images with pixels of another class than the source's, most of them first",
        agreement="Share of pixels for which artifact and source have the same class, averaged over images. "
        "Where most pixels are background, the Dice with the source says more: its masks are taken for the "
        "ground truth, and classes are averaged without background.",
        methods=(
            (
                "Dice and IoU",
                "Of a class: pixels in both masks, twice, by the pixels of both; and pixels in both by "
                "pixels in either. Pixels are summed over all images before they are divided; the mean is "
                "over the classes in the ground truth but background.",
            ),
            (
                "Boundary F1",
                "Of the pixels on the outline of a class (Csurka et al. 2013), those within 0.75 % of the "
                "image's diagonal of the other outline; both outlines are pooled over images, as in the "
                "surface Dice of Nikolov et al. 2018.",
            ),
        ),
    )
    options: Sequence[TaskOption] = (
        TaskOption("values", f"What the output holds: {', '.join(VALUES)}. Default: what the model says."),
        TaskOption("axis", f"Where its classes are: {' or '.join(AXES)}. Default: last."),
        TaskOption("threshold", "Lowest score of a mask, 0 to 1. Default: 0.5."),
    )

    @property
    def schema(self) -> Mapping[str, Any]:
        """As `TaskKind.schema`."""
        return {
            "type": "object",
            "required": ["name", "output", "values", "axis", "threshold"],
            "additionalProperties": False,
            "properties": {
                "name": {"const": self.name},
                "output": {"description": "name of the output tensor with the classes", "type": "string"},
                "values": {"enum": list(VALUES)},
                "axis": {"enum": list(AXES)},
                "threshold": {"type": "number", "minimum": 0, "maximum": 1},
            },
        }

    def recognise(self, network: NetworkFacts) -> Claim | None:
        """Likely for a map of more classes than an image has channels, or of a softmax; else if stated."""
        if network.input_size_wh is None or network.options.decoder is not None:
            return None
        spec = chosen_output(network)
        if spec is None:
            return None
        shape = spec.shape[1:]
        if len(shape) == 2 and _are_sides(shape):
            return Claim.LIKELY if "int" in spec.dtype else Claim.STATED
        if len(shape) != 3 or not _are_sides(shape[:2]):
            return None
        is_softmax = network.score_kinds.get(spec.name) == "softmax"
        return Claim.STATED if shape[2] in (1, 3) and not is_softmax else Claim.LIKELY

    def describe(self, network: NetworkFacts) -> SegmentTask:
        """As `DescribingKind.describe`."""
        return described(network)

    def model(self, session: CheckedSession, task: SegmentTask, parts: ModelParts) -> Segmenter:
        """As `TaskKind.model`."""
        from edgevision_segment.model import Segmenter

        if parts.preprocessing is None:
            raise OptionError("segment: expected a preprocessing for its images, got none")
        return Segmenter(session, parts.preprocessing, parts.labels, task)

    def lines(self, result: Segmentation, top: int) -> list[str]:
        """As `Segmentation.lines`."""
        return result.lines()

    def draw(self, image: Pixels, result: Segmentation, top: int, scale: int = 1) -> Pixels:
        """As `Segmentation.draw`."""
        return result.draw(image, scale)

    def evaluation(self) -> TaskEvaluation:
        """As `TaskKind.evaluation`."""
        from edgevision_segment.evaluation import SegmentEvaluation

        return SegmentEvaluation()

    def known_rows(self, place: int, result: Segmentation) -> Any:
        """The share of each class: float32 ``(1, classes)``."""
        return result.shares[None].astype("float32")

    def same_results(self, found: Any, known: Any, task: SegmentTask) -> bool:
        """As `ResultReplayer.same_results`: no class may have one pixel in 500 more or less."""
        return found.shape == known.shape and bool(abs(found - known).max(initial=0.0) <= 0.002)


def _are_sides(sizes: Sequence[int | None]) -> bool:
    return all(size is None or size > 1 for size in sizes)
