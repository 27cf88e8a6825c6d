"""Generation of images as a task kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgevision.tasks.description import GenerateTask
from edgevision.tasks.kind import Claim, DecisionDifference, ModelParts, NetworkFacts, TaskOption
from edgevision.tasks.texts import TaskTexts

if TYPE_CHECKING:
    from edgevision.evaluation.task_evaluation import TaskEvaluation
    from edgevision.imaging.pixels import Pixels
    from edgevision.session import CheckedSession
    from edgevision.tasks.generation.build import Generator
    from edgevision.tasks.generation.images import GeneratedImages


class GenerateKind:
    """Generation of images: from an image, from a latent vector, or by diffusion."""

    name = GenerateTask.name
    noun = "generator"
    activity = "generation"
    verb = "generates images"
    ranks_classes = False
    takes_images = False
    description: type[Any] = GenerateTask
    texts = TaskTexts(
        errors="differ from the ground truth",
        changes_title="Changed outputs",
        changes="Images whose output differs from that of the source, largest difference first",
        agreement="Mean structural similarity (SSIM; Wang et al. 2004: Gaussian window of 11x11 "
        "pixels, standard deviation 1.5; for smaller images a uniform window of 7x7) of the"
        " artifact's and the source's output images.",
    )
    options: Sequence[TaskOption] = ()

    @property
    def schema(self) -> Mapping[str, Any]:
        """As `TaskKind.schema`."""
        from edgevision.builtin_tasks.schema import schema_of

        return schema_of("generate")

    def recognise(self, network: NetworkFacts) -> Claim | None:
        """Certain with a description of a generator, or if the only output is an image."""
        if network.options.generation is not None:
            return Claim.CERTAIN
        if network.options.decoder is not None or network.input_size_wh is None:
            return None
        if len(network.outputs) != 1:
            return None
        output = network.outputs[0]
        is_image = len(output.shape) == 4 and output.shape[3] in (1, 3)
        if network.score_kinds.get(output.name) == "softmax":
            return None  # no image has channels that sum to 1
        return Claim.CERTAIN if is_image else None

    def model(self, session: CheckedSession, task: GenerateTask, parts: ModelParts) -> Generator:
        """As `TaskKind.model`."""
        from edgevision.tasks.generation.build import build_generator

        return build_generator(session, task, parts.preprocessing, parts.labels)

    def lines(self, result: GeneratedImages, top: int) -> list[str]:
        """The number of images and their size."""
        count, height, width = result.images.shape[:3]
        return [f"{count} images of {width}x{height}"]

    def draw(self, image: Pixels, result: GeneratedImages, top: int, scale: int = 1) -> Pixels:
        """The generated image itself, in RGB."""
        from edgevision.imaging.pixels import as_rgb

        picture = result.images[0]
        return as_rgb(picture[..., 0], "gray") if picture.shape[2] == 1 else as_rgb(picture, "rgb")

    def evaluation(self) -> TaskEvaluation:
        """As `TaskKind.evaluation`."""
        from edgevision.evaluation.generate_task import GenerateEvaluation

        return GenerateEvaluation()

    def decision_words(self, result: Mapping[str, Any]) -> str:
        """As `DecidingKind.decision_words`."""
        return str(result.get("sha256", ""))[:12]

    def compare_decisions(
        self, recorded: Mapping[str, Any], replayed: Mapping[str, Any]
    ) -> DecisionDifference:
        """As `DecidingKind.compare_decisions`: bit by bit."""
        from edgevision.journal.decisions import compare_images

        return compare_images(recorded, replayed)
