"""`edgevision report` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_bundle import classified, evidence_of, measured, write_report_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_report_bundle(tmp_path / "skin.evb", evidence_of(measured("tflite-int8", classified())))


def test_a_report_is_written_and_named(bundle: Path, edgevision_command, tmp_path: Path) -> None:
    done = edgevision_command("report", bundle, "-o", "report.html")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "wrote report.html\n"
    assert "skin.evb: conversion report" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("skin.evb",), 2, "Missing option '-o'"),
        (("skin.evb", "-o", "there.html"), 12, "there.html: already exists; pass --force to replace it"),
        (("skin.evb", "-o", "report.pdf"), 12, "expected a name that ends in .html"),
        (("skin.evb", "-o", "skin.evb/report.html"), 12, "skin.evb, which has no other files"),
        (
            ("old.evb", "-o", "report.html"),
            5,
            "not valid evidence for this release: field 'calibration' is missing",
        ),
        (("absent.evb", "-o", "report.html"), 5, "there is no such bundle"),
    ],
    ids=str,
)
def test_a_wrong_call_is_one_line_and_a_documented_exit_code(
    bundle: Path, edgevision_command, tmp_path: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    write_report_bundle(tmp_path / "old.evb", '{"schema_version": 1, "results": []}')
    (tmp_path / "there.html").write_text("mine")
    done = edgevision_command("report", *words)
    assert done.returncode == code, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr
    assert (tmp_path / "there.html").read_text() == "mine"
    assert not (tmp_path / "report.html").exists()
