"""Detection as a task kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevision.errors import OptionError
from edgevision.system.decimals import percent
from edgevision.tasks.description import DetectTask
from edgevision.tasks.kind import Claim, DecisionDifference, ModelParts, NetworkFacts, TaskOption
from edgevision.tasks.texts import TaskTexts

if TYPE_CHECKING:
    from edgevision.evaluation.task_evaluation import TaskEvaluation
    from edgevision.imaging.pixels import Pixels
    from edgevision.session import CheckedSession
    from edgevision.tasks.detect import Detector
    from edgevision.tasks.detections import Detections


class DetectKind:
    """Detection of objects by boxes, through a decoder."""

    name = DetectTask.name
    noun = "detector"
    activity = "detection"
    verb = "detects objects"
    ranks_classes = False
    takes_images = True
    description: type[Any] = DetectTask
    texts = TaskTexts(
        errors="have missed or false detections",
        support="objects",
        changes_title="Changed predictions",
        changes="Images with a box that only the source or only the artifact detects",
        changes_legend="Thin boxes: detected by both. Thick, labelled boxes: detected by only one of the "
        "two. Boxes match if they have the same class and an IoU of at least 0.5.",
        agreement="F1 score of the artifact's boxes against those of the source. Boxes match if they "
        "have the same class and an IoU of at least 0.5; boxes below the score threshold "
        "are ignored.",
        methods=(
            (
                "Mean average precision",
                "COCO definition (Lin et al. 2014), computed with pycocotools.",
            ),
        ),
    )
    options: Sequence[TaskOption] = ()

    @property
    def schema(self) -> Mapping[str, Any]:
        """As `TaskKind.schema`."""
        from edgevision.builtin_tasks.schema import schema_of

        return schema_of("detect")

    def recognise(self, network: NetworkFacts) -> Claim | None:
        """Certain if a decoder is stated or recognises the outputs; `None` with options of a classifier."""
        options = network.options
        if network.input_size_wh is None:
            return None
        if options.decoder is not None:
            return Claim.CERTAIN
        if options.output or options.score_kind:
            return None
        from edgevision.tasks.base import image_outputs
        from edgevision.tasks.recognition import recognised_decoder

        outputs = image_outputs(network.outputs)
        found = recognised_decoder(outputs, network.input_size_wh, network.plugins)
        return None if found is None else Claim.LIKELY

    def model(self, session: CheckedSession, task: DetectTask, parts: ModelParts) -> Detector:
        """As `TaskKind.model`."""
        from edgevision.tasks.detect import Detector

        if parts.preprocessing is None:
            raise OptionError(f"task '{self.name}': expected a preprocessing for its images, got none")
        decoder = parts.plugins.decoder(task.decoder)
        return Detector(session, parts.preprocessing, parts.labels, task, decoder)

    def lines(self, result: Detections, top: int) -> list[str]:
        """One line per object: class, score and the corners of its box."""
        if len(result) == 0:
            return ["no objects"]
        return [f"{one.label} {percent(one.score, 1, sign='%')}  {_corners(one.box)}" for one in result]

    def draw(self, image: Pixels, result: Detections, top: int, scale: int = 1) -> Pixels:
        """As `TaskKind.draw`: boxes with labels."""
        from edgevision.drawing.results import draw_detections

        if scale != 1:
            result = replace(result, boxes_xyxy=result.boxes_xyxy * np.float32(scale))
        return draw_detections(image, result)

    def evaluation(self) -> TaskEvaluation:
        """As `TaskKind.evaluation`."""
        from edgevision.evaluation.detect_task import DetectEvaluation

        return DetectEvaluation()

    def known_rows(self, place: int, result: Detections) -> Any:
        """The objects: float32 ``(n, 7)``: number of the image, class, score, left, top, right, bottom."""
        from edgevision.bundle.expectations import object_rows

        return object_rows(place, result)

    def same_results(self, found: Any, known: Any, task: DetectTask) -> bool:
        """As `ResultReplayer.same_results`."""
        from edgevision.bundle.expectations import same_objects

        return same_objects(found, known, task.score_threshold)

    def decision_words(self, result: Mapping[str, Any]) -> str:
        """As `DecidingKind.decision_words`."""
        from edgevision.journal.decisions import object_words

        return object_words(result["objects"])

    def compare_decisions(
        self, recorded: Mapping[str, Any], replayed: Mapping[str, Any]
    ) -> DecisionDifference:
        """As `DecidingKind.compare_decisions`: by class and place of each object."""
        from edgevision.journal.decisions import compare_objects

        return compare_objects(recorded, replayed)


def _corners(box: Sequence[float]) -> str:
    return ",".join(f"{value:.0f}" for value in box)
