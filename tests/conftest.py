"""Fixtures that every test may use."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"

# What a short measurement picks differs from run to run: tests that want it say so themselves.
os.environ["EDGEVISION_TUNE"] = "0"
# A process for each of thousands of bundles: tests of the first load say so themselves.
os.environ["EDGEVISION_SELFTEST"] = "never"

# Under emulation, what a test does is not slow, but the machine.
settings.register_profile("emulated", deadline=None, suppress_health_check=[HealthCheck.too_slow])

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        skip = pytest.mark.skip(reason="waits for many seconds; --slow runs it")
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The program."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs Chromium, which is not installed; run: apt-get install chromium")
    return path


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing that a test keeps lands in the home folder."""
    os.environ["EDGEVISION_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data and models beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"needs real data and models in {SHARED}, which is absent")
    return SHARED


@pytest.fixture(autouse=True)
def _log_is_on() -> None:
    """Libraries that configure logging silence others, by name or by the level of the root logger."""
    logger = logging.getLogger("edgevision")
    logger.disabled, logger.propagate = False, True
    logger.setLevel(logging.WARNING)  # what it is by the root's, as Python starts
    logging.disable(logging.NOTSET)


@pytest.fixture
def caplog(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Pytest's own, with the level of the logger and of the handler stated."""
    caplog.set_level(logging.WARNING, logger="edgevision")
    return caplog


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the README's quickstart has run: its results lie in ``quickstart/``."""
    pytest.importorskip("tensorflow", reason="needs the extra `convert`")
    folder = tmp_path_factory.mktemp("newcomer")
    script = ROOT / "examples" / "digits" / "quickstart.py"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "quickstart" / "transcript.txt").write_text(done.stdout)
    return folder


@pytest.fixture
def edgevision_command(tmp_path: Path) -> Run:
    """Run ``edgevision`` as a process of its own, in an empty folder unless told otherwise."""

    def run(*words: object, cwd: Path = tmp_path, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "edgevision", *map(str, words)]
        return subprocess.run(
            command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
        )

    return run
