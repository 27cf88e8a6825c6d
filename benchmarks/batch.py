"""Images per second of `edgevision batch` on workers of Ray and on the local executor; the cost of a restart.

    python benchmarks/batch.py BUNDLE FOLDER [--workers 1 2 4] [--rounds 3]

Every run writes a table of its own, in JSON lines, and all kinds take turns. A restart finds every row there,
or goes on at half of the images.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from statistics import median

import edgevision
from edgevision import BatchSettings


def main() -> None:
    """Print one JSON object per kind of run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    kinds = {"local": BatchSettings(format="jsonl")}
    kinds |= {
        f"ray, {count} workers": BatchSettings("ray", format="jsonl", workers=count)
        for count in arguments.workers
    }
    measured: dict[str, list[dict[str, float]]] = {}
    for _ in range(arguments.rounds):
        for name, settings in kinds.items():
            with tempfile.TemporaryDirectory() as folder:
                row = measure(arguments.bundle, arguments.folder, Path(folder), settings)
            measured.setdefault(name, []).append(row)
            print(name, json.dumps(row), file=sys.stderr)
    for name, rows in measured.items():
        figures = {key: round(median(row[key] for row in rows), 3) for key in rows[0]}
        print(json.dumps({"executor": name, "rounds": len(rows), **figures}))


def measure(bundle: Path, images: Path, folder: Path, settings: BatchSettings) -> dict[str, float]:
    """Seconds of a run, of one more that finds all rows there, and of one that goes on at half of them."""
    firsts: list[float] = []
    total = 0

    def first(stage: str, done: int, so_far: int) -> None:
        nonlocal total
        firsts.append(time.perf_counter())
        total = done

    def seconds(name: str) -> float:
        started_s = time.perf_counter()
        edgevision.batch(bundle, images, folder / name, settings=settings, progress=first)
        return time.perf_counter() - started_s

    begun_s = time.perf_counter()
    whole_s = seconds("whole")
    start_s, work_s, count = firsts[0] - begun_s, firsts[-1] - firsts[0], total
    nothing_s = seconds("whole")

    def half(stage: str, done: int, so_far: int) -> None:
        if done >= count / 2:
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        edgevision.batch(bundle, images, folder / "half", settings=settings, progress=half)
    rest_s = seconds("half")
    return {
        "images": count,
        "whole_s": whole_s,
        "until_first_row_s": start_s,
        "images_per_s_after_it": count / max(work_s, 1e-9),
        "nothing_left_s": nothing_s,
        "second_half_s": rest_s,
    }


if __name__ == "__main__":
    main()
