"""A headless Chromium that is driven: pages are opened, buttons pressed, pictures taken."""

from __future__ import annotations

import base64
import itertools
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"),
)


class Page:
    """One page. Chromium takes commands of its DevTools protocol over a pipe, each ended by a zero byte."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._numbers, self._rest, self._session = itertools.count(1), b"", ""
        self.problems: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.send("Runtime.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            if answer.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
                self.problems.append(json.dumps(answer["params"])[:500])
        assert "error" not in answer, answer
        found: dict[str, Any] = answer["result"]
        return found

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            read = os.read(self._answers, 1 << 20)
            assert read, "Chromium has ended"
            self._rest += read
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def value(self, script: str) -> Any:
        """What a script gives, waited for."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, script: str, seconds: float = 60.0) -> Any:
        """What a script gives, once it is something."""
        end = time.monotonic() + seconds
        while not (found := self.value(script)):
            assert time.monotonic() < end, f"not within {seconds:g} s: {script}"
            time.sleep(0.05)
        return found

    def picture(self, path: Path, size_wh: tuple[int, int]) -> None:
        """Write a PNG of the page."""
        size = {"width": size_wh[0], "height": size_wh[1], "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))


@contextmanager
def page_of(chromium: str, profile: Path) -> Iterator[Page]:
    """A page in a Chromium with a profile of its own, which ends with the block."""
    (take, commands), (answers, give) = os.pipe(), os.pipe()
    # Chromium reads from descriptor 3 and writes to 4.
    script = 'exec "$0" "$@" 3<&%d 4>&%d' % (take, give)  # noqa: UP031
    words = ["bash", "-c", script, chromium, *_FLAGS, f"--user-data-dir={profile}"]
    running = subprocess.Popen(words, pass_fds=(take, give), stderr=subprocess.DEVNULL)
    os.close(take)
    os.close(give)
    try:
        yield Page(commands, answers)
    finally:
        running.kill()
        running.wait()
        os.close(commands)
        os.close(answers)
