"""The cost of a frame from array to typed result, compared with the bare runtime's call on a ready input.

    python benchmarks/frame_to_result.py --seconds 10

One process, one thread, interleaved; medians of CPU time, and the shortest wall time.
"""

from __future__ import annotations

from pathlib import Path

import click
from networks import SHARED, Network, frame, networks

from edgevision.system.timing import interleave

_COLUMNS = ("bare us", "ours us", "own us", "CPU", "wall")
_HEADER = f"{'network':18} {'backend':9} {'frame':9}" + "".join(f"{name:>9}" for name in _COLUMNS)


@click.command()
@click.option("--seconds", default=5.0, show_default=True, help="Time per line.")
@click.option("--only", default="", help="Networks whose name contains this.")
@click.option(
    "--shared", type=click.Path(exists=True, path_type=Path), default=SHARED, help="Models and images."
)
def main(seconds: float, only: str, shared: Path) -> None:
    """Print one line per network, backend and frame size."""
    print(_HEADER)
    for network in networks(shared):
        if only.lower() in network.name.lower():
            _measure(network, seconds, shared)


def _measure(network: Network, seconds: float, shared: Path) -> None:
    bare = network.bare_invoke()
    with network.load() as model:
        for size_wh in network.frames_wh:
            pixels = frame(size_wh, shared)
            times = interleave({"bare": bare, "ours": lambda image=pixels: model(image)}, seconds)
            base, ours = times["bare"], times["ours"]
            own, cpu = ours.cpu_us - base.cpu_us, ours.cpu_us / base.cpu_us
            wall = ours.least_wall_us / base.least_wall_us
            name = f"{network.name:18} {network.backend:9} {'x'.join(map(str, size_wh)):9}"
            print(f"{name}{base.cpu_us:9.1f}{ours.cpu_us:9.1f}{own:9.1f}{cpu:9.3f}{wall:9.3f}")


if __name__ == "__main__":
    main()
