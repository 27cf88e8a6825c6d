"""Noise schedules of diffusion: the noise at each timestep, and the timesteps that a sampler visits.

All follow the variance-preserving form: at timestep t an image x0 and noise e of deviation 1 are
mixed to ``sqrt(alpha_bar[t]) * x0 + sqrt(1 - alpha_bar[t]) * e``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import OptionError
from edgevision.system.numeric import is_whole
from edgevision.system.shown import shown
from edgevision.tasks.generation_settings import NoiseSchedule

Levels = NDArray[np.float64]

#: Upper limit of the betas of the cosine schedule, as in Nichol & Dhariwal 2021.
_LARGEST_COSINE_BETA = 0.999
#: Exponent of the noise levels of Karras et al. 2022, equation 5.
_RHO = 7.0


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The noise levels of a sampler, from noise to image.

    Attributes:
        timesteps: float64 ``(steps,)``: of each call of the network, in timesteps of the training from
            0; fractional if the noise levels fall between those of the training.
        alphas_cumprod: float64 ``(steps + 1,)``: alpha-bar at each call, and finally 1, the image.
    """

    timesteps: Levels
    alphas_cumprod: Levels

    @property
    def steps(self) -> int:
        """The number of calls of the network."""
        return len(self.timesteps)


def alphas_cumprod(schedule: NoiseSchedule) -> Levels:
    """Alpha-bar at every timestep of the training: float64 ``(timesteps,)``, from nearly 1 to nearly 0."""
    if schedule.kind == "alphas-cumprod":
        return np.asarray(schedule.values, np.float64)
    return np.asarray(np.cumprod(1.0 - _betas(schedule)), np.float64)


def spaced_trajectory(levels: Levels, steps: int) -> Trajectory:
    """The timesteps of DDPM and DDIM, evenly spaced down from the last one of the training.

    The spacing is the one called "trailing" in Lin et al. 2024, "Common Diffusion Noise Schedules
    and Sample Steps are Flawed", section 3.3: it begins at the noisiest timestep, for any number of steps.

    Raises:
        OptionError: `steps` is below 1 or above the number of timesteps of the training.
    """
    if not is_whole(steps, 1) or steps > len(levels):
        raise OptionError(
            f"steps: expected 1 to {len(levels)}, the timesteps of the training, got {shown(steps)}"
        )
    timesteps = np.rint(np.arange(steps, 0, -1) * (len(levels) / steps)).astype(np.int64) - 1
    return Trajectory(timesteps.astype(np.float64), np.append(levels[timesteps], 1.0))


def karras_trajectory(levels: Levels, steps: int) -> Trajectory:
    """The noise levels of Karras et al. 2022, equation 5 (rho = 7), between the extremes of the training.

    Timesteps are interpolated between those of the training, over the logarithm of the noise.

    Raises:
        OptionError: `steps` is below 1.
    """
    if not is_whole(steps, 1):
        raise OptionError(f"steps: expected 1 or more, got {shown(steps)}")
    trained = np.sqrt((1.0 - levels) / levels)
    low, high = trained[0] ** (1 / _RHO), trained[-1] ** (1 / _RHO)
    sigmas = np.linspace(high, low, steps) ** _RHO
    timesteps = np.interp(np.log(sigmas), np.log(trained), np.arange(len(levels), dtype=np.float64))
    return Trajectory(timesteps, np.append(1.0 / (1.0 + sigmas**2), 1.0))


def _betas(schedule: NoiseSchedule) -> Levels:
    if schedule.kind == "betas":
        return np.asarray(schedule.values, np.float64)
    steps = schedule.steps or 0
    if schedule.kind == "linear":
        return np.linspace(schedule.beta_start or 0.0, schedule.beta_end or 0.0, steps)
    offset = schedule.offset or 0.0
    share = np.arange(steps + 1) / steps
    wave = np.cos((share + offset) / (1.0 + offset) * np.pi / 2) ** 2
    return np.asarray(np.minimum(1.0 - wave[1:] / wave[:-1], _LARGEST_COSINE_BETA))
