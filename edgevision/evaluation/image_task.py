"""A base for the evaluation of tasks about images, from a model to its evaluator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import OptionError
from edgevision.evaluation.ground_truth import GroundTruthPaths
from edgevision.evaluation.image_evaluator import ImageEvaluator
from edgevision.evaluation.model_facts import ModelFacts
from edgevision.evaluation.source_model import SourceModel
from edgevision.plugins import Registry
from edgevision.system.missing_options import MissingOptions
from edgevision.tasks.kind import NetworkFacts, kind_of
from edgevision.tasks.label_files import stated_labels


class ImageTaskEvaluation(ABC):
    """As `edgevision.evaluation.task_evaluation.TaskEvaluation`; a subclass describes and reads ground truth.

    Attributes:
        evaluator: made of (task, labels, preprocessing, truth, image names, groups).
        truth_help: what ``--truth`` takes, such as ``FILE.csv, with a row for each image``.
        annotation_suffix: of files of ``--annotations`` that hold its ground truth as well; empty for none.
    """

    evaluator: type[ImageEvaluator]
    truth_help: ClassVar[str]
    annotation_suffix: ClassVar[str] = ""

    @abstractmethod
    def described(self, network: NetworkFacts) -> Any:
        """The description of a network; as `edgevision.tasks.kind.DescribingKind.describe`."""

    @abstractmethod
    def read_truth(self, path: Path, images: ImageSet, task: Any, labels: tuple[str, ...]) -> Any:
        """The ground truth of each image, in their order: a sequence, or an array with a row for each.

        Raises:
            InputError: it cannot be used; names the image or the row.
        """

    def labels(self, task: Any, stated: tuple[str, ...], model: SourceModel) -> tuple[str, ...]:
        """The names of the classes of a trained model, from those that its caller stated."""
        return stated

    def check_stated(self, model: SourceModel, folders: Sequence[str] | None) -> None:
        """As `TaskEvaluation.check_stated`."""
        missing = MissingOptions(model.where)
        with missing.collected():
            model.preprocessing()
        with missing.collected():
            self._described(model)
        missing.check()

    def for_source(self, model: SourceModel, examples: ImageSet) -> ImageEvaluator:
        """As `TaskEvaluation.for_source`."""
        task, options = self._described(model), model.options
        labels = self.labels(task, () if options.labels is None else stated_labels(options.labels), model)
        path = self._truth_path(GroundTruthPaths.of(options.annotations, options.truth))
        truth = None if path is None else self.read_truth(path, examples, task, labels)
        return self._made(task, labels, model.preprocessing(), truth, examples)

    def for_model(
        self, model: ModelFacts, images: ImageSet, paths: GroundTruthPaths, plugins: Registry
    ) -> ImageEvaluator:
        """As `TaskEvaluation.for_model`."""
        task: Any = model.task
        if not self._takes(paths.annotations):
            raise OptionError(
                f"--annotations {paths.annotations}: the model {kind_of(task).verb}; pass --truth "
                f"{self.truth_help}"
            )
        path = self._truth_path(paths)
        if path is None:
            raise OptionError(
                f"no ground truth for the images in {images.name}; pass --truth {self.truth_help}"
            )
        truth = self.read_truth(path, images, task, model.labels)
        return self._made(task, model.labels, model.image_preprocessing, truth, images)

    def _made(self, task: Any, labels: Any, how: Any, truth: Any, images: ImageSet) -> ImageEvaluator:
        return self.evaluator(task, labels, how, truth, images.shown_names, images.groups)

    def _described(self, model: SourceModel) -> Any:
        options, task = model.options, self.described(model.facts)
        annotations = None if options.annotations is None else Path(options.annotations)
        foreign = [] if self._takes(annotations) else ["--annotations"]
        foreign += ["--decoder"] if options.decoder is not None else []
        foreign += ["--decoder-setting"] if options.decoder_settings else []
        foreign += ["thresholds"] if options.thresholds else []
        foreign += ["--output-range"] if options.output_range is not None else []
        foreign += ["--overlap"] if options.overlap is not None else []
        if foreign:
            raise OptionError(
                f"{model.where}: {', '.join(foreign)}: for other tasks, and this model {kind_of(task).verb}; "
                "remove them"
            )
        return task

    def _takes(self, annotations: Path | None) -> bool:
        """True for annotations that hold this task's ground truth, and for none."""
        return annotations is None or (
            bool(self.annotation_suffix) and annotations.suffix.lower() == self.annotation_suffix
        )

    def _truth_path(self, paths: GroundTruthPaths) -> Path | None:
        if paths.truth is not None and paths.annotations is not None:
            raise OptionError(
                f"--truth {paths.truth} and --annotations {paths.annotations}: both hold the ground truth; "
                "remove one"
            )
        return paths.truth or paths.annotations
