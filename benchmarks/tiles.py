"""The cost of an image of 1024 x 768 in tiles, compared with bare calls of one tile and of sixteen.

    python benchmarks/tiles.py --seconds 10

CPU time per tile on one thread, medians; interleaved.
"""

from __future__ import annotations

from collections.abc import Callable

import click
from make_bundles import TILES
from networks import HERE, SHARED, frame

from edgevision.artifact import read_artifact
from edgevision.backend import SessionSettings
from edgevision.benchmarking.subjects import batches_of
from edgevision.imaging.preprocess import Preprocessing
from edgevision.plugins import registry
from edgevision.session import CheckedSession, open_session
from edgevision.system.timing import interleave
from edgevision.tasks.description import GenerateTask
from edgevision.tasks.generation.image_to_image import ImageToImage

SIZE_WH = (1024, 768)
OVERLAP = 8
BATCHES = (1, 16)


@click.command()
@click.option("--seconds", default=5.0, show_default=True, help="Time per line.")
def main(seconds: float) -> None:
    """Print one line per network and backend."""
    image = frame(SIZE_WH, SHARED)
    print(f"{'network':14} {'backend':9} {'tiles':>6} {'at once':>8} {'ours us':>9}", end="")
    print("".join(f"{f'bare of {batch}':>11}" for batch in BATCHES), f"{'over the better':>16}")
    for size, width in TILES:
        for backend in ("tflite", "openvino"):
            path = HERE / f"tile-{size}-{width}.tflite"
            settings = SessionSettings(threads=1)
            with open_session(registry().backend(backend), read_artifact(path), settings) as session:
                task = GenerateTask(
                    "image-to-image",
                    session.outputs[0].name,
                    (0.0, 1.0),
                    "rgb",
                    {"fit": "tiles", "overlap": OVERLAP},
                )
                model = ImageToImage(session, task, Preprocessing((size, size), (0.0, 1.0)))
                batches = batches_of(session, lambda model=model: model(image))
                calls: dict[str, Callable[[], object]] = {"ours": lambda model=model: model(image)}
                calls |= {f"bare of {batch}": _bare(session, batch) for batch in BATCHES}
                times = interleave(calls, seconds)
            ours = times["ours"].cpu_us / sum(batches)
            bare = [times[f"bare of {batch}"].cpu_us / batch for batch in BATCHES]
            print(
                f"{path.stem:14} {backend:9} {sum(batches):6} {max(batches):8} {ours:9.0f}"
                + "".join(f"{cpu_us:11.0f}" for cpu_us in bare)
                + f"{ours / min(bare):16.2f}"
            )


def _bare(session: CheckedSession, batch: int) -> Callable[[], object]:
    slot = session.lease(batch).__enter__()
    invoke: Callable[[], object] = getattr(slot, "invoke", slot.run)
    slot.run()
    return invoke


if __name__ == "__main__":
    main()
