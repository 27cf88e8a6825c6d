"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data and models beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"needs real data and models in {SHARED}, which is absent")
    return SHARED
