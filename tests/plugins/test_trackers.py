"""Trackers of the library `trackers`, on boxes whose motion is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from edgevision import Tracking
from edgevision.errors import OptionError, PluginError
from edgevision.plugins import registry
from edgevision.testing import SimulatedClock, fake_detector
from edgevision.tracker import Tracker

pytest.importorskip("trackers", reason='needs the extra `track` and: pip install --no-deps "trackers>=2.6"')

TRACKERS = ("bytetrack", "sort", "ocsort", "botsort", "cbiou")
FRAMES = 60
#: Colour of each object, its place in the first frame, and its motion in pixels per frame. All of one class.
OBJECTS = (
    ((255, 0, 0), (10.0, 20.0), (3.0, 0.0)),
    ((0, 255, 0), (300.0, 60.0), (-3.0, 0.5)),
    ((0, 0, 255), (150.0, 150.0), (0.5, -1.0)),
)
SIZE = 32


def box_of(number: int, index: int) -> tuple[float, float, float, float]:
    _, (x, y), (right, down) = OBJECTS[number]
    left, top = x + right * index, y + down * index
    return left, top, left + SIZE, top + SIZE


def scenes(misses: float = 0.0) -> Iterator[Any]:
    """Images with moving squares; some squares are missing in some images."""
    random = np.random.default_rng(0)
    # With texture: else the motion of the squares would be taken for that of the camera.
    ground = random.integers(60, 130, (240, 360, 3), np.uint8)
    for index in range(FRAMES):
        image = ground.copy()
        for number, (color, _, _) in enumerate(OBJECTS):
            if index < 5 or random.random() >= misses:
                left, top, right, bottom = (round(side) for side in box_of(number, index))
                image[max(0, top) : bottom, max(0, left) : right] = color
        yield image


def detector() -> Any:
    """Finds the squares by their colours, with other scores, and so in another order, in each frame."""

    def objects(image: Any) -> list[Any]:
        found = []
        random = np.random.default_rng(int(image.sum(dtype=np.int64)))
        for color, _, _ in OBJECTS:
            places = np.argwhere((image == color).all(2))
            if len(places):
                top, left = places.min(0)
                bottom, right = places.max(0) + 1
                box = float(left), float(top), float(right), float(bottom)
                found.append(("square", float(random.uniform(0.75, 1)), box))
        return found

    return fake_detector(["square"], objects, size_wh=(360, 240))


def number_of(image: Any, box: Any) -> int:
    x, y = round(float(box[0] + box[2]) / 2), round(float(box[1] + box[3]) / 2)
    return [color for color, _, _ in OBJECTS].index(tuple(image[y, x].tolist()))


@pytest.mark.parametrize("tracker", TRACKERS)
@pytest.mark.parametrize("misses", [0.0, 0.1])
def test_each_object_keeps_its_id(tracker: str, misses: float) -> None:
    ids: dict[int, set[int]] = {number: set() for number in range(len(OBJECTS))}
    followed = found = 0
    for frame, result in detector().track(scenes(misses), tracker):
        for one in result.value:
            found += 1
            if one.tracker_id >= 0:
                followed += 1
                ids[number_of(frame.pixels, one.box_xyxy)].add(one.tracker_id)
    assert sorted(map(sorted, ids.values())) == [[0], [1], [2]]
    # Objects have no id in the first frames, and some trackers take it away for some frames after a miss.
    assert followed >= (0.9 if misses == 0 else 0.7) * found


def test_ids_stand_at_their_own_objects_in_the_detectors_order() -> None:
    model = detector()
    plain = [result.value for _, result in detector().stream(scenes(), track=None)]
    tracked = [result.value for _, result in model.stream(scenes(), track="bytetrack")]
    orders = set()
    for before, after in zip(plain, tracked, strict=True):
        np.testing.assert_array_equal(before.boxes_xyxy, after.boxes_xyxy)
        np.testing.assert_array_equal(before.scores, after.scores)
        assert before.tracker_id is None
        assert after.tracker_id.dtype == np.int64
        orders.add(tuple(after.tracker_id.tolist()))
    assert len(orders) > 3  # the order of the objects did change


Box = tuple[float, float, float, float]


def moving(left: float, top: float, right_per_frame: float, *hidden: range) -> Callable[[int], Box | None]:
    """Frame -> box of an object that is not seen in the frames of `hidden`."""

    def box(index: int) -> Box | None:
        x = left + right_per_frame * index
        return None if any(index in span for span in hidden) else (x, top, x + SIZE, top + SIZE)

    return box


#: Motion of two objects, and how many ids the first one has in the end. 30 frames without it, and it is lost.
MOTIONS: dict[str, tuple[Callable[[int], Box | None], Callable[[int], Box | None], int]] = {
    "cross, half covered": (moving(20, 100, 4), moving(300, 116, -4), 1),
    "cross, one over the other": (moving(20, 100, 4), moving(300, 102, -4), 1),
    "hidden for 10 frames": (moving(20, 100, 4, range(30, 40)), moving(20, 300, 0), 1),
    "hidden for 25 frames": (moving(20, 100, 4, range(30, 55)), moving(20, 300, 0), 1),
    "hidden behind the other": (moving(20, 100, 4, range(28, 42)), moving(160, 100, 0), 1),
    "lost, and found again": (moving(20, 100, 2, range(20, 80)), moving(20, 300, 0), 2),
}


def ids_of(tracker: Tracker, motions: Sequence[Callable[[int], Box | None]], frames: int) -> list[list[int]]:
    """The ids of each object, in their order; -1 is none."""
    ids: list[list[int]] = [[] for _ in motions]
    random = np.random.default_rng(0)
    ground = random.integers(60, 130, (480, 640, 3), np.uint8)
    image = ground if tracker.uses_image else None
    for index in range(frames):
        seen = [(number, box) for number, motion in enumerate(motions) if (box := motion(index)) is not None]
        random.shuffle(seen)
        boxes = np.array([box for _, box in seen], np.float32).reshape(-1, 4)
        scores, classes = np.full(len(seen), 0.9, np.float32), np.zeros(len(seen), np.int64)
        found = tracker.update(boxes, scores, classes, image, index / 30)
        for (number, _), one in zip(seen, found.tolist(), strict=True):
            if one >= 0 and one not in ids[number][-1:]:
                ids[number].append(one)
    return ids


@pytest.mark.parametrize("tracker", TRACKERS)
@pytest.mark.parametrize("motion", MOTIONS)
def test_ids_survive_crossing_and_hiding(tracker: str, motion: str) -> None:
    first, second, expected = MOTIONS[motion]
    ids = ids_of(registry().tracker(tracker).create({}), (first, second), 100)
    assert [len(one) for one in ids] == [expected, 1]
    assert not set(ids[0]) & set(ids[1])


def test_a_live_streams_dropped_frames_count_as_time() -> None:
    """An object that moves by a third of its size per frame is followed by one frame in three."""
    clock = SimulatedClock()

    def camera() -> Iterator[Any]:
        for image in scenes():
            clock.sleep(1 / 30)
            yield image

    seen: dict[int, set[int]] = {}
    for frame, result in detector().track(camera(), "bytetrack", "latest", clock=clock):
        clock.sleep(0.1)
        for one in result.value:
            if one.tracker_id >= 0:
                seen.setdefault(number_of(frame.pixels, one.box_xyxy), set()).add(one.tracker_id)
    assert [len(ids) for ids in seen.values()] == [1, 1, 1]


def test_nothing_found_is_no_object() -> None:
    empty = fake_detector(["square"], [], size_wh=(360, 240))
    values = [result.value for _, result in empty.track(scenes())]
    assert {value.tracker_id.shape for value in values} == {(0,)}


@pytest.mark.parametrize(
    ("track", "told"),
    [
        (Tracking("bytetrack", {"track_activation": 0.5}), "no setting 'track_activation'; expected one of"),
        (Tracking("bytetrack", {"track_activation_threshold": "high"}), "expected a number, got 'high'"),
        (Tracking("bytetrack", {"lost_track_buffer": True}), "expected a whole number, got True"),
        (Tracking("bytetrack", {"lost_track_buffer": -1}), "must be greater than or equal to 0"),
        (Tracking("bytetrack", {"frame_rate": 0}), "frame_rate must be a finite positive value"),
    ],
)
def test_a_wrong_setting_is_refused_before_the_stream(track: Tracking, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        detector().stream(scenes(), track=track)


def test_a_setting_is_obeyed() -> None:
    track = Tracking("bytetrack", {"track_activation_threshold": 1.0})
    values = [result.value for _, result in detector().stream(scenes(), track=track)]
    assert {number for value in values for number in value.tracker_id.tolist()} == {-1}


def test_a_tracker_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(PluginError, match=r"no tracker 'bytetrak'; did you mean 'bytetrack'\?"):
        detector().track(scenes(), "bytetrak")
    assert set(TRACKERS) <= set(registry().trackers())
