"""No credentials in what is shown: addresses, settings of elements, messages of libraries."""

from __future__ import annotations

import pytest

from edgevision.system.credentials import without_credentials


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://u:p@camera:554/live", "rtsp://camera:554/live"),
        ("rtsp://u:p@ss@camera/live", "rtsp://camera/live"),
        ("rtsp://token@camera/live", "rtsp://camera/live"),
        ("http://camera/v.mjpg?user=u&pwd=p", "http://camera/v.mjpg?…"),
        ("failed: 'http://u:p@camera/v?key=k': refused", "failed: 'http://camera/v?…': refused"),
        ("http://a:b@one/x then rtsp://c:d@two/y", "http://one/x then rtsp://two/y"),
        (
            "gst:rtspsrc location=rtsp://u:p@camera/live user-id=robot user-pw=hidden ! decodebin",
            "gst:rtspsrc location=rtsp://camera/live user-id=… user-pw=… ! decodebin",
        ),
        (
            'gst:souphttpsrc proxy-pw="hid den" location=http://a/b ! x',
            "gst:souphttpsrc proxy-pw=… location=http://a/b ! x",
        ),
        ("srtsrc passphrase = hidden!decodebin", "srtsrc passphrase = …!decodebin"),
        ("rtsp://robot:a/b@camera/live", "rtsp://camera/live"),
        ("rtsp://robot:a@b/c#d@camera:554/live", "rtsp://camera:554/live"),
        ("'http://robot:what?#@camera/v?key=k'", "'http://camera/v?…'"),
        ("http://camera:8080/channel@main", "http://camera:8080/channel@main"),
        ("http://[fe80::1]:8080/channel@main", "http://[fe80::1]:8080/channel@main"),
        ("drive@home.mp4", "drive@home.mp4"),
        ("C:/videos/a?b.mp4", "C:/videos/a?b.mp4"),
        ("input 'tokens' = (1, 128)", "input 'tokens' = (1, 128)"),
    ],
)
def test_what_is_secret_is_not_shown(text: str, shown: str) -> None:
    assert without_credentials(text) == shown
