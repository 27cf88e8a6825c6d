"""Diffusion: a network that takes out noise, called in a loop until an image is left.

The loop is numpy and is the same for every runtime; only the network runs in the session.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.backend import Lane
from edgevision.errors import CancelledError, OptionError
from edgevision.session import CheckedSession
from edgevision.tasks.conditions import ConditionInput, Wish
from edgevision.tasks.description import GenerateTask
from edgevision.tasks.generate_settings import SAMPLERS, DiffusionSettings
from edgevision.tasks.generated_images import GeneratedImages, check_finite, to_pixels
from edgevision.tasks.loaded import SessionOwner, check_inputs_known, image_output, named, where_it_ran
from edgevision.tasks.noise import NoiseStreams, seeds_of
from edgevision.tasks.samplers import STEPS, clean_image, guided
from edgevision.tasks.schedules import Trajectory, alphas_cumprod, karras_trajectory, spaced_trajectory
from edgevision.tensors import Array, TensorSpec

Values = NDArray[np.float32]

#: Told (network calls done, network calls in all); `False` ends the generation.
Progress = Callable[[int, int], bool | None]

#: (noisy images, timestep, alpha-bar) -> what the network predicts, of the same shape.
Denoiser = Callable[[Values, float, float], Values]

#: Images of a network with an open batch are made this many at a time.
BATCH = 8


@dataclass(frozen=True)
class Sampling:
    """How noise becomes an image.

    Attributes:
        sampler: one of `SAMPLERS`.
        trajectory: the noise levels on the way.
        prediction: what the network gives: ``epsilon``, ``x0`` or ``v``.
        clip_range: (low, high) that the image foreseen at each step is kept in, or `None`.
    """

    sampler: str
    trajectory: Trajectory
    prediction: str
    clip_range: tuple[float, float] | None


def denoise(network: Denoiser, noise: NoiseStreams, how: Sampling, told: Callable[[], None]) -> Values:
    """Make images of noise.

    Args:
        network: called once for each step.
        noise: gives the first images, and what noise the sampler adds.
        how: the sampler and its way.
        told: called after each step.

    Returns:
        float32 ``(n, h, w, c)``.
    """
    x = noise.normal()
    timesteps, levels = how.trajectory.timesteps.tolist(), how.trajectory.alphas_cumprod.tolist()
    for timestep, now, then in zip(timesteps, levels, levels[1:], strict=False):
        x0 = clean_image(how.prediction, x, network(x, timestep, now), now)
        if how.clip_range is not None:
            x0 = x0.clip(*how.clip_range)
        x = STEPS[how.sampler](x, x0, now, then, noise.normal)
        told()
    return x


class DiffusionGenerator(SessionOwner):
    """A network that makes images of noise step by step, ready to be called. Safe to share between threads.

    Args:
        session: the network.
        task: its kind is ``diffusion``.
        labels: one name a class, or none.

    Raises:
        OptionError: the network's tensors, or the number of labels, do not fit.
    """

    def __init__(self, session: CheckedSession, task: GenerateTask, labels: Sequence[str] = ()) -> None:
        super().__init__(session)
        if not isinstance(task.settings, DiffusionSettings):
            raise OptionError(f"diffusion: expected a task of that kind, got '{task.kind}'")
        self.task = task
        self.labels = tuple(labels)
        self._settings = settings = task.settings
        self._levels = alphas_cumprod(settings.schedule)
        self._image = named(session.inputs, settings.image_input, "input")
        self._time = _timestep(session, settings.timestep_input)
        self._output = image_output(session, task.output, task.color)
        if self._image.shape[1:] != self._output.shape[1:]:
            raise OptionError(
                f"input '{self._image.name}' {self._image.describe()}: expected the shape of output "
                f"'{self._output.name}', {self._output.describe()}"
            )
        self._condition = None
        if settings.condition is not None:
            spec = named(session.inputs, settings.condition.input, "input")
            self._condition = ConditionInput(settings.condition, spec, labels)
        condition = [] if self._condition is None else [self._condition.spec]
        check_inputs_known(session, [self._image, self._time, *condition])

    def sample(
        self,
        count: int = 1,
        seed: int | None = None,
        condition: Wish | None = None,
        *,
        steps: int | None = None,
        guidance: float | None = None,
        sampler: str | None = None,
        progress: Progress | None = None,
    ) -> GeneratedImages:
        """Make images.

        Args:
            count: how many.
            seed: of the first; the others have the whole numbers after it. `None` draws one.
            condition: a label or the number of a class, or one for each image; `None`: of any class.
            steps: how often the network is called for an image; more are slower and finer.
            guidance: scale of classifier-free guidance; 1 is none, and half the work.
            sampler: ``ddim``, ``ddpm`` or ``euler``.
            progress: told after every step. If it returns `False`, the generation ends: to stop
                from another thread, ``progress=lambda done, steps: not event.is_set()``.

        What is left out is as the manifest says.

        Raises:
            OptionError: an argument is out of range, there is no such class, or the network knows
                no class or no guidance.
            CancelledError: `progress` returned `False`; half-made images are noise, and are dropped.
            InferenceError: the runtime failed, or the network gave NaN or infinity.
        """
        how = self._sampling(steps, sampler)
        guidance = self._settings.guidance if guidance is None else guidance
        seeds = seeds_of(count, seed)
        class_ids = self._class_ids(condition, count)
        self._check_guidance(guidance)
        size = BATCH if self.session.dynamic_batch else 1
        told = _Told(progress, how.trajectory.steps * -(-count // size))
        made = [
            self._make(seeds[at : at + size], class_ids[at : at + size], guidance, how, told)
            for at in range(0, count, size)
        ]
        images = to_pixels(np.concatenate(made), self.task.output_range, self.task.color)
        return GeneratedImages(images, seeds, self._said(how, guidance, class_ids))

    def _sampling(self, steps: int | None, sampler: str | None) -> Sampling:
        sampler = sampler or self._settings.sampler
        if sampler not in SAMPLERS:
            raise OptionError(f"sampler: expected one of {', '.join(SAMPLERS)}, got '{sampler}'")
        way = karras_trajectory if sampler == "euler" else spaced_trajectory
        trajectory = way(self._levels, self._settings.steps if steps is None else steps)
        clip_range = self.task.output_range if self._settings.clip else None
        return Sampling(sampler, trajectory, self._settings.prediction, clip_range)

    def _make(
        self, seeds: Sequence[int], class_ids: Sequence[int], guidance: float, how: Sampling, told: _Told
    ) -> Values:
        streams = NoiseStreams(seeds, self._image.with_batch(1)[1:])
        passes = self._passes(class_ids, guidance)
        at_once = len(passes) if self.session.dynamic_batch else 1
        with self.session.lease(len(seeds) * at_once) as lane:

            def network(x: Values, timestep: float, level: float) -> Values:
                time = self._timestep_value(timestep, level)
                outputs = [
                    output
                    for at in range(0, len(passes), at_once)
                    for output in self._call(lane, x, time, passes[at : at + at_once])
                ]
                return outputs[0] if len(outputs) == 1 else guided(outputs[0], outputs[1], guidance)

            return denoise(network, streams, how, told)

    def _passes(self, class_ids: Sequence[int], guidance: float) -> list[Array | None]:
        """The condition tensor of each call that one step needs: two where guidance compares them."""
        if self._condition is None:
            return [None]
        passes: list[Array | None] = [self._condition.tensor(class_ids)]
        null = self._condition.condition.null_class
        if guidance != 1 and null is not None and any(one != null for one in class_ids):
            passes.append(self._condition.tensor([null] * len(class_ids)))
        return passes

    def _call(self, lane: Lane, x: Values, time: float, passes: Sequence[Array | None]) -> Values:
        """The network's output for each of `passes`: float32 ``(passes, n, h, w, c)``."""
        image = lane.inputs[self._image.name]
        image.reshape(len(passes), *x.shape)[...] = self._image.quantize(x)
        lane.inputs[self._time.name][...] = self._time.quantize(np.asarray(time, np.float32))
        if self._condition is not None:
            np.concatenate(passes, out=lane.inputs[self._condition.spec.name])  # type: ignore[arg-type]
        output = self._output.dequantize(lane.run()[self._output.name])
        check_finite(output)
        return output.reshape(len(passes), *x.shape)

    def _timestep_value(self, timestep: float, level: float) -> float:
        if self._settings.timestep == "noise-variance":
            return 1.0 - level
        return timestep / len(self._levels) if self._settings.timestep == "fraction" else timestep

    def _class_ids(self, condition: Wish | None, count: int) -> list[int]:
        if self._condition is not None:
            return self._condition.class_ids(condition, count)
        if condition is not None:
            raise OptionError("condition: this network takes no class; leave it out")
        return []

    def _guidable(self) -> bool:
        return self._condition is not None and self._condition.condition.null_class is not None

    def _check_guidance(self, guidance: float) -> None:
        if not np.isfinite(guidance):
            raise OptionError(f"guidance: expected a finite number, got {guidance}")
        if guidance != 1 and not self._guidable():
            raise OptionError("guidance: this network was not trained without a class; leave it out")

    def _said(self, how: Sampling, guidance: float, class_ids: Sequence[int]) -> dict[str, Any]:
        said: dict[str, Any] = {"kind": self.task.kind, **where_it_ran(self.session)}
        said |= {"sampler": how.sampler, "steps": how.trajectory.steps}
        return {**said, "guidance": guidance, "class_ids": list(class_ids)} if class_ids else said


class _Told:
    """Counts steps, tells the caller, and ends the generation where the caller says so."""

    def __init__(self, progress: Progress | None, steps: int) -> None:
        self._progress = progress
        self._steps = steps
        self._done = 0

    def __call__(self) -> None:
        self._done += 1
        if self._progress is not None and self._progress(self._done, self._steps) is False:
            raise CancelledError(
                f"generation was cancelled after {self._done} of {self._steps} steps; no image was made"
            )


def _timestep(session: CheckedSession, name: str) -> TensorSpec:
    spec = named(session.inputs, name, "input")
    if len(spec.shape) not in (1, 2) or spec.shape[1:] not in ((), (1,)):
        raise OptionError(f"input '{name}': expected (batch) or (batch, 1), got {spec.describe()}")
    return spec
