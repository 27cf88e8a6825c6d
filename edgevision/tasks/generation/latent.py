"""Decoders and generators of GANs: from a random vector to an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import OptionError
from edgevision.observation import observers
from edgevision.session import CheckedSession
from edgevision.system.arguments import instance
from edgevision.system.numeric import is_whole
from edgevision.system.shown import shown
from edgevision.tasks.base import TaskModel, check_inputs_known, image_output, named, where_it_ran
from edgevision.tasks.description import GenerateTask
from edgevision.tasks.generation.conditions import ClassChoice, class_ids_of, condition_input
from edgevision.tasks.generation.images import GeneratedImages, Pixels, to_pixels
from edgevision.tasks.generation.noise import MOST_IMAGES, NoiseStreams, seeds_of
from edgevision.tasks.generation_settings import LatentSettings
from edgevision.tasks.labels import as_labels

if TYPE_CHECKING:
    from edgevision.system.numeric import WholeNumber

Vectors = NDArray[np.float32]

#: Images per run of a network with a dynamic batch.
BATCH = 16


class LatentGenerator(TaskModel):
    """A generator from random vectors. Safe to share between threads.

    Args:
        session: the network.
        task: of the kind ``latent``.
        labels: one name per class, or none.

    Raises:
        OptionError: the network's tensors or the number of labels are wrong for the task.
    """

    def __init__(self, session: CheckedSession, task: GenerateTask, labels: Sequence[str] = ()) -> None:
        super().__init__(session)
        task = instance(task, GenerateTask, "task")
        if not isinstance(task.settings, LatentSettings):
            raise OptionError(f"latent: expected a task of that kind, got '{task.kind}'")
        self.task = task
        self.labels = as_labels(labels)
        self._settings = task.settings
        self._vector = named(session.inputs, task.settings.input, "input")
        self._output = image_output(session, task.output, task.color)
        self._condition = condition_input(session, task.settings.condition, self.labels)
        check_inputs_known(session, [self._vector, *([self._condition.spec] if self._condition else [])])

    def sample(
        self, count: WholeNumber = 1, seed: WholeNumber | None = None, condition: ClassChoice | None = None
    ) -> GeneratedImages:
        """Generate images.

        Args:
            count: number of images.
            seed: of the first image; the others have the next whole numbers. `None` draws one.
            condition: a label or class id, or one for each image.

        Raises:
            OptionError: an argument is out of range, or a class is unknown.
            InferenceError: the runtime failed, or the network gave NaN or infinity.
        """
        if observers.listening and self.observed:
            from edgevision.tasks.observed import observed_run

            return observed_run(self, lambda model: model.sample(count, seed, condition))
        seeds = seeds_of(count, seed)
        class_ids = class_ids_of(self._condition, condition, len(seeds))
        return GeneratedImages(
            self._decode(self._vectors(seeds), class_ids), seeds, self._provenance(class_ids)
        )

    def interpolate(
        self,
        seed_a: WholeNumber,
        seed_b: WholeNumber,
        steps: WholeNumber,
        condition: ClassChoice | None = None,
    ) -> GeneratedImages:
        """Images between those of two seeds.

        Vectors of a normal distribution are interpolated on the sphere (`slerp`), those of a uniform
        one linearly, which stays inside the cube.

        Args:
            seed_a, seed_b: seeds of the first and the last image.
            steps: the number of images, 2 or more.
            condition: as in `sample`.

        Raises:
            OptionError, InferenceError: as `sample`.
        """
        if observers.listening and self.observed:
            from edgevision.tasks.observed import observed_run

            return observed_run(self, lambda model: model.interpolate(seed_a, seed_b, steps, condition))
        if not is_whole(steps, 2) or steps > MOST_IMAGES:
            raise OptionError(f"steps: expected 2 images, the two ends, to {MOST_IMAGES}, got {shown(steps)}")
        ends = [*seeds_of(1, seed_a), *seeds_of(1, seed_b)]
        start, end = self._vectors(ends)
        shares = np.linspace(0.0, 1.0, int(steps))
        straight = self._settings.distribution == "uniform"
        way = [(1 - s) * start + s * end if straight else slerp(start, end, float(s)) for s in shares]
        class_ids = class_ids_of(self._condition, condition, len(way))
        settings = {**self._provenance(class_ids), "between_seeds": ends}
        return GeneratedImages(self._decode(np.stack(way).astype(np.float32), class_ids), settings=settings)

    def _vectors(self, seeds: Sequence[int]) -> Vectors:
        streams = NoiseStreams(seeds, self._vector.with_batch(1)[1:])
        return streams.normal() if self._settings.distribution == "normal" else streams.uniform()

    def _decode(self, vectors: Vectors, class_ids: Sequence[int]) -> Pixels:
        size = BATCH if self.session.dynamic_batch else 1
        starts = range(0, len(vectors), size)
        return np.concatenate(
            [self._decode_batch(vectors[at : at + size], class_ids[at : at + size]) for at in starts]
        )

    def _decode_batch(self, vectors: Vectors, class_ids: Sequence[int]) -> Pixels:
        with self.session.lease(len(vectors)) as slot:
            slot.inputs[self._vector.name][...] = self._vector.quantize(vectors)
            if self._condition is not None:
                slot.inputs[self._condition.spec.name][...] = self._condition.tensor(class_ids)
            values = self._output.dequantize(slot.run()[self._output.name])
        return to_pixels(values, self.task.output_range, self.task.color)

    def _provenance(self, class_ids: Sequence[int]) -> dict[str, Any]:
        settings: dict[str, Any] = {"kind": self.task.kind, **where_it_ran(self.session)}
        return {**settings, "class_ids": list(class_ids)} if class_ids else settings


def slerp(start: Vectors, end: Vectors, share: float) -> Vectors:
    """Spherical linear interpolation, Shoemake 1985, for latent vectors as in White 2016, "Sampling
    Generative Networks": vectors between keep the norm that the network was trained on.

    Args:
        start, end: vectors of the same shape.
        share: 0 at the start, 1 at the end.
    """
    cosine = float(np.sum(start * end) / (np.linalg.norm(start) * np.linalg.norm(end)))
    angle = float(np.arccos(np.clip(cosine, -1.0, 1.0)))
    sine = np.sin(angle)
    # Between collinear vectors there is no arc, or there are many.
    if sine < 1e-6:
        return np.asarray((1 - share) * start + share * end, np.float32)
    return np.asarray((np.sin((1 - share) * angle) * start + np.sin(share * angle) * end) / sine, np.float32)
