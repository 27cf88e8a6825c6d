"""Classification as a task kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgevision.errors import OptionError
from edgevision.streaming.records import ABSTAINED
from edgevision.system.decimals import percent
from edgevision.tasks.description import ClassifyTask
from edgevision.tasks.kind import Claim, DecisionDifference, ModelParts, NetworkFacts, TaskOption
from edgevision.tasks.texts import TaskTexts

if TYPE_CHECKING:
    from edgevision.evaluation.task_evaluation import TaskEvaluation
    from edgevision.imaging.pixels import Pixels
    from edgevision.session import CheckedSession
    from edgevision.tasks.classify import Classification, Classifier


class ClassifyKind:
    """Classification of images, by one class or by independent labels."""

    name = ClassifyTask.name
    noun = "classifier"
    activity = "classification"
    verb = "classifies images"
    ranks_classes = True
    takes_images = True
    description: type[Any] = ClassifyTask
    texts = TaskTexts(
        errors="are misclassified",
        changes_title="Changed predictions",
        changes="Images whose prediction differs from that of the source",
        agreement="Share of images for which artifact and source have the same top class; with "
        "independent scores, share of decisions, one per image and label, that are the "
        "same: the score is at 0.5 or above, or it is not. Agreement on present labels "
        "leaves out what both say is absent: it is the F1 score of the artifact's labels "
        "against those of the source.",
        methods=(
            (
                "Expected calibration error",
                "Guo et al. 2017, with 15 bins of equal width. Debiased: the accuracies of bins are taken"
                " as normal, as in Kumar, Liang and Ma 2019, and their distances from the confidence are "
                "scaled until the error to be expected from them is the measured one. The interval "
                "reaches from the distances beyond chance that would hardly ever give the measured error "
                "(one set in forty) up to the measured error with the 97.5 % quantile of its noise; it "
                "covered the true error of the bins in 93 % or more of simulated sets of 50 to 5,000 "
                "images. Consistency bands: Bröcker and Smith 2007.",
            ),
        ),
    )
    options: Sequence[TaskOption] = ()

    @property
    def schema(self) -> Mapping[str, Any]:
        """As `TaskKind.schema`."""
        from edgevision.builtin_tasks.schema import schema_of

        return schema_of("classify")

    def recognise(self, network: NetworkFacts) -> Claim | None:
        """Possible with one score per class, or with options of a classifier."""
        from edgevision.tasks.base import image_outputs
        from edgevision.tasks.recognition import are_scores

        if network.input_size_wh is None:
            return None
        options = network.options
        stated = options.output is not None or options.score_kind is not None
        return Claim.POSSIBLE if stated or are_scores(image_outputs(network.outputs)) else None

    def model(self, session: CheckedSession, task: ClassifyTask, parts: ModelParts) -> Classifier:
        """As `TaskKind.model`."""
        from edgevision.tasks.classify import Classifier

        if parts.preprocessing is None:
            raise OptionError(f"task '{self.name}': expected a preprocessing for its images, got none")
        beside = parts.preprocessing, parts.labels
        return Classifier(session, *beside, task.score_kind, task.output, parts.score_calibration)

    def lines(self, result: Classification, top: int) -> list[str]:
        """The best classes in one line, and the decision at the operating point."""
        classes = "  ".join(f"{best.label} {_score(best.score)}" for best in result.top(top))
        return [f"{classes or _none_above(result)}{_decision(result)}{_set(result)}"]

    def draw(self, image: Pixels, result: Classification, top: int, scale: int = 1) -> Pixels:
        """As `TaskKind.draw`: the best classes below the image."""
        from edgevision.drawing.results import draw_classification

        return draw_classification(image, result, top)

    def evaluation(self) -> TaskEvaluation:
        """As `TaskKind.evaluation`."""
        from edgevision.evaluation.classify_task import ClassifyEvaluation

        return ClassifyEvaluation()

    def known_rows(self, place: int, result: Classification) -> Any:
        """The scores: float32 ``(1, classes)``."""
        return result.scores[None]

    def same_results(self, found: Any, known: Any, task: ClassifyTask) -> bool:
        """As `ResultReplayer.same_results`."""
        from edgevision.bundle.expectations import same_values

        return same_values(found, known)

    def decision_words(self, result: Mapping[str, Any]) -> str:
        """As `DecidingKind.decision_words`."""
        from edgevision.journal.decisions import class_words

        return class_words(result)

    def compare_decisions(
        self, recorded: Mapping[str, Any], replayed: Mapping[str, Any]
    ) -> DecisionDifference:
        """As `DecidingKind.compare_decisions`: by the top class, and by the class of interest."""
        from edgevision.journal.decisions import compare_classes

        return compare_classes(recorded, replayed)


def _none_above(result: Classification) -> str:
    """That no class reaches the threshold: an empty line would look like an image that was not run."""
    return f"no class of {_score(result.score_threshold)} or more, the threshold in the model's metadata"


def _decision(result: Classification) -> str:
    """For the class of interest, if there is one, such as ``  [cat: yes, 31.0% ≥ 20.5%]``."""
    point = result.operating_point
    if point is None:
        return ""
    verdict, sign = ("yes", "≥") if result.positive else ("no", "<")
    score = float(result.scores[point.class_id])
    threshold = point.threshold
    return f"  [{point.positive}: {verdict}, {_score(score, threshold)} {sign} {_score(threshold, score)}]"


def _set(result: Classification) -> str:
    """The prediction set, if there is one, and an abstention: ``  {cat, dog}  abstained: …``."""
    members = result.prediction_set
    text = "" if members is None else f"  {{{', '.join(members)}}}"
    return f"{text}  {ABSTAINED}: {result.abstention}" if result.abstention else text


def _score(score: float, *against: float) -> str:
    """A score such as ``31.0%``, told apart from others."""
    return percent(score, 1, against, sign="%")
