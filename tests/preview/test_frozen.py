"""A viewer stops at a frame, and sees what the answer about it rests on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgevision.errors import OptionError
from edgevision.testing import fake_classifier

pytest.importorskip("starlette", reason="needs the extra `serve`")
pytest.importorskip("uvicorn", reason="needs the extra `serve`")

from edgevision.preview.frozen import FrozenFrames, explain_of
from edgevision.preview.live import Live
from preview.browser import page_of
from preview.serving import Served, ask, preview, until

JSON = {"content_type": "application/json"}
_MOST_FROZEN = 4


@pytest.fixture(scope="module")
def local() -> Iterator[Served]:
    with preview(fps=50) as at:
        until(lambda: at.answered() > 3)
        yield at


def test_a_frozen_frame_stays_while_the_stream_goes_on(local: Served) -> None:
    frozen = ask(local, "/freeze", "POST", {}, **JSON).json()
    index = frozen["frame"]["index"]
    assert frozen["explainable"]
    assert [one["label"] for one in frozen["frame"]["found"]] == ["cat", "<b>dog</b>"]
    first = ask(local, f"/frozen/{index}.jpg")
    assert (first.status, first.headers["content-type"]) == (200, "image/jpeg")
    until(lambda: local.live.index > index + 5)
    assert ask(local, f"/frozen/{index}.jpg").body == first.body
    assert ask(local, f"/frozen/{index}.jpg?explained").status == 404, "nobody asked for it yet"


def test_what_was_posted_by_another_site_or_at_another_frame_is_refused(local: Served) -> None:
    assert ask(local, "/freeze", "POST", {}).status == 415
    assert ask(local, "/freeze", "POST", {"index": 3}, **JSON).json() == {
        "error": "expected a JSON object with nothing in it"
    }
    assert ask(local, "/freeze", "POST", {}, sec_fetch_site="cross-site", **JSON).status == 403
    assert ask(local, "/frozen/999999.jpg").status == 404
    never = ask(local, "/frozen/999999/explanation", "POST", {}, **JSON)
    assert (never.status, never.json()["error"]) == (
        400,
        "frame 999999 is not frozen any more; freeze another one",
    )
    assert ask(local, "/frozen/-1.jpg").status == ask(local, "/frozen/x.jpg").status == 404


def half_bright(image: Any) -> list[float]:
    """A classifier that looks at the left half alone."""
    share = float(image[:, : image.shape[1] // 2].mean()) / 255
    return [share, 1 - share]


def frozen_on(model: Any, count: int, explain: Any) -> tuple[FrozenFrames, list[int]]:
    """Frames of a stream, each frozen."""
    image = np.zeros((32, 64, 3), np.uint8)
    image[8:24, 8:24] = 255
    stream = model.stream([image] * count)
    live = Live(stream, lambda frame, result: frame.pixels)
    frames, indices = FrozenFrames(live, explain), []
    assert frames.freeze() is None, "before the first frame"
    for frame, result in stream:
        live.add(frame, result)
        found = frames.freeze()
        assert found is not None
        indices.append(found["frame"]["index"])
    return frames, indices


def test_the_map_is_of_the_best_class_and_is_computed_once() -> None:
    model, asked = fake_classifier(["bright", "dark"], half_bright, size_wh=(64, 32)), []
    inner = explain_of(model)
    assert inner is not None

    def explain(*given: Any) -> Any:
        asked.append(given[0].index)
        return inner(*given)

    frames, (index,) = frozen_on(model, 1, explain)
    told = frames.explain(index, lambda: False)
    assert (told["label"], told["samples"] > 100) == ("dark", True)
    assert told["peak_xy"][0] < 32, "the left half decides"
    assert frames.progress is None
    picture = frames.picture(index, explained=True)
    assert picture is not None
    shown = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape[1] > 2 * 64, "small images are enlarged"
    assert frames.explain(index, lambda: False) == told
    assert asked == [index]


def test_an_explanation_that_is_there_is_given_while_another_one_is_computed() -> None:
    model = fake_classifier(["bright", "dark"], half_bright, size_wh=(64, 32))
    inner = explain_of(model)
    assert inner is not None
    meanwhile: list[Any] = []

    def explain(frame: Any, progress: Any) -> Any:
        if frame.index == indices[1]:
            meanwhile.append(frames.explain(indices[0], lambda: False))
        return inner(frame, progress)

    frames, indices = frozen_on(model, 2, explain)
    first = frames.explain(indices[0], lambda: False)
    frames.explain(indices[1], lambda: False)
    assert meanwhile == [first]


def test_few_frames_are_kept_and_the_oldest_goes_first() -> None:
    model = fake_classifier(["a", "b"], [0.2, 0.8], size_wh=(64, 32))
    frames, indices = frozen_on(model, _MOST_FROZEN + 3, None)
    kept = [index for index in indices if frames.picture(index, explained=False) is not None]
    assert kept == indices[-_MOST_FROZEN:]


def in_thread(call: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=call)
    thread.start()
    return thread


def test_one_frame_at_a_time_is_explained_and_whoever_leaves_stops_it() -> None:
    model = fake_classifier(["bright", "dark"], half_bright, size_wh=(64, 32))
    left, found = threading.Event(), []
    explain: Any = explain_of(model)

    def endless(frame: Any, progress: Callable[[int, int], bool]) -> Any:
        while progress(1, 2):
            left.wait(0.01)
        return explain(frame, progress)

    frames, (first, second) = frozen_on(model, 2, endless)
    thread = in_thread(lambda: found.append(frames.explain(first, left.is_set)))
    until(lambda: frames.progress == (1, 2))
    with pytest.raises(OptionError, match="another frame is being explained"):
        frames.explain(second, lambda: False)
    left.set()
    thread.join(30)
    assert found[0]["samples"] < 100
    assert frames.picture(first, explained=True) is None, "a map that was cut short is nobody else's"
    assert frames.progress is None


def test_other_tasks_are_frozen_and_not_explained() -> None:
    assert explain_of(object()) is None
    model = fake_classifier(["a", "b"], [0.2, 0.8], size_wh=(64, 32))
    frames, (index,) = frozen_on(model, 1, None)
    with pytest.raises(OptionError, match="cannot be explained"):
        frames.explain(index, lambda: False)


def test_the_buttons_of_the_page(chromium: str, tmp_path: Path) -> None:
    """Freeze, explain, look at the answer again, and go on."""
    with preview(fps=30) as at, page_of(chromium, tmp_path / "profile") as page:
        until(lambda: at.answered() > 3)
        page.send("Page.navigate", url=at.url)
        page.until("document.getElementById('found')?.children.length === 2")
        shown = "document.getElementById('picture').src"
        button = "document.getElementById('%s')"
        assert page.value(f"{button % 'explain'}.hidden")
        page.value(f"{button % 'freeze'}.click()")
        frozen = page.until(f"/frozen.([0-9]+).jpg$/.exec({shown})?.[1]")
        text = page.value("document.getElementById('frame').textContent")
        assert text.startswith(f"frame {frozen} ")
        assert text.endswith(", frozen")
        until(lambda: at.live.index > int(frozen) + 30)
        assert page.value("document.getElementById('frame').textContent") == text
        assert page.value(f"{button % 'freeze'}.textContent") == "Resume"
        page.value(f"{button % 'explain'}.click()")
        page.until(f"{shown}.endsWith('{frozen}.jpg?explained')")
        page.until("document.getElementById('picture').naturalWidth > 0")
        told = page.value("document.getElementById('explained').textContent")
        assert told.startswith("bright: what the score of cat (90.0 %) rests on")
        page.value(f"{button % 'explain'}.click()")
        page.until(f"{shown}.endsWith('{frozen}.jpg')")
        page.value(f"{button % 'freeze'}.click()")
        page.until(f"{shown}.includes('/picture.mjpg')")
        assert page.value("document.getElementById('explained').textContent") == ""
        assert page.value(f"{button % 'explain'}.hidden")
        assert page.problems == []
