"""Noise schedules and one step of each sampler, compared with the papers."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.errors import OptionError
from edgevision.tasks.generation.samplers import Step, clean_weights, ddim_step, ddpm_step, euler_step, guided
from edgevision.tasks.generation.schedules import alphas_cumprod, karras_trajectory, spaced_trajectory
from edgevision.tasks.generation_settings import NoiseSchedule

LINEAR = NoiseSchedule("linear", steps=4, beta_start=0.1, beta_end=0.4)
X0, NOISE = np.array([0.3, -0.7]), np.array([1.2, 0.4])


def _mixed(alpha_bar: float) -> np.ndarray:
    return np.sqrt(alpha_bar) * X0 + np.sqrt(1 - alpha_bar) * NOISE


def _stepped(step: Step, now: float, then: float, noise: np.ndarray | float = 0.0) -> np.ndarray:
    weights = step(now, then)
    return weights.noisy * _mixed(now) + weights.clean * X0 + weights.noise * noise


def test_alpha_bar_is_the_product_of_one_less_beta() -> None:
    np.testing.assert_allclose(alphas_cumprod(LINEAR), np.cumprod([0.9, 0.8, 0.7, 0.6]))
    schedule = NoiseSchedule("betas", values=(0.1, 0.2))
    np.testing.assert_allclose(alphas_cumprod(schedule), [0.9, 0.72])
    np.testing.assert_allclose(alphas_cumprod(NoiseSchedule("alphas-cumprod", values=(0.9, 0.1))), [0.9, 0.1])


def test_the_cosine_schedule_is_nichols_and_dhariwals() -> None:
    levels = alphas_cumprod(NoiseSchedule("cosine", steps=1000, offset=0.008))
    wave = np.cos((np.array([0, 500]) / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
    assert levels[499] == pytest.approx(wave[1] / wave[0], rel=1e-6)
    assert (np.diff(levels) < 0).all()


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "linear", "steps": 4},
        {"kind": "cosine", "steps": 1, "offset": 0.1},
        {"kind": "betas", "values": (0.1,)},
        {"kind": "betas", "values": (0.1, 1.5)},
        {"kind": "alphas-cumprod", "values": (0.1, 0.9)},
        {"kind": "square"},
        {"kind": "cosine", "steps": 5, "offset": 0.1, "values": (0.1, 0.2)},
    ],
)
def test_an_invalid_schedule_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        NoiseSchedule(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("prediction", ["epsilon", "x0", "v"])
def test_a_perfect_prediction_of_any_kind_recovers_the_image(prediction: str) -> None:
    level = 0.4
    velocity = np.sqrt(level) * NOISE - np.sqrt(1 - level) * X0
    output = {"epsilon": NOISE, "x0": X0, "v": velocity}[prediction]
    of_x, of_output = clean_weights(prediction, level)
    np.testing.assert_allclose(of_x * _mixed(level) + of_output * output, X0)


def test_ddim_and_euler_go_from_mixture_to_mixture_of_the_same_noise() -> None:
    for step in (ddim_step, euler_step):
        np.testing.assert_allclose(_stepped(step, 0.2, 0.6), _mixed(0.6))
        np.testing.assert_allclose(_stepped(step, 0.2, 1.0), X0)
        assert step(0.2, 0.6).noise == 0.0


def test_ddpm_samples_the_posterior_of_hos_equation_7() -> None:
    now, then = 0.2, 0.6
    beta = 1 - now / then
    mean = np.sqrt(then) * beta / (1 - now) * X0 + np.sqrt(now / then) * (1 - then) / (1 - now) * _mixed(now)
    deviation = np.sqrt((1 - then) / (1 - now) * beta)
    np.testing.assert_allclose(_stepped(ddpm_step, now, then), mean)
    np.testing.assert_allclose(_stepped(ddpm_step, now, then, noise=1.0), mean + deviation)
    np.testing.assert_allclose(_stepped(ddpm_step, now, 1.0), X0)
    assert ddpm_step(now, 1.0).noise == 0.0


def test_guidance_of_one_is_conditional_and_of_zero_unconditional() -> None:
    assert guided(X0, NOISE, 1.0).tolist() == pytest.approx(X0.tolist())
    assert guided(X0, NOISE, 0.0).tolist() == pytest.approx(NOISE.tolist())
    assert guided(X0, NOISE, 3.0).tolist() == pytest.approx((3 * X0 - 2 * NOISE).tolist())


def test_trajectories_begin_in_the_noise_and_end_in_the_image() -> None:
    levels = alphas_cumprod(NoiseSchedule("linear", steps=100, beta_start=0.001, beta_end=0.05))
    for trajectory in (spaced_trajectory(levels, 7), karras_trajectory(levels, 7)):
        assert trajectory.steps == 7
        assert trajectory.timesteps[0] == pytest.approx(99)
        assert trajectory.alphas_cumprod[0] == pytest.approx(levels[-1])
        assert trajectory.alphas_cumprod[-1] == 1.0
        assert (np.diff(trajectory.alphas_cumprod) > 0).all()
    assert spaced_trajectory(levels, 100).timesteps.tolist() == list(range(99, -1, -1))
    with pytest.raises(OptionError):
        spaced_trajectory(levels, 101)
