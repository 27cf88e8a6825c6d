"""One step of a diffusion sampler, from noisier to cleaner; arithmetic only, no network.

In all of it `alpha_bar` is the share of the image's variance in the noisy image `x`, and
`alpha_bar_next` the share after the step: 1 after the last. Arrays are float32 or float64 of any
shape, alphas are numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

from edgevision.tensors import Array

#: (x, x0, alpha_bar, alpha_bar_next, draw) -> the next x; `draw` gives noise of the shape of x.
Step = Callable[[Array, Array, float, float, Callable[[], Array]], Array]


def clean_image(prediction: str, x: Array, output: Array, alpha_bar: float) -> Array:
    """The clean image that a network's output foresees.

    Args:
        prediction: what `output` is: the noise ``epsilon`` (Ho et al. 2020, equation 15), the image
            ``x0``, or the velocity ``v = sqrt(alpha_bar) * epsilon - sqrt(1 - alpha_bar) * x0``
            (Salimans & Ho 2022, appendix D).
        x: the noisy image that the network was given.
        output: the network's output.
        alpha_bar: of `x`.
    """
    if prediction == "x0":
        return output
    if prediction == "v":
        return sqrt(alpha_bar) * x - sqrt(1 - alpha_bar) * output
    return (x - sqrt(1 - alpha_bar) * output) / sqrt(alpha_bar)


def guided(conditional: Array, unconditional: Array, guidance: float) -> Array:
    """Classifier-free guidance, Ho & Salimans 2022, equation 6, with ``guidance = 1 + w``.

    1 is the conditional output itself, 0 the unconditional one.
    """
    return unconditional + guidance * (conditional - unconditional)


def ddpm_step(
    x: Array, x0: Array, alpha_bar: float, alpha_bar_next: float, draw: Callable[[], Array]
) -> Array:
    """A sample of the posterior of Ho et al. 2020, equations 6 and 7, with its own variance beta-tilde.

    Where timesteps are left out, alpha and beta are those of the step really taken (Nichol &
    Dhariwal 2021, section 4). The last step, to 1, draws no noise.
    """
    alpha = alpha_bar / alpha_bar_next
    beta = 1 - alpha
    mean = (sqrt(alpha_bar_next) * beta * x0 + sqrt(alpha) * (1 - alpha_bar_next) * x) / (1 - alpha_bar)
    variance = (1 - alpha_bar_next) / (1 - alpha_bar) * beta
    return mean + sqrt(variance) * draw() if variance > 0 else mean


def ddim_step(
    x: Array, x0: Array, alpha_bar: float, alpha_bar_next: float, draw: Callable[[], Array]
) -> Array:
    """Song et al. 2021, equation 12 without noise (eta = 0): the same start gives the same image."""
    epsilon = (x - sqrt(alpha_bar) * x0) / sqrt(1 - alpha_bar)
    return sqrt(alpha_bar_next) * x0 + sqrt(1 - alpha_bar_next) * epsilon


def euler_step(
    x: Array, x0: Array, alpha_bar: float, alpha_bar_next: float, draw: Callable[[], Array]
) -> Array:
    """Karras et al. 2022, algorithm 1 without its second-order correction (lines 6 to 8).

    Their ordinary differential equation, ``dy/dsigma = (y - x0) / sigma``, is in ``y = x /
    sqrt(alpha_bar)`` with ``sigma**2 = (1 - alpha_bar) / alpha_bar``. Between the same two noise
    levels it goes where `ddim_step` goes; the sampler differs by the levels that it stops at.
    """
    sigma, sigma_next = (sqrt((1 - share) / share) for share in (alpha_bar, alpha_bar_next))
    y = x / sqrt(alpha_bar)
    y = y + (sigma_next - sigma) * (y - x0) / sigma
    return y * sqrt(alpha_bar_next)


STEPS: dict[str, Step] = {"ddpm": ddpm_step, "ddim": ddim_step, "euler": euler_step}
