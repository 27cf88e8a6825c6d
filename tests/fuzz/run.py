"""The fuzz harness: ``python tests/fuzz/run.py KIND… --count N --seed S``.

Without a kind, all are tried, each as often as it says; ``--times 10`` tries ten times as many. Every case is
made from the seed and its number alone: ``python tests/fuzz/run.py calls --seed 7 --first 123 --count 1
--trace`` replays one.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.archives import ARCHIVES
from fuzz.bundles import BUNDLES
from fuzz.calls import CALLS
from fuzz.evidence import EVIDENCE
from fuzz.harness import Cases, supervised, work
from fuzz.images import IMAGES
from fuzz.manifests import MANIFESTS
from fuzz.structures import STRUCTURES

KINDS = {kind.name: kind for kind in (BUNDLES, MANIFESTS, EVIDENCE, ARCHIVES, STRUCTURES, IMAGES, CALLS)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, help="cases of each kind")
    parser.add_argument("--times", type=float, default=1, help="this many times as many; 0.25 in CI")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--only", default="", help="cases whose call or format contains this")
    parser.add_argument("--trace", action="store_true", help="print the traceback of each escape")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    escaped = 0
    for name in options.kinds or KINDS:
        count = round(KINDS[name].count * options.times) if options.count is None else options.count
        cases = Cases(KINDS[name], options.seed, count, options.first, options.only, options.trace)
        if options.worker:
            work(cases)
            return
        escapes = 0
        for escape in supervised(cases, Path(__file__)):
            print(json.dumps(escape), flush=True)
            escapes += 1
        print(f"{name}: {count} tried, {escapes} escapes (seed {options.seed})", flush=True)
        escaped += escapes
    sys.exit(1 if escaped else 0)


if __name__ == "__main__":
    main()
