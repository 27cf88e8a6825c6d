"""The page in a browser: it fills, without an error, without a request to another place, on a phone too."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="needs the extra `serve`")
pytest.importorskip("uvicorn", reason="needs the extra `serve`")

from chromium_log import REQUEST_OF_THE_PAGE
from preview.serving import preview, until

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync", "--timeout=5000"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
    *("--enable-logging=stderr", "--log-level=0", "--dump-dom"),
)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_page_fills_with_the_stream(chromium: str, tmp_path: Path, host: str) -> None:
    log = tmp_path / "net.json"
    with preview(host, fps=30) as at:
        until(lambda: at.answered() > 3)
        url = f"http://127.0.0.1:{at.port}/?{at.query}"
        words = [*_FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}", url]
        done = subprocess.run([chromium, *words], capture_output=True, text=True, check=False, timeout=120)
        own = f"http://127.0.0.1:{at.port}/"
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    asked = re.findall(REQUEST_OF_THE_PAGE, log.read_text(errors="replace"))
    assert any(one.startswith(own + "picture.mjpg") for one in asked)
    assert [one for one in asked if not one.startswith(own)] == []
    page = done.stdout
    assert "<title>robot.evb: EdgeVision preview</title>" in page
    assert re.search(r'id="state" class="state ok"[^>]*>ok<', page)
    assert re.search(r'id="fps">\d+\.\d<', page)
    assert "&lt;b&gt;dog&lt;/b&gt;" in page, "a name of a class is text"
    assert re.search(r'alt="Frame \d+: cat, &lt;b&gt;dog&lt;/b&gt;"', page)
    assert len(re.findall(r'<input id="threshold-\w+" type="range"', page)) == 3
    assert page.count('class="median" d="M') == 2
    assert 'class="answered"' in page
    assert "a bare file, without evidence" in page
    for name in ("latency", "age", "drops"):
        assert re.search(rf'id="chart-{name}" role="img"[^>]*aria-label="[^"]+"', page), (
            "a text for those who do not see it"
        )
