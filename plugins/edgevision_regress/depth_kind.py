"""Depth maps, and other maps of one value per pixel, as a task kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edgevision.tasks.api import (
    OVERLAP_OPTION,
    Claim,
    ImageTaskKind,
    NetworkFacts,
    TaskOption,
    TaskTexts,
)
from edgevision_regress.depth import DepthTask
from edgevision_regress.depth_recognition import described, map_output

if TYPE_CHECKING:
    from edgevision.tasks.api import CheckedSession, Preprocessing, TaskEvaluation
    from edgevision_regress.depth import DepthMap
    from edgevision_regress.depth_model import DepthEstimator, TiledDepthEstimator

#: Largest difference of a value for the same outputs, as a share of the range.
_TOLERANCE = 0.001
#: Cells of the known answers across and down: the means over parts of the image.
_CELLS = 8


class DepthKind(ImageTaskKind):
    """One value per pixel: depth, height, density."""

    name = DepthTask.name
    noun = "depth estimator"
    activity = "depth estimation"
    verb = "estimates a value for each pixel"
    description: type[Any] = DepthTask
    texts = TaskTexts(
        changes_title="Changed maps",
        changes="Images whose values differ from the source's, the largest mean difference first",
        agreement="1 - the mean difference of the values of all pixels, as a share of the range.",
        methods=(
            (
                "MAE, RMSE",
                "Mean absolute error, and root of the mean squared error, over the pixels of an image that "
                "have ground truth, averaged over images; in the values' unit.",
            ),
            (
                "AbsRel, delta<1.25",
                "Eigen, Puhrsch and Fergus 2014: the mean error as a share of the ground truth, and the "
                "share of pixels where neither is 1.25 times the other; averaged over images.",
            ),
        ),
    )
    options: Sequence[TaskOption] = (
        TaskOption("range", "Range of the values, such as [0, 10], in their unit."),
        TaskOption("unit", "Their unit, such as m. Default: none."),
        TaskOption("value", "What they are. Default: depth."),
        TaskOption("factor", "The network's numbers times this are in the unit. Default: 1."),
        TaskOption("png_step", "Value of one step of ground truth as 16-bit PNG, such as 0.001."),
        OVERLAP_OPTION,
    )

    @property
    def schema(self) -> Mapping[str, Any]:
        """As `TaskKind.schema`."""
        number = {"type": "number"}
        return {
            "type": "object",
            "required": ["name", "output", "range"],
            "additionalProperties": False,
            "properties": {
                "name": {"const": self.name},
                "output": {"description": "name of the output tensor with the values", "type": "string"},
                "range": {"type": "array", "items": number, "minItems": 2, "maxItems": 2},
                "unit": {"type": "string"},
                "value": {"type": "string"},
                "factor": number,
                "png_step": {"type": ["number", "null"], "exclusiveMinimum": 0},
                "overlap": {"type": ["integer", "null"], "minimum": 0},
            },
        }

    def recognise(self, network: NetworkFacts) -> Claim | None:
        """Only if the caller says so: a map of one channel looks like a mask, or a grey image."""
        if network.input_size_wh is None or network.options.decoder is not None:
            return None
        return None if map_output(network) is None else Claim.STATED

    def describe(self, network: NetworkFacts) -> DepthTask:
        """As `DescribingKind.describe`."""
        return described(network)

    def image_model(
        self, session: CheckedSession, task: DepthTask, preprocessing: Preprocessing, labels: Sequence[str]
    ) -> DepthEstimator | TiledDepthEstimator:
        """As `ImageTaskKind.image_model`."""
        from edgevision_regress.depth_model import DepthEstimator, TiledDepthEstimator

        kind = DepthEstimator if task.overlap is None else TiledDepthEstimator
        return kind(session, preprocessing, task)

    def evaluation(self) -> TaskEvaluation:
        """As `TaskKind.evaluation`."""
        from edgevision_regress.depth_evaluation import DepthEvaluation

        return DepthEvaluation()

    def known_rows(self, place: int, result: DepthMap) -> Any:
        """The means over parts of the image, as shares of the range: float32 ``(1, 64)``."""
        low = result.task.range[0]
        shares = np.where(np.isnan(result.values), 0, (result.values - low) / result.task.width)
        cells = cv2.resize(shares.astype(np.float32), (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
        return np.asarray(cells, np.float32).reshape(1, -1)

    def same_results(self, found: Any, known: Any, task: DepthTask) -> bool:
        """As `ResultReplayer.same_results`."""
        return found.shape == known.shape and bool((abs(found - known) <= _TOLERANCE).all())
