"""Servers of real streams on loopback: motion JPEG over HTTP, and RTSP by GStreamer's own server."""

from __future__ import annotations

import base64
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2
import numpy as np

BOUNDARY = b"--frame"
USER, PASSWORD = "robot", "s3cr3t@pass"
#: The system's own Python: GStreamer's bindings are Debian's.
SYSTEM_PYTHON = "/usr/bin/python3"


def jpeg(brightness: int, size_wh: tuple[int, int] = (64, 48)) -> bytes:
    image = np.full((size_wh[1], size_wh[0], 3), brightness, np.uint8)
    return cv2.imencode(".jpg", image)[1].tobytes()


class MjpegServer:
    """Serves `parts` to each connection in turn.

    Args:
        scripts: one list per connection, the last one again and again: bytes are sent as a part, a number is
            a pause in seconds; at the end the connection is closed. One more part comes before them, with
            which FFmpeg finds out what it is, and which it does not keep.
        password: whether a user name and password are asked for.
        port: 0 for any that is free.
    """

    def __init__(self, *scripts: list[bytes | float], password: bool = False, port: int = 0) -> None:
        self.connections = 0
        self._port = port
        self._scripts = scripts
        self._password = password
        self._ending = threading.Event()

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    def url(self, credentials: str = "") -> str:
        return f"http://{credentials}127.0.0.1:{self.port}/video.mjpg"

    def __enter__(self) -> MjpegServer:
        own = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                own._serve(self)

            def log_message(self, *words: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self._password and request.headers.get("Authorization") != wanted:
            request.send_response(401)
            request.send_header("WWW-Authenticate", 'Basic realm="camera"')
            request.end_headers()
            return
        script = self._scripts[min(self.connections, len(self._scripts) - 1)]
        self.connections += 1
        request.send_response(200)
        request.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY[2:].decode()}")
        request.end_headers()
        try:
            for step in (jpeg(0), *script):
                if isinstance(step, bytes):
                    head = b"\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(step)
                    request.wfile.write(BOUNDARY + head + step + b"\r\n")
                    request.wfile.flush()
                elif self._ending.wait(step):
                    return
        except OSError:  # the reader has gone
            pass


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A server that answers each request with these bytes and then closes; with none, it waits. Its port."""
    ended = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            if answer:
                self.request.sendall(answer)
            else:
                ended.wait(30)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            ended.set()
            server.shutdown()
            thread.join(10)


def http_answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    """The bytes of an answer of HTTP."""
    lines = (f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", "")
    return "\r\n".join(lines).encode() + body


_RTSP = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer, GLib
Gst.init(None)
server = GstRtspServer.RTSPServer(); server.set_address("127.0.0.1"); server.set_service("0")
factory = GstRtspServer.RTSPMediaFactory(); factory.set_shared(True)
factory.set_launch("( videotestsrc is-live=true pattern=ball"
                   " ! capsfilter name=size caps=video/x-raw,width=320,height=240,framerate=30/1 ! ENCODER )")
def grow(media):
    caps = Gst.Caps.from_string("video/x-raw,width=480,height=360,framerate=30/1")
    media.get_element().get_by_name("size").set_property("caps", caps)
if GROWS:
    factory.connect("media-configure", lambda _, media: GLib.timeout_add(3000, grow, media) and None)
if len(sys.argv) > 2:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(sys.argv[1], sys.argv[2]), token)
    server.set_auth(auth)
    factory.add_role_from_structure(Gst.Structure.new_from_string(
        "user, media.factory.access=true, media.factory.construct=true"))
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""
_ENCODER = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph264pay name=pay0"


def rtsp_reason() -> str:
    """Why there is no RTSP server on this machine; empty if there is one."""
    check = (
        "import gi; gi.require_version('GstRtspServer', '1.0'); "
        "from gi.repository import Gst, GstRtspServer; "
        "Gst.init(None); assert Gst.ElementFactory.find('x264enc') and Gst.ElementFactory.find('rtph264pay')"
    )
    try:
        done = subprocess.run([SYSTEM_PYTHON, "-c", check], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    packages = "gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly"
    return "" if done.returncode == 0 else f"needs GStreamer's RTSP server: apt-get install {packages}"


@contextmanager
def rtsp_server(
    *credentials: str, port: str = "", grows: bool = False
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """GStreamer's RTSP server with a moving ball in H.264 at ``/live``; yields its process and port.

    Args:
        credentials: user name and password, if it asks for them.
        port: empty for any that is free.
        grows: whether the picture of 320 x 240 becomes one of 480 x 360 after three seconds.
    """
    script = _RTSP.replace("ENCODER", _ENCODER).replace('set_service("0")', f'set_service("{port or 0}")')
    script = script.replace("GROWS", str(grows))
    command = [SYSTEM_PYTHON, "-c", script, *credentials]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        time.sleep(0)
