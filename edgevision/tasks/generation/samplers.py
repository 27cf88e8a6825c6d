"""The steps of diffusion samplers as weights: no arrays, no network.

Throughout, `alpha_bar` is the share of the image's variance in the noisy image `x`, and `alpha_bar_next`
the share after the step: 1 after the last. Every step is a weighted sum, so only its weights are
computed here, and the loop needs a few passes over an image and no new memory.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import NamedTuple

from edgevision.tensors import Array


class Weights(NamedTuple):
    """The next x: ``noisy * x + clean * x0 + noise * (fresh noise of deviation 1)``."""

    noisy: float
    clean: float
    noise: float = 0.0


#: (alpha_bar, alpha_bar_next) -> the weights of that step.
Step = Callable[[float, float], Weights]


def clean_weights(prediction: str, alpha_bar: float) -> tuple[float, float]:
    """The clean image predicted by a network, as weights of its input x and its output.

    Args:
        prediction: the kind of output: the noise ``epsilon`` (Ho et al. 2020, equation 15), the image
            ``x0``, or the velocity ``v = sqrt(alpha_bar) * epsilon - sqrt(1 - alpha_bar) * x0``
            (Salimans & Ho 2022, appendix D).
        alpha_bar: of x.
    """
    if prediction == "x0":
        return 0.0, 1.0
    if prediction == "v":
        return sqrt(alpha_bar), -sqrt(1 - alpha_bar)
    return 1 / sqrt(alpha_bar), -sqrt(1 - alpha_bar) / sqrt(alpha_bar)


def guided(conditional: Array, unconditional: Array, guidance: float) -> Array:
    """Classifier-free guidance, Ho & Salimans 2022, equation 6, with ``guidance = 1 + w``.

    1 is the conditional output itself, 0 the unconditional one.
    """
    return unconditional + guidance * (conditional - unconditional)


def ddpm_step(alpha_bar: float, alpha_bar_next: float) -> Weights:
    """A sample of the posterior of Ho et al. 2020, equations 6 and 7, with its own variance beta-tilde.

    If timesteps are skipped, alpha and beta are those of the actual step (Nichol & Dhariwal 2021,
    section 4). The last step, to 1, adds no noise.
    """
    alpha = alpha_bar / alpha_bar_next
    beta = 1 - alpha
    clean = sqrt(alpha_bar_next) * beta / (1 - alpha_bar)
    noisy = sqrt(alpha) * (1 - alpha_bar_next) / (1 - alpha_bar)
    return Weights(noisy, clean, sqrt((1 - alpha_bar_next) / (1 - alpha_bar) * beta))


def ddim_step(alpha_bar: float, alpha_bar_next: float) -> Weights:
    """Song et al. 2021, equation 12 without noise (eta = 0): the same start gives the same image."""
    noisy = sqrt(1 - alpha_bar_next) / sqrt(1 - alpha_bar)
    return Weights(noisy, sqrt(alpha_bar_next) - sqrt(alpha_bar) * noisy)


def euler_step(alpha_bar: float, alpha_bar_next: float) -> Weights:
    """Karras et al. 2022, algorithm 1 without its second-order correction (lines 6 to 8).

    Their ordinary differential equation, ``dy/dsigma = (y - x0) / sigma``, is in ``y = x /
    sqrt(alpha_bar)`` with ``sigma**2 = (1 - alpha_bar) / alpha_bar``. Between the same two noise
    levels the result is that of `ddim_step`; the samplers differ in their noise levels.
    """
    sigma, sigma_next = (sqrt((1 - share) / share) for share in (alpha_bar, alpha_bar_next))
    kept = sigma_next / sigma
    return Weights(sqrt(alpha_bar_next / alpha_bar) * kept, sqrt(alpha_bar_next) * (1 - kept))


STEPS: dict[str, Step] = {"ddpm": ddpm_step, "ddim": ddim_step, "euler": euler_step}
