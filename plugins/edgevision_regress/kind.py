"""Regression as a task kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevision.tasks.api import Claim, ImageTaskKind, NetworkFacts, TaskOption, TaskTexts
from edgevision_regress.description import COORDINATES, RegressTask
from edgevision_regress.recognition import described

if TYPE_CHECKING:
    from edgevision.tasks.api import CheckedSession, Preprocessing, TaskEvaluation
    from edgevision_regress.model import Regression, Regressor

#: Largest difference of a value for the same outputs, as a share of its range.
_TOLERANCE = 0.001


class RegressKind(ImageTaskKind):
    """Values about an image, each with a name, a unit and a range."""

    name = RegressTask.name
    noun = "regressor"
    activity = "regression"
    verb = "estimates values"
    description: type[Any] = RegressTask
    texts = TaskTexts(
        changes_title="Changed values",
        changes="Images with other values than the source's, the largest difference first",
        agreement="1 - the mean difference of the values, each as a share of its range.",
        methods=(
            ("MAE, RMSE", "Mean absolute error, and root of the mean squared error, in the values' unit."),
            (
                "R²",
                "1 - the squared error as a share of the variance of the ground truth, averaged over values.",
            ),
            (
                "Limits of agreement",
                "Bland and Altman 1986: the mean difference from the ground truth, and 1.96 standard "
                "deviations of the differences around it; their standard error is that of Bland and Altman "
                "1999.",
            ),
        ),
    )
    options: Sequence[TaskOption] = (
        TaskOption("names", 'Names of the values, such as ["age"]. Default: the columns of --truth.'),
        TaskOption("units", 'Their units, such as ["years"]. Default: none.'),
        TaskOption("ranges", "Their ranges, such as [[0, 120]]. Default: those of the ground truth."),
        TaskOption("outputs", "Outputs with the values, in their order. Default: the only one."),
        TaskOption(
            "coordinates",
            f"What values called NAME.x, NAME.y, NAME.left … are given in: {' or '.join(COORDINATES)} of the "
            "network's input. Default: no value is a coordinate.",
        ),
        TaskOption("classes", "Output with scores of classes beside the values. Default: none."),
    )

    @property
    def schema(self) -> Mapping[str, Any]:
        """As `TaskKind.schema`."""
        texts = {"type": "array", "items": {"type": "string"}}
        pair = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
        return {
            "type": "object",
            "required": ["name", "output", "names", "units", "ranges"],
            "additionalProperties": False,
            "properties": {
                "name": {"const": self.name},
                "output": {"description": "name of the output tensor with the values", "type": "string"},
                "names": {**texts, "minItems": 1},
                "units": texts,
                "ranges": {"type": "array", "items": pair},
                "more_outputs": texts,
                "coordinates": {"enum": ["", *COORDINATES]},
                "classes": {"type": "string"},
                "class_scores": {"enum": ["softmax", "logits"]},
            },
        }

    def recognise(self, network: NetworkFacts) -> Claim | None:
        """Only if the caller says so: a vector of values looks like one of scores."""
        if network.input_size_wh is None or network.options.decoder is not None or not network.outputs:
            return None
        kinds = network.score_kinds
        vectors = [sum(size != 1 for size in one.shape[1:]) <= 1 for one in network.outputs]
        if len(network.outputs) > 1:
            return Claim.STATED if all(vectors) else None
        is_linear = kinds.get(network.outputs[0].name, "linear") == "linear"
        return Claim.STATED if vectors[0] and is_linear else None

    def describe(self, network: NetworkFacts) -> RegressTask:
        """As `DescribingKind.describe`."""
        return described(network)

    def image_model(
        self, session: CheckedSession, task: RegressTask, preprocessing: Preprocessing, labels: Sequence[str]
    ) -> Regressor:
        """As `ImageTaskKind.image_model`."""
        from edgevision_regress.model import Regressor

        return Regressor(session, preprocessing, task, labels)

    def evaluation(self) -> TaskEvaluation:
        """As `TaskKind.evaluation`."""
        from edgevision_regress.evaluation import RegressEvaluation

        return RegressEvaluation()

    def known_rows(self, place: int, result: Regression) -> Any:
        """The values, and the number of the class: float32 ``(1, values)``."""
        classes = [] if result.class_id is None else [result.class_id]
        return np.concatenate([result.values, np.array(classes, np.float32)])[None]

    def same_results(self, found: Any, known: Any, task: RegressTask) -> bool:
        """As `ResultReplayer.same_results`."""
        widths = np.array([high - low for low, high in task.ranges] + [1.0] * bool(task.classes))
        return found.shape == known.shape and bool((abs(found - known) <= _TOLERANCE * widths).all())
