"""The overhead of a diffusion loop over its network: samplers, noise, checks and copies.

    python benchmarks/diffusion_loop.py --seconds 10

The network's own time is that of the runtime's bare call, interleaved with whole generations of 20 steps.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
from bare_runtimes import bare_litert
from make_bundles import DENOISER_WIDTHS

from edgevision.artifact import read_artifact
from edgevision.backend import SessionSettings
from edgevision.plugins import registry
from edgevision.session import open_session
from edgevision.system.timing import interleave
from edgevision.tasks.description import GenerateTask
from edgevision.tasks.generation.diffusion import DiffusionGenerator

HERE = Path(__file__).parent
STEPS = 20


@click.command()
@click.option("--seconds", default=5.0, show_default=True, help="Time per line.")
def main(seconds: float) -> None:
    """Print one line per network and sampler."""
    print(f"{'network':16} {'sampler':8} {'bare us':>9} {'step us':>9} {'own us':>7} {'own':>7}")
    for width in DENOISER_WIDTHS:
        path = HERE / f"denoiser-{width}.tflite"
        model, bare = _model(path), bare_litert(path)
        for sampler in ("ddim", "ddpm", "euler"):
            calls = {"bare": partial(_bare_steps, bare), "ours": partial(_generation, model, sampler)}
            times = interleave(calls, seconds)
            alone, ours = times["bare"].cpu_us / STEPS, times["ours"].cpu_us / STEPS
            own = ours - alone
            print(f"{path.stem:16} {sampler:8} {alone:9.1f} {ours:9.1f} {own:7.1f} {own / alone:7.1%}")


def _bare_steps(invoke: Callable[[], object]) -> None:
    for _ in range(STEPS):
        invoke()


def _generation(model: DiffusionGenerator, sampler: str) -> None:
    model.sample(1, seed=0, steps=STEPS, sampler=sampler)


def _model(path: Path) -> DiffusionGenerator:
    session = open_session(registry().backend("tflite"), read_artifact(path), SessionSettings(threads=1))
    noisy, time = sorted(session.inputs, key=lambda spec: -len(spec.shape))
    settings = {
        "image_input": noisy.name,
        "timestep_input": time.name,
        "timestep": "fraction",
        "prediction": "epsilon",
        "schedule": {"kind": "linear", "steps": 1000, "beta_start": 0.0001, "beta_end": 0.02},
    }
    task = GenerateTask("diffusion", session.outputs[0].name, (-1.0, 1.0), "rgb", settings)
    return DiffusionGenerator(session, task)


if __name__ == "__main__":
    main()
