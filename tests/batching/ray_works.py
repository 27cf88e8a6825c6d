"""Work for actors that ends them, cannot be opened, or fails: they import it by its name."""

from __future__ import annotations

import os
import signal
from contextlib import nullcontext
from typing import Any

from edgevision.errors import OptionError


class Poisoned:
    """Work whose fourth entry ends its process."""

    divisible = True
    workers = 1

    def open(self) -> Any:
        return nullcontext(self.answer)

    def answer(self, unit: Any) -> list[int]:
        if 4 in unit:
            os.kill(os.getpid(), signal.SIGKILL)
        return [2 * entry for entry in unit]

    def lost(self, entry: int, reason: str) -> int:
        assert "its process was lost 1 times" in reason
        return -entry


class Unopened(Poisoned):
    """Work that cannot be opened by any worker."""

    def open(self) -> Any:
        raise OptionError("another bundle is there")


class Faulty(Poisoned):
    """Work whose own code fails."""

    def answer(self, unit: Any) -> list[int]:
        raise ValueError("wrong")
