"""The report in a browser: rendered without an error and without a network request."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from report_bundle import classified, evidence_of, measured, picture, write_report_bundle

from chromium_log import REQUEST_OF_THE_PAGE
from edgevision.reporting.report import write_report

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *(
        "--disable-background-networking",
        "--disable-component-update",
        "--host-resolver-rules=MAP * ~NOTFOUND",
    ),
    *("--virtual-time-budget=3000", "--enable-logging=stderr", "--log-level=0"),
)


def _open(chromium: str, page: Path, folder: Path) -> tuple[str, list[str], list[str]]:
    """The rendered page, the messages on its console, and the addresses that it requests."""
    log = folder / "net.json"
    words = [*_FLAGS, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}", "--dump-dom"]
    done = subprocess.run(
        [chromium, *words, page.as_uri()], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    asked = re.findall(REQUEST_OF_THE_PAGE, log.read_text(errors="replace"))
    return done.stdout, console, asked


def test_the_page_is_rendered_without_an_error_and_without_a_network(chromium: str, tmp_path: Path) -> None:
    flips = classified().details.flips
    evidence = evidence_of(measured("tflite-int8", classified()))
    bundle = write_report_bundle(tmp_path / "skin.evb", evidence, pictures=[picture(flips[0].image)])
    write_report(bundle, tmp_path / "report.html")
    shown, console, asked = _open(chromium, tmp_path / "report.html", tmp_path)
    assert "<title>skin.evb: conversion report</title>" in shown
    assert "tflite-int8 meets every requirement." in shown
    assert console == []
    assert asked == []


def test_the_check_detects_an_error_and_a_request(chromium: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('<title>x</title><img src="http://127.0.0.1:9/x.png"><script>absent()</script>')
    _, console, asked = _open(chromium, page, tmp_path)
    assert any("absent is not defined" in line for line in console)
    assert "http://127.0.0.1:9/x.png" in asked
