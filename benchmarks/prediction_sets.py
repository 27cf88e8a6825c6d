"""Coverage of prediction sets, simulated: 2,000 draws of a calibration set for each size and method.

The classifier is overconfident, as those of neural networks are. A row has the mean coverage on images that
took no part, its standard error over the draws, and what conformal prediction promises: the coverage that was
asked for, and at most one in n + 1 more, of the n images that set the quantile.

    python benchmarks/prediction_sets.py --draws 2000
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
from numpy.typing import NDArray

from edgevision.evidence.prediction_sets import (
    PredictionSetSpecification,
    expected_coverage,
    fit_prediction_sets,
)
from edgevision.metrics.classification import members

SIZES = (20, 50, 100, 200)
CLASSES = 10
#: Images on which the coverage of one draw is measured.
_IMAGES = 500


def draw(random: np.random.Generator, images: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Scores of an overconfident classifier, and classes drawn from the true probabilities."""
    logits = random.normal(0, 1.5, (images, CLASSES))
    noise = random.gumbel(size=logits.shape)
    truth = (logits + noise).argmax(axis=1)  # a draw from softmax(logits)
    sharp = np.exp(2.5 * (logits - logits.max(axis=1, keepdims=True)))
    return (sharp / sharp.sum(axis=1, keepdims=True)).astype(np.float32), truth


def row(method: str, coverage: float, size: int, draws: int, seed: int) -> str:
    """One row of the table; begins with ``MISS`` where the promise is not kept within two standard errors."""
    random = np.random.default_rng([seed, size])
    shares, inside, sizes, counted = [], 0, [], 0
    for number in range(draws):
        scores, truth = draw(random, size + _IMAGES)
        specification = PredictionSetSpecification(coverage, method, seed=number)
        rule = fit_prediction_sets(specification, scores[:size], members(truth[:size], CLASSES))
        sets = rule.contains(scores[size:])
        shares.append(sets[np.arange(_IMAGES), truth[size:]].mean())
        sizes.append(sets.sum(axis=1).mean())
        low, high = expected_coverage(rule)
        spread = 2 * np.sqrt(coverage * (1 - coverage) / _IMAGES)  # the draw's own 500 images
        inside += low - spread <= shares[-1] <= high + spread
        counted = rule.images
    mean, error = float(np.mean(shares)), float(np.std(shares, ddof=1) / np.sqrt(draws))
    most = coverage + 1 / (counted + 1)
    kept = coverage - 2 * error <= mean <= most + 2 * error
    cells = (
        *(method, str(size), f"{coverage:.2f} to {most:.4f}", f"{mean:.4f} ± {error:.4f}"),
        *(f"{np.mean(sizes):.2f}", f"{inside / draws:.3f}"),
    )
    return f"{'' if kept else 'MISS '}| {' | '.join(cells)} |"


def main() -> int:
    """Print the table; 1 if a row misses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--coverage", type=float, default=0.9)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started_s = time.monotonic()
    print("| method | images | promised | mean coverage ± standard error | mean size | inside the range |")
    print("|---|---|---|---|---|---|")
    missed = False
    for method in ("lac", "raps"):
        for size in SIZES:
            line = row(method, arguments.coverage, size, arguments.draws, arguments.seed)
            missed |= line.startswith("MISS")
            print(line, flush=True)
    print(f"\n{arguments.draws} draws a row, {time.monotonic() - started_s:.0f} s")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
