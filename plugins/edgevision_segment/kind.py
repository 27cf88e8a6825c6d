"""Semantic segmentation as a task kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgevision.tasks.api import (
    OVERLAP_OPTION,
    Claim,
    DecisionDifference,
    ImageTaskKind,
    NetworkFacts,
    TaskOption,
    TaskTexts,
)
from edgevision_segment.description import AXES, VALUES, SegmentTask
from edgevision_segment.recognition import chosen_output, described, is_map

if TYPE_CHECKING:
    from edgevision.tasks.api import CheckedSession, Preprocessing, TaskEvaluation
    from edgevision_segment.model import Segmenter, TiledSegmenter
    from edgevision_segment.segmentation import Segmentation

#: Share of an image's pixels by which a class may differ in the same decision.
_SAME_SHARE = 0.005


class SegmentKind(ImageTaskKind):
    """A class for each pixel: by exclusive scores, by independent masks, or by class numbers."""

    name = SegmentTask.name
    noun = "segmenter"
    activity = "segmentation"
    verb = "segments images"
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
        TaskOption(
            "axis", f"Where its classes are: {' or '.join(AXES)}. Default: what the shapes say, or last."
        ),
        TaskOption("threshold", "Lowest score of a mask, 0 to 1. Default: 0.5."),
        OVERLAP_OPTION,
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
                "overlap": {"type": ["integer", "null"], "minimum": 0},
                "grid_wh": {
                    "type": ["array", "null"],
                    "items": {"type": "integer", "minimum": 1},
                    "minItems": 2,
                    "maxItems": 2,
                },
            },
        }

    def recognise(self, network: NetworkFacts) -> Claim | None:
        """Likely for a map of more classes than an image has channels, or of a softmax; else if stated."""
        if network.input_size_wh is None or network.options.decoder is not None:
            return None
        spec = chosen_output(network)
        if spec is None:
            return Claim.STATED if any(is_map(one, network) for one in network.outputs) else None
        if not is_map(spec, network):
            return None
        if len(spec.shape) == 3:
            return Claim.LIKELY if "int" in spec.dtype else Claim.STATED
        is_softmax = network.score_kinds.get(spec.name) == "softmax"
        return Claim.STATED if spec.shape[3] in (1, 3) and not is_softmax else Claim.LIKELY

    def describe(self, network: NetworkFacts) -> SegmentTask:
        """As `DescribingKind.describe`."""
        return described(network)

    def image_model(
        self, session: CheckedSession, task: SegmentTask, preprocessing: Preprocessing, labels: Sequence[str]
    ) -> Segmenter | TiledSegmenter:
        """As `ImageTaskKind.image_model`."""
        from edgevision_segment.model import Segmenter, TiledSegmenter

        kind = Segmenter if task.overlap is None else TiledSegmenter
        return kind(session, preprocessing, labels, task)

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

    def decision_words(self, result: Mapping[str, Any]) -> str:
        """As `DecidingKind.decision_words`: the share of each class."""
        shares = sorted(_shares(result).items(), key=lambda one: -one[1])
        return "  ".join(f"{label} {100 * share:.1f}%" for label, share in shares)

    def compare_decisions(
        self, recorded: Mapping[str, Any], replayed: Mapping[str, Any]
    ) -> DecisionDifference:
        """As `DecidingKind.compare_decisions`: no class may have one pixel in 200 more or less."""
        first, second = _shares(recorded), _shares(replayed)
        moved = [
            abs(first.get(label, 0.0) - second.get(label, 0.0)) for label in first.keys() | second.keys()
        ]
        words = self.decision_words(recorded), self.decision_words(replayed)
        return DecisionDifference(max(moved, default=0.0) > _SAME_SHARE, *words)


def _shares(result: Mapping[str, Any]) -> dict[str, float]:
    return {str(one["label"]): float(one["share"]) for one in result["classes"]}
