"""Diffusion: a network that removes noise, called in a loop until an image is left.

The loop is numpy and is the same for every runtime; only the network runs in the session.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgevision.backend import Slot
from edgevision.errors import CancelledError, OptionError
from edgevision.observation import observers
from edgevision.session import CheckedSession
from edgevision.system.arguments import callback, instance, one_of, real_number, whole_number
from edgevision.tasks.base import TaskModel, check_inputs_known, image_output, named, where_it_ran
from edgevision.tasks.description import GenerateTask
from edgevision.tasks.generation.conditions import ClassChoice, class_ids_of, condition_input
from edgevision.tasks.generation.images import GeneratedImages, check_finite, to_pixels
from edgevision.tasks.generation.noise import NoiseStreams, seeds_of
from edgevision.tasks.generation.samplers import STEPS, clean_weights, guided
from edgevision.tasks.generation.schedules import (
    Trajectory,
    alphas_cumprod,
    karras_trajectory,
    spaced_trajectory,
)
from edgevision.tasks.generation_settings import SAMPLERS, DiffusionSettings
from edgevision.tasks.labels import as_labels
from edgevision.tensors import Array, TensorSpec, dequantizer

if TYPE_CHECKING:
    from edgevision.system.numeric import RealNumber, WholeNumber

Values = NDArray[np.float32]

#: Called with (steps done, steps in all); returning `False` cancels the generation.
StepCallback = Callable[[int, int], bool | None]

#: (noisy images, index of the step) -> the network's prediction, of the same shape; the caller may
#: overwrite it.
Denoiser = Callable[[Values, int], Values]

#: Images per run of a network with a dynamic batch.
BATCH = 8


@dataclass(frozen=True)
class Sampling:
    """The settings of one sampling.

    Attributes:
        sampler: one of `SAMPLERS`.
        trajectory: the noise levels.
        prediction: the network's output: ``epsilon``, ``x0`` or ``v``.
        clip_range: (low, high) for the clean image predicted at each step, or `None`.
    """

    sampler: str
    trajectory: Trajectory
    prediction: str
    clip_range: tuple[float, float] | None


def denoise(
    network: Denoiser, noise: NoiseStreams, sampling: Sampling, step_done: Callable[[], None]
) -> Values:
    """Generate images from noise.

    Args:
        network: called once per step.
        noise: source of the initial noise, and of the noise that the sampler adds.
        sampling: sampler and noise levels.
        step_done: called after each step.

    Returns:
        float32 ``(n, h, w, c)``.
    """
    low, high = sampling.clip_range or (-np.inf, np.inf)
    levels = sampling.trajectory.alphas_cumprod.tolist()
    weights = [
        (*clean_weights(sampling.prediction, level), STEPS[sampling.sampler](level, following))
        for level, following in pairwise(levels)
    ]
    x = noise.normal()
    x0 = np.empty_like(x)
    # In place, with as few calls as possible: after a network's run, little of numpy is in the caches.
    for place, (of_x, of_output, next_x) in enumerate(weights):
        output = network(x, place)
        output *= of_output
        np.multiply(x, of_x, out=x0)
        x0 += output
        if sampling.clip_range is not None:
            np.minimum(np.maximum(x0, low, out=x0), high, out=x0)
        x *= next_x.noisy
        x0 *= next_x.clean
        x += x0
        if next_x.noise:
            x += noise.normal() * next_x.noise
        step_done()
    return x


class DiffusionGenerator(TaskModel):
    """A diffusion model. Safe to share between threads.

    Args:
        session: the network.
        task: of the kind ``diffusion``.
        labels: one name per class, or none.

    Raises:
        OptionError: the network's tensors or the number of labels are wrong for the task.
    """

    def __init__(self, session: CheckedSession, task: GenerateTask, labels: Sequence[str] = ()) -> None:
        super().__init__(session)
        task = instance(task, GenerateTask, "task")
        if not isinstance(task.settings, DiffusionSettings):
            raise OptionError(f"diffusion: expected a task of that kind, got '{task.kind}'")
        self.task = task
        self.labels = as_labels(labels)
        self._settings = settings = task.settings
        self._levels = alphas_cumprod(settings.schedule)
        self._image = named(session.inputs, settings.image_input, "input")
        self._time = _timestep(session, settings.timestep_input)
        self._output = image_output(session, task.output, task.color)
        self._dequantize = dequantizer(self._output)
        if self._image.shape[1:] != self._output.shape[1:]:
            raise OptionError(
                f"input '{self._image.name}' {self._image.describe()}: expected the shape of output "
                f"'{self._output.name}', {self._output.describe()}"
            )
        self._condition = condition_input(session, settings.condition, self.labels)
        condition = [] if self._condition is None else [self._condition.spec]
        check_inputs_known(session, [self._image, self._time, *condition])

    def sample(
        self,
        count: WholeNumber = 1,
        seed: WholeNumber | None = None,
        condition: ClassChoice | None = None,
        *,
        steps: WholeNumber | None = None,
        guidance: RealNumber | None = None,
        sampler: str | None = None,
        progress: StepCallback | None = None,
    ) -> GeneratedImages:
        """Generate images; by default with the settings of the manifest.

        Args:
            count: number of images.
            seed: of the first image; the others have the next whole numbers. `None` draws one.
            condition: a label or class id, or one for each image; `None` for any class.
            steps: calls of the network per image; more are slower and finer.
            guidance: scale of classifier-free guidance; 1 is none, and half the work.
            sampler: ``ddim``, ``ddpm`` or ``euler``.
            progress: called after each step with the steps done and the steps in all. Returning
                `False` cancels the generation: to cancel from another thread,
                ``progress=lambda done, steps: not event.is_set()``.

        Raises:
            OptionError: an argument is out of range, a class is unknown, or the network is
                unconditional or does not support guidance.
            CancelledError: `progress` returned `False`; unfinished images are discarded.
            InferenceError: the runtime failed, or the network gave NaN or infinity.
        """
        if observers.listening and self.observed:
            from edgevision.tasks.observed import observed_run

            options: Any = {"steps": steps, "guidance": guidance, "sampler": sampler, "progress": progress}
            return observed_run(self, lambda model: model.sample(count, seed, condition, **options))
        callback(progress, "progress")
        sampling = self._sampling(None if steps is None else whole_number(steps, "steps", least=1), sampler)
        guidance = self._settings.guidance if guidance is None else real_number(guidance, "guidance")
        seeds = seeds_of(count, seed)
        class_ids = class_ids_of(self._condition, condition, len(seeds))
        self._check_guidance(guidance)
        size = BATCH if self.session.dynamic_batch else 1
        counter = _StepCounter(progress, sampling.trajectory.steps * -(-len(seeds) // size))
        batches = [
            self._generate(seeds[at : at + size], class_ids[at : at + size], guidance, sampling, counter)
            for at in range(0, len(seeds), size)
        ]
        images = to_pixels(np.concatenate(batches), self.task.output_range, self.task.color)
        return GeneratedImages(images, seeds, self._provenance(sampling, guidance, class_ids))

    def _sampling(self, steps: int | None, sampler: str | None) -> Sampling:
        sampler = self._settings.sampler if sampler is None else sampler
        one_of(sampler, SAMPLERS, "sampler")
        make_trajectory = karras_trajectory if sampler == "euler" else spaced_trajectory
        trajectory = make_trajectory(self._levels, self._settings.steps if steps is None else steps)
        clip_range = self.task.output_range if self._settings.clip else None
        return Sampling(sampler, trajectory, self._settings.prediction, clip_range)

    def _generate(
        self,
        seeds: Sequence[int],
        class_ids: Sequence[int],
        guidance: float,
        sampling: Sampling,
        counter: _StepCounter,
    ) -> Values:
        streams = NoiseStreams(seeds, self._image.with_batch(1)[1:])
        calls = self._calls(class_ids, guidance)
        copies = max(1, len(calls[0]) // len(seeds))
        with self.session.lease(len(seeds) * copies) as slot:
            call = self._call(slot, copies)
            time, times = slot.inputs[self._time.name], self._times(sampling.trajectory)

            def network(x: Values, place: int) -> Values:
                time.fill(times[place])
                outputs = [output for condition in calls for output in call(x, condition)]
                return outputs[0] if len(outputs) == 1 else guided(outputs[0], outputs[1], guidance)

            return denoise(network, streams, sampling, counter)

    def _calls(self, class_ids: Sequence[int], guidance: float) -> list[Array]:
        """The condition tensor of each call in one step; one empty tensor for an unconditional network.

        Guidance needs two predictions: from one call if the batch is dynamic, else from two.
        """
        if self._condition is None:
            return [np.empty(0)]
        null = self._condition.condition.null_class
        tensors = [self._condition.tensor(class_ids)]
        if guidance != 1 and null is not None and any(class_id != null for class_id in class_ids):
            tensors.append(self._condition.tensor([null] * len(class_ids)))
        return [np.concatenate(tensors)] if self.session.dynamic_batch else tensors

    def _call(self, slot: Slot, copies: int) -> Callable[[Values, Array], Values]:
        """(x, condition) -> the output for each copy of x in one call: float32 ``(copies, n, h, w, c)``."""
        image = slot.inputs[self._image.name]
        image = image.reshape(copies, -1, *image.shape[1:])
        is_float = image.dtype.kind == "f"
        classes = None if self._condition is None else slot.inputs[self._condition.spec.name]

        def call(x: Values, condition: Array) -> Values:
            image[...] = x if is_float else self._image.quantize(x)
            if classes is not None:
                classes[...] = condition
            output = self._dequantize(slot.run()[self._output.name])
            check_finite(output)
            return output.reshape(image.shape)

        return call

    def _times(self, trajectory: Trajectory) -> Array:
        """The value of the timestep input at each step, in its own dtype: ``(steps,)``."""
        values = trajectory.timesteps
        if self._settings.timestep == "noise-variance":
            values = 1.0 - trajectory.alphas_cumprod[:-1]
        elif self._settings.timestep == "fraction":
            values = values / len(self._levels)
        return self._time.quantize(values.astype(np.float32))

    def _guidable(self) -> bool:
        return self._condition is not None and self._condition.condition.null_class is not None

    def _check_guidance(self, guidance: float) -> None:
        if guidance != 1 and not self._guidable():
            raise OptionError("guidance: this network was not trained with a null class; remove it")

    def _provenance(self, sampling: Sampling, guidance: float, class_ids: Sequence[int]) -> dict[str, Any]:
        settings: dict[str, Any] = {"kind": self.task.kind, **where_it_ran(self.session)}
        settings |= {"sampler": sampling.sampler, "steps": sampling.trajectory.steps}
        return {**settings, "guidance": guidance, "class_ids": list(class_ids)} if class_ids else settings


class _StepCounter:
    """Counts steps, reports them to the caller, and cancels the generation on request."""

    def __init__(self, progress: StepCallback | None, steps: int) -> None:
        self._progress = progress
        self._steps = steps
        self._done = 0

    def __call__(self) -> None:
        self._done += 1
        if self._progress is not None and self._progress(self._done, self._steps) is False:
            raise CancelledError(
                f"generation was cancelled after {self._done} of {self._steps} steps; no image was generated"
            )


def _timestep(session: CheckedSession, name: str) -> TensorSpec:
    spec = named(session.inputs, name, "input")
    if len(spec.shape) not in (1, 2) or spec.shape[1:] not in ((), (1,)):
        raise OptionError(f"input '{name}': expected (batch) or (batch, 1), got {spec.describe()}")
    return spec
