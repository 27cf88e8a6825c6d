"""Find digits in what a camera shows: python examples/camera/watch.py detector.evb [SOURCE]."""

import sys

from synthetic import moving_digits

import edgevision


def main(bundle: str, source: object) -> None:
    with edgevision.load_detector(bundle) as model:
        stream = model.stream(source, "latest", max_age_ms=200)
        for frame, result in stream:
            if not result.ok:  # this frame was not looked at, which is not "nothing found"
                print(frame.index, result.status)
                continue
            found = "  ".join(f"{one.label} {one.score:.0%}" for one in result.value) or "nothing"
            print(f"{frame.index:6}  {result.age_ms:5.1f} ms  {found}")
        print(stream.counters)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else moving_digits(frames=300))
