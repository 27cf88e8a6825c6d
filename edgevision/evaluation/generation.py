"""Evaluation of models that generate images from a seed: similarity of the images for the same seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from edgevision.backend import Session
from edgevision.bundle.known_answers import KnownTensors
from edgevision.bundle.pictures import SOURCE
from edgevision.datasets.seed_sets import CALIBRATION_START, SeedSet
from edgevision.evaluation.image_to_image import compare_images, most_contrast
from edgevision.evaluation.network_inputs import NetworkInputs, known_tensors, recorded
from edgevision.evaluation.task_evaluation import GENERATED_PICTURES
from edgevision.metrics.comparison import Comparison
from edgevision.metrics.image_similarity import Pixels
from edgevision.session import CheckedSession
from edgevision.tasks.description import GenerateTask
from edgevision.tasks.generation.build import SeedGenerator, seed_generator
from edgevision.tasks.generation_settings import DiffusionSettings

#: Number of network calls in a self-test.
_KNOWN_CALLS = 16


class GenerationEvaluator:
    """Compares models that generate images from a vector or from noise with their source; see `Evaluator`.

    Agreement is the mean structural similarity (SSIM) of the images that an artifact and its source
    generate from the same seeds. With a class condition, each seed has the class of its number.

    Args:
        task: a ``latent`` or ``diffusion`` task.
        labels: one name per class; may be empty.
        image_names: names of the images generated from the evaluation set, in their order.
    """

    preprocessing = None
    picture_limits = GENERATED_PICTURES
    #: A diffusion model takes many small steps, and its error grows with each.
    default_agreement: Mapping[str, float] = {
        "float32": 0.99,
        "float16": 0.95,
        "int16x8": 0.90,
        "int8-dynamic": 0.85,
        "int8-mixed": 0.80,
        "int8-float-io": 0.80,
        "int8": 0.80,
    }

    def __init__(self, task: GenerateTask, labels: tuple[str, ...], image_names: Sequence[str] = ()) -> None:
        self.task = task
        self.labels = labels
        self._image_names = image_names
        self._condition = getattr(task.settings, "condition", None)

    def model(self, session: CheckedSession) -> SeedGenerator:
        """As `Evaluator.model`."""
        return seed_generator(session, self.task, self.labels)

    def answers(self, model: SeedGenerator, seeds: Sequence[int]) -> Sequence[Pixels]:
        """The image generated from each seed; the seeds are consecutive."""
        return list(model.sample(len(seeds), seeds[0], self._classes(seeds)))

    def compared_pictures(
        self, image: Any, place: int, source: Pixels, artifacts: Mapping[str, Pixels]
    ) -> Mapping[str, Any]:
        """As `ComparingEvaluator.compared_pictures`: each model's image from the same seed."""
        return {SOURCE: source, **artifacts}

    def network_inputs(self, source: Session, seeds: SeedSet) -> Sequence[NetworkInputs]:
        """Every call of the network while it generates these images."""
        return recorded(source, lambda session: self.answers(self.model(session), list(seeds)))

    def known_inputs(self, source: Session, seeds: SeedSet, places: Sequence[int]) -> KnownTensors:
        """As `Evaluator.known_inputs`: some of the calls for these seeds."""
        calls = [call for place in places for call in self.network_inputs(source, seeds.only(place))]
        return known_tensors(calls, _KNOWN_CALLS)

    def compare(self, source: Sequence[Pixels], artifact: Sequence[Pixels]) -> Comparison:
        """As `compare_images`."""
        return compare_images(source, artifact, self._image_names)

    def representative(self, source: Sequence[Pixels], count: int) -> list[int]:
        """The images with the most contrast."""
        return most_contrast(source, count)

    def _classes(self, seeds: Sequence[int]) -> list[str | int] | None:
        condition = self._condition
        return None if condition is None else [seed % condition.classes for seed in seeds]


def calibration_seeds(task: GenerateTask, calls: int) -> SeedSet:
    """The fewest seeds whose images take at least `calls` calls of the network.

    Args:
        task: a ``latent`` or ``diffusion`` task.
        calls: calls with one example each.
    """
    settings = task.settings
    calls_per_image = 1
    if isinstance(settings, DiffusionSettings):
        calls_per_image = settings.steps * (1 if settings.guidance == 1 else 2)
    return SeedSet(CALIBRATION_START, math.ceil(calls / calls_per_image))
