"""Streams over HTTP and RTSP, from real servers on loopback."""

from __future__ import annotations

import itertools
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from edgevision import StreamSettings
from edgevision.errors import StreamBrokenError, StreamError, StreamLostError
from edgevision.streaming.records import record_of
from edgevision.testing import fake_classifier
from plugins.stream_servers import (
    PASSWORD,
    USER,
    MjpegServer,
    answering,
    http_answer,
    jpeg,
    rtsp_reason,
    rtsp_server,
)
from streaming.video_files import write_video

pytest.importorskip("av", reason="needs the extra `video`")

MODEL = fake_classifier(["dark", "bright"], lambda image: [1 - image.mean() / 255, image.mean() / 255])
ONCE = StreamSettings(reconnect_s=0, open_timeout_s=10)


def brightness(result: Any) -> float:
    return float(result.value.scores[1] * 255)


def shown(*values: int) -> list[bytes | float]:
    """Parts of a motion JPEG stream with pauses."""
    return list(itertools.chain.from_iterable((jpeg(value), 0.05) for value in values))


def everything(stream: Any) -> str:
    """Each text that a stream gives to logs and records."""
    return " ".join([*(event.message for event in stream.events)])


def test_frames_of_an_http_camera_come_in_order_until_the_server_closes() -> None:
    values = list(range(20, 250, 20))
    with MjpegServer(shown(*values)) as server:
        stream = MODEL.stream(server.url(), "wait", settings=ONCE)
        seen: list[float] = []

        def watch() -> None:
            for frame, result in stream:
                assert frame.image.size_wh == (64, 48)
                assert frame.presentation_s is None
                seen.append(brightness(result))

        with pytest.raises(StreamLostError, match="http://127.0.0.1:.*: (stopped|the server closed)"):
            watch()
    assert seen == pytest.approx(values, abs=3)


def test_a_camera_that_stalls_is_lost_within_two_seconds_and_reconnected() -> None:
    import time

    with MjpegServer([*shown(40, 60, 80), 60.0], shown(*[200] * 40)) as server:
        stream = MODEL.stream(server.url(), "wait", settings=StreamSettings(open_timeout_s=10))
        times, values = [], []
        for frame, result in stream:
            times.append(frame.captured_at.monotonic_ns / 1e9)
            values.append(round(brightness(result)))
            if len(values) == 5:
                break
        gap = max(later - earlier for earlier, later in itertools.pairwise(times))
    assert values[:3] == pytest.approx([40, 60, 80], abs=3)
    assert values[3:] == pytest.approx([200, 200], abs=3)
    assert server.connections == 2
    assert [event.kind for event in stream.events][:3] == ["opened", "lost", "reconnected"]
    assert gap < 30, time.monotonic()  # no test asserts a time: the benchmark has the seconds


def test_damaged_frames_are_dropped_and_the_others_come() -> None:
    torn = jpeg(100)[:300] + b"\x00" * 40
    script = [*shown(20, 60), torn, 0.05, b"no image at all", 0.05, *shown(180, 220)]
    with MjpegServer(script) as server:
        stream = MODEL.stream(server.url(), "wait", settings=ONCE)
        values: list[float] = []

        def watch() -> None:
            values.extend(brightness(result) for _, result in stream)

        with pytest.raises(StreamLostError):
            watch()
    assert values == pytest.approx([20, 60, 180, 220], abs=3)
    assert stream.counters.dropped.get("damaged", 0) >= 1


def test_a_change_of_resolution_is_followed() -> None:
    script: list[bytes | float] = [jpeg(50), 0.1, jpeg(90, (160, 120)), 0.1, jpeg(50), 0.1]
    with MjpegServer(script) as server:
        sizes = []

        def watch() -> None:
            for frame, _ in MODEL.stream(server.url(), "wait", settings=ONCE):
                sizes.append(frame.image.size_wh)

        with pytest.raises(StreamLostError):
            watch()
    assert sizes == [(64, 48), (160, 120), (64, 48)]


def test_a_password_opens_the_stream_and_is_in_no_text() -> None:
    from urllib.parse import quote

    with MjpegServer(shown(40, 60), password=True) as server:
        stream = MODEL.stream(server.url(f"{USER}:{quote(PASSWORD)}@"), "wait", settings=ONCE)
        names = []

        def watch() -> None:
            for frame, _ in stream:
                names.append(frame.source)

        with pytest.raises(StreamLostError) as lost:
            watch()
        assert set(names) == {server.url()}
        for secret in (USER, PASSWORD, quote(PASSWORD)):
            assert secret not in everything(stream) + str(lost.value) + repr(lost.value.__cause__)
        wrong = MODEL.stream(server.url("robot:wrong-secret@"), settings=ONCE)
        with pytest.raises(StreamError, match="user name or password is not accepted") as refused:
            list(wrong)
    assert "wrong-secret" not in str(refused.value) + everything(wrong)
    assert refused.value.__cause__ is None


def test_a_recording_on_a_server_ends_as_a_file_does(tmp_path: Path) -> None:
    import threading
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words: Any) -> None:
            pass

    write_video(tmp_path / "clip.avi", frames=20)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            stream = MODEL.stream(f"http://127.0.0.1:{server.server_port}/clip.avi")
            times = [frame.presentation_s for frame, _ in stream]
        finally:
            server.shutdown()
            thread.join()
    assert stream.policy == "wait"
    assert [event.kind for event in stream.events] == ["opened", "ended"]
    assert times == pytest.approx([index / 10 for index in range(20)])


@pytest.mark.parametrize(
    "url", ["http://user:hidden@127.0.0.1:9/x?key=hidden", "rtsp://user:hidden@127.0.0.1:9/live?token=hidden"]
)
def test_a_refused_connection_is_told_without_credentials(url: str) -> None:
    stream = MODEL.stream(url, settings=ONCE)
    with pytest.raises(StreamLostError, match="127.0.0.1:9") as refused:
        list(stream)
    assert "hidden" not in str(refused.value) + everything(stream)


_REALM = 'WWW-Authenticate: Digest realm="camera", nonce="1"'


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (http_answer("401 Unauthorized", b"", _REALM), StreamError, "user name or password is not accepted"),
        (http_answer("403 Forbidden"), StreamError, "user name or password is not accepted"),
        (http_answer("404 Not Found"), StreamError, "404 Not Found"),
        (http_answer("400 Bad Request"), StreamError, "400 Bad Request"),
        (http_answer("429 Too Many Requests"), StreamLostError, "429 Too Many Requests"),
        (http_answer("503 Service Unavailable"), StreamLostError, "5XX"),
        (http_answer("302 Found", b"", "Location: file:///etc/passwd"), StreamLostError, "'file' not on"),
        (http_answer("302 Found", b"", "Location: http://u:hidden@127.0.0.1:9/"), StreamLostError, "refused"),
        (
            http_answer("200 OK", b"<html>hidden</html>" * 99, "Content-Type: text/html"),
            StreamBrokenError,
            "not",
        ),
        (http_answer("200 OK", b"", "Content-Type: video/mp4"), StreamBrokenError, "not a video stream"),
        (b"\0\1\2" * 99, StreamLostError, "End of file"),
        (b"", StreamLostError, "no answer in time"),
    ],
    ids=[
        "digest",
        "forbidden",
        "missing",
        "refused",
        "busy",
        "broken",
        "redirected",
        "away",
        "page",
        "empty",
        "noise",
        "silent",
    ],
)
def test_what_a_server_answers_is_told_by_its_kind(answer: bytes, kind: type[StreamError], told: str) -> None:
    """Lost is what may come back: it alone is tried again."""
    check_told("http", answer, kind, told)


def test_an_rtsp_server_that_says_nothing_is_lost_and_its_stream_is_not_broken() -> None:
    check_told("rtsp", b"", StreamLostError, "no answer in time")


def check_told(scheme: str, answer: bytes, kind: type[StreamError], told: str) -> None:
    settings = StreamSettings(reconnect_s=0, open_timeout_s=5.0 if answer else 0.5)
    with answering(answer) as port:
        stream = MODEL.stream(f"{scheme}://robot:hidden@127.0.0.1:{port}/v?key=hidden", settings=settings)
        with pytest.raises(StreamError, match=told) as found:
            list(stream)
    assert type(found.value) is kind
    assert "hidden" not in str(found.value) + repr(found.value.__cause__) + everything(stream)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://robot:hidden@127.0.0.1:99999/x", "Port out of range"),
        ("rtsp://robot:hidden@/live", "names no host"),
        ("rtsp://robot:hid/hidden@127.0.0.1:9/live", "write %2F for /"),
    ],
)
def test_an_address_that_no_waiting_mends_is_refused_at_once(address: str, told: str) -> None:
    stream = MODEL.stream(address)
    with pytest.raises(StreamError, match=told) as refused:
        list(stream)
    assert type(refused.value) is StreamError
    assert "hid" not in str(refused.value) + everything(stream)


def test_the_still_of_a_camera_is_one_frame() -> None:
    """FFmpeg finds out what it is with the first frame, which it would not keep."""
    with answering(http_answer("200 OK", jpeg(90), "Content-Type: image/jpeg")) as port:
        stream = MODEL.stream(f"http://127.0.0.1:{port}/snapshot.jpg", settings=ONCE)
        (frame,) = [frame for frame, _ in stream]
    assert abs(int(frame.pixels.mean()) - 90) <= 1


def test_a_page_that_is_no_video_is_told() -> None:
    with MjpegServer([b"<html>" * 2000]) as server, pytest.raises(StreamError):
        list(MODEL.stream(server.url(), settings=ONCE))


def test_without_pyav_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgevision.errors import MissingRuntimeError

    monkeypatch.setitem(sys.modules, "av", None)
    stream = MODEL.stream("rtsp://user:hidden@camera/live")
    with pytest.raises(MissingRuntimeError, match=r'pip install "edgevision\[video\]"') as missing:
        list(stream)
    assert "hidden" not in str(missing.value)


def test_nothing_is_printed_with_the_password(tmp_path: Path) -> None:
    """FFmpeg's own log lines have the address. Tracebacks since Python 3.13 have the lines of the script."""
    script = """
import sys
from edgevision import StreamSettings
from edgevision.testing import fake_classifier
model = fake_classifier(["a", "b"], [0.5, 0.5])
try:
    list(model.stream(sys.argv[1], settings=StreamSettings(reconnect_s=0.1)))  # with the warning
except Exception as error:
    import traceback
    traceback.print_exc()
"""
    command = [sys.executable, "-c", script, "rtsp://user:hidden@127.0.0.1:9/live"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "StreamLostError" in done.stderr
    assert "hidden" not in done.stdout + done.stderr


@pytest.fixture(scope="module")
def needs_rtsp() -> None:
    reason = rtsp_reason()
    if reason:
        pytest.skip(reason)


@pytest.mark.usefixtures("needs_rtsp")
def test_rtsp_is_read_and_reconnected_when_the_server_is_killed_and_back() -> None:
    with rtsp_server() as (process, port):
        stream = MODEL.stream(f"rtsp://127.0.0.1:{port}/live", settings=StreamSettings(open_timeout_s=10))
        frames = iter(stream)
        for _ in range(10):
            frame, result = next(frames)
            assert frame.image.size_wh == (320, 240)
            assert result.ok
        process.kill()
        process.wait()
        with rtsp_server(port=str(port)):
            while stream.counters.reconnects == 0:
                frame, result = next(frames)
            assert result.ok
        stream.close()
    kinds = [event.kind for event in stream.events]
    assert kinds[0] == "opened"
    assert "lost" in kinds
    assert kinds.index("lost") < kinds.index("reconnected")


@pytest.mark.usefixtures("needs_rtsp")
def test_rtsp_asks_for_a_password() -> None:
    with rtsp_server("robot", "pw-of-robot") as (_, port):
        for frame, result in MODEL.stream(f"rtsp://robot:pw-of-robot@127.0.0.1:{port}/live", settings=ONCE):
            assert result.ok
            assert frame.source == f"rtsp://127.0.0.1:{port}/live"
            break
        stream = MODEL.stream(f"rtsp://robot:nonsense-pw@127.0.0.1:{port}/live", settings=ONCE)
        with pytest.raises(StreamError, match="not accepted") as refused:
            list(stream)
    assert "nonsense-pw" not in str(refused.value) + everything(stream)


@pytest.mark.usefixtures("needs_rtsp")
def test_a_change_of_resolution_is_followed_over_rtsp() -> None:
    sizes: list[tuple[int, int]] = []
    with rtsp_server(grows=True) as (_, port):
        settings = StreamSettings(open_timeout_s=10)
        for frame, result in MODEL.stream(f"rtsp://127.0.0.1:{port}/live", settings=settings):
            assert result.ok
            assert frame.pixels.shape == (*frame.image.size_wh[::-1], 3)
            if frame.image.size_wh not in sizes:
                sizes.append(frame.image.size_wh)
            if len(sizes) == 2:
                break
    assert sizes == [(320, 240), (480, 360)]


def test_a_camera_that_starts_later_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    with MjpegServer([]) as before:
        port = before.port
    late = MjpegServer(shown(*[120] * 100), port=port)
    starts = threading.Timer(1.0, late.__enter__)
    starts.start()
    url = f"http://robot:hidden-word@127.0.0.1:{port}/video.mjpg"
    stream = MODEL.stream(url, settings=StreamSettings(open_timeout_s=10))
    for _, result in stream:
        assert brightness(result) == pytest.approx(120, abs=3)
        break
    starts.join()
    late.__exit__()
    kinds = [event.kind for event in stream.events]
    assert kinds.index("lost") < kinds.index("opened")
    assert stream.counters.reconnects == 0
    assert "it is tried again for 30 s" in caplog.text
    assert "hidden-word" not in caplog.text + everything(stream)


def test_credentials_are_in_no_row_metric_or_line(tmp_path: Path) -> None:
    import json

    from edgevision import Journal, Metrics, observe

    secrets = ("robot", "hidden-word", "hidden-key")
    with MjpegServer([*shown(40), b"no image at all", 0.05, *shown(60)]) as server:
        stream = MODEL.stream(f"{server.url('robot:hidden-word@')}?key=hidden-key", "wait", settings=ONCE)
        journal, metrics = Journal(tmp_path / "runs.db", frames="all"), Metrics()
        rows: list[str] = []

        def watch() -> None:
            with journal, observe(journal), observe(metrics):
                for frame, result in stream:
                    rows.append(json.dumps(record_of(frame, result)))

        with pytest.raises(StreamLostError) as lost:
            watch()
    assert len(rows) == 2
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"127.0.0.1" in stored
    told = [*rows, metrics.text(), everything(stream), str(lost.value), stored.decode("utf-8", "replace")]
    assert not [secret for secret in secrets for text in told if secret in text]


def test_h264_that_ffmpeg_serves_over_http_is_read() -> None:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("needs ffmpeg: apt-get install ffmpeg")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/live.ts"
    picture = ("-re", "-f", "lavfi", "-i", "testsrc=s=320x240:r=25")
    form = ("-c:v", "libx264", "-g", "12", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-f", "mpegts")
    command = [ffmpeg, "-v", "error", *picture, *form, "-listen", "1", url]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        settings = StreamSettings(open_timeout_s=10)  # it is waited for
        stream = MODEL.stream(url, settings=settings)
        for frame, result in stream:
            assert result.ok
            assert frame.image.size_wh == (320, 240)
            if frame.index >= 20:
                break
        process.kill()
    assert stream.policy == "latest"
