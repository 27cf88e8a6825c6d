"""The preview as a plain HTTP client sees it: its data, its limits, and whom it refuses."""

from __future__ import annotations

import logging
import socket
import sys
import time
from typing import Any

import cv2
import numpy as np
import pytest

from edgevision.errors import MissingRuntimeError, OptionError
from edgevision.system.address import Address

pytest.importorskip("starlette", reason="needs the extra `serve`")
pytest.importorskip("uvicorn", reason="needs the extra `serve`")

from preview.serving import Served, ask, preview, until, watching

JSON = {"content_type": "application/json"}


@pytest.fixture(scope="module")
def local() -> Any:
    with preview() as at:
        until(lambda: at.answered() > 3)
        yield at


@pytest.fixture(scope="module")
def open_to_all() -> Any:
    with preview("0.0.0.0") as at:
        until(lambda: at.answered() > 3)
        yield at


def test_numbers_are_those_of_the_stream(local: Served) -> None:
    live = ask(local, "/live.json").json()
    assert live["answered"] <= local.answered()
    assert live["captured"] >= live["answered"] > 0
    assert (live["frame"]["state"], live["frame"]["width"], live["policy"]) == ("ok", 160, "wait")
    assert [one["label"] for one in live["frame"]["found"]] == ["cat", "<b>dog</b>"]
    assert live["frame"]["times_ms"]["inference"] >= 0
    assert sum(live["history"]["answered"]) > 0
    assert live["ended"] is False
    card = ask(local, "/card.json").json()
    assert card["name"] == "robot.evb"
    assert ["precision", "float32"] in card["facts"]
    assert [one["name"] for one in card["thresholds"]] == [
        "score_threshold",
        "iou_threshold",
        "max_detections",
    ]


def test_the_picture_is_the_annotated_frame(local: Served) -> None:
    answer = ask(local, "/picture.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    picture = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[0] >= 160
    assert np.ptp(picture.reshape(-1, 3), axis=0).max() > 100, "boxes on a plain ground"


def test_the_moving_picture_is_motion_jpeg(local: Served) -> None:
    with watching(local) as viewer:
        data = b""
        while data.count(b"Content-Type: image/jpeg") < 3:
            data += viewer.recv(65536)
    head, _, rest = data.partition(b"\r\n\r\n")
    assert b"multipart/x-mixed-replace; boundary=edgevision-frame" in head
    parts = rest.split(b"\xff\xd8")[1:]
    assert len(set(parts)) == len(parts), "each frame once"


def test_a_threshold_is_applied_to_the_running_stream(local: Served) -> None:
    def labels() -> list[str]:
        return [one["label"] for one in ask(local, "/live.json").json()["frame"]["found"]]

    assert ask(local, "/thresholds", "POST", {"score_threshold": 0.5}, **JSON).json() == {
        "score_threshold": 0.5
    }
    until(lambda: labels() == ["cat"])
    for wrong in ({"score_threshold": 2}, {"nonsense": 1}, [], {"score_threshold": None, "x": 1}):
        assert ask(local, "/thresholds", "POST", wrong, **JSON).status == 400
    assert (
        "expected 0 to 1, got 2"
        in ask(local, "/thresholds", "POST", {"score_threshold": 2}, **JSON).json()["error"]
    )
    assert ask(local, "/thresholds", "POST", b"{", **JSON).status == 400
    assert ask(local, "/thresholds", "POST", b"x" * 5000, **JSON).status == 413
    assert ask(local, "/thresholds", "POST", {"score_threshold": 0.1}).status == 415
    assert ask(local, "/thresholds").status == 405
    assert labels() == ["cat"]
    ask(local, "/thresholds", "POST", {"score_threshold": 0.1}, **JSON)
    until(lambda: len(labels()) == 2)


def test_metrics_are_prometheus_text(local: Served) -> None:
    answer = ask(local, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.body == b"up 1\n"


@pytest.mark.parametrize("path", ["/", "/page.js", "/live.json", "/picture.jpg", "/nothing"])
def test_every_answer_forbids_what_the_page_does_not_need(local: Served, path: str) -> None:
    headers = ask(local, path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers


def test_the_page_has_no_script_of_its_own_and_no_address_of_another(local: Served) -> None:
    page = ask(local, "/").body.decode()
    assert page.count("<script") == page.count('<script src="/page.js"') == 1
    assert "style=" not in page
    assert " on" not in page.replace(" one", "")
    for path in ("/", "/page.js", "/page.css", "/icon.svg"):
        text = ask(local, path).body.decode().replace("http://www.w3.org/", "")
        assert "http:" not in text
        assert "https:" not in text
        assert "innerHTML" not in text


@pytest.mark.parametrize(
    ("path", "method", "headers", "status"),
    [
        ("/live.json", "GET", {"Host": "evil.example"}, 421),
        ("/", "GET", {"Host": "192.168.0.1"}, 421),
        ("/picture.jpg", "GET", {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}, 403),
        ("/live.json", "GET", {"Sec_Fetch_Site": "same-site"}, 403),
        ("/", "GET", {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}, 200),  # a link
        ("/", "GET", {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}, 403),
        ("/thresholds", "POST", {"Origin": "http://evil.example", **JSON}, 403),
        ("/thresholds", "POST", {"Origin": "null", **JSON}, 403),
        ("/live.json", "GET", {"Sec_Fetch_Site": "same-origin"}, 200),
    ],
)
def test_other_sites_are_refused(
    local: Served, path: str, method: str, headers: dict[str, str], status: int
) -> None:
    body = {"score_threshold": 0.9} if method == "POST" else None
    assert ask(local, path, method, body, **headers).status == status
    assert ask(local, "/live.json").json()["call"].get("score_threshold") != 0.9


def test_this_machine_alone_needs_no_token(local: Served) -> None:
    assert local.query == ""
    assert local.url == f"http://127.0.0.1:{local.port}/"


@pytest.mark.parametrize(
    "path", ["/", "/live.json", "/picture.mjpg", "/metrics", "/thresholds", "/nothing", "/page.js"]
)
@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", "?token=%ff%00", "?other=1"])
def test_others_need_the_token_for_everything(open_to_all: Served, path: str, query: str) -> None:
    answer = ask(open_to_all, path + query)
    assert (answer.status, b"token is missing" in answer.body) == (401, True)


def test_the_token_opens_the_page_and_leaves_the_address(open_to_all: Served) -> None:
    token = open_to_all.query.removeprefix("token=")
    assert len(token) >= 20
    first = ask(open_to_all, f"/?token={token}")
    assert (first.status, first.headers["location"]) == (303, "/")
    cookie = first.headers["set-cookie"]
    assert "httponly" in cookie.lower()
    assert "samesite=strict" in cookie.lower()
    pair = cookie.partition(";")[0]
    assert ask(open_to_all, "/live.json", Cookie=pair).status == 200
    assert ask(open_to_all, "/live.json", Cookie=pair + "x").status == 401
    assert ask(open_to_all, "/live.json?token=wrong", Cookie=pair).status == 401
    assert (
        ask(open_to_all, f"/metrics?token={token}").status == 200
    )  # what has no cookies, such as Prometheus
    assert ask(open_to_all, "/live.json", Cookie=pair, Host="evil.example").status == 421


def test_each_preview_has_a_token_of_its_own_and_logs_none(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    tokens = set()
    with caplog.at_level(logging.DEBUG):
        for _ in range(2):
            with preview("0.0.0.0") as at:
                tokens.add(at.query)
                ask(at, f"/live.json?{at.query}")
                ask(at, "/live.json?token=wrong")
    assert len(tokens) == 2
    printed = capfd.readouterr()
    logged = caplog.text + printed.out + printed.err
    assert not any(token.removeprefix("token=") in logged for token in tokens)


def test_viewers_that_do_not_read_cost_the_stream_nothing() -> None:
    with preview(fps=200, size=480) as at:
        until(lambda: at.answered() > 3)
        viewers = [watching(at) for _ in range(8)]  # none of them reads
        until(lambda: ask(at, "/picture.mjpg").status == 503)  # there are no more places
        before = at.answered()
        until(lambda: at.answered() - before > 100)
        assert ask(at, "/live.json").json()["frame"]["age_ms"] < 5000
        for viewer in viewers:
            viewer.close()


def test_a_viewer_that_left_makes_room() -> None:
    with preview() as at:
        until(lambda: at.answered() > 3)
        viewers = [watching(at) for _ in range(8)]
        until(lambda: ask(at, "/picture.mjpg").status == 503)
        for viewer in viewers:
            viewer.close()

        def has_room() -> bool:
            with watching(at) as viewer:
                return b" 200 " in viewer.recv(100)

        until(has_room)


def test_pictures_are_drawn_for_viewers_alone_and_once_for_all() -> None:
    with preview() as at:
        until(lambda: at.answered() > 20)
        assert at.live._picture is None
        ask(at, "/live.json")
        assert at.live._picture is None
        at.stop()
        until(lambda: at.live.to_dict()["events"][-1]["kind"] == "ended")
        until(lambda: at.live.index == at.live.to_dict()["captured"] - 1)
        first = at.live.picture()
        assert first is not None
        assert at.live.picture() is first


def test_the_moving_picture_ends_with_the_stream() -> None:
    with preview() as at:
        until(lambda: at.answered() > 3)
        viewer = watching(at)
        viewer.recv(1000)
        began = time.monotonic()
    with viewer:
        while viewer.recv(65536):
            pass
    assert time.monotonic() - began < 20
    with pytest.raises(OSError, match=r"."):
        socket.create_connection(("127.0.0.1", at.port), timeout=2)


def test_a_port_in_use_is_told_before_the_stream(local: Served) -> None:
    with (
        pytest.raises(
            OptionError, match=rf"cannot listen on 127\.0\.0\.1 port {local.port}: Address already in use"
        ),
        preview(port=local.port),
    ):
        pass


@pytest.mark.parametrize("host", ["no-such-host.invalid", "203.0.113.7"])
def test_an_address_of_another_machine_is_told(host: str) -> None:
    with pytest.raises(OptionError, match="choose 127.0.0.1 for programs of this machine"), preview(host):
        pass


def test_without_the_extra_the_command_to_install_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgevision.preview.server import served

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with (
        pytest.raises(MissingRuntimeError, match=r'pip install "edgevision\[serve\]"'),
        served(None, {"thresholds": []}, str, Address("127.0.0.1", 0)),  # type: ignore[arg-type]
    ):
        pass
