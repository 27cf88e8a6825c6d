"""The text of any object in an error message: short, in one line, and never an error itself."""

from __future__ import annotations

import reprlib
import sys
from typing import Any

from edgevision.system.numeric import is_memory_mapped

#: Numbers of an array that are shown; of a larger one its shape.
_FEW = 20
#: Digits of an integer that are shown; Python refuses to write those of thousands.
_MOST_BITS = 256


class _Repr(reprlib.Repr):
    """As `reprlib`, with longer lists, and arrays and huge integers in words."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = _FEW
        self.maxarray = self.maxdeque = _FEW
        self.maxstring = self.maxother = self.maxlong = most

    def repr1(self, x: Any, level: int) -> str:
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(x, numpy.ndarray) and (x.size > _FEW or is_memory_mapped(x)):
            return f"an array {x.shape} of {x.dtype}"
        if isinstance(x, int) and x.bit_length() > _MOST_BITS:
            return f"a number of {x.bit_length()} bits"
        return super().repr1(x, level)


def encodable(text: str) -> str:
    """A text as UTF-8 can have it: of a file name that is none, the bytes are escaped, as ``\\udcff``."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def shown(value: Any, most: int = 80) -> str:
    """The text of `value` for an error, such as ``'rgb'`` or ``[1, 2, …]``.

    Args:
        value: any object, also one whose own text raises, or has megabytes.
        most: characters.
    """
    try:
        text = _Repr(most).repr(value)
        line = "".join(char if char.isprintable() else " " for char in text[: 2 * most + 10])
    except Exception:  # whatever a class raises when it is asked for its text
        return f"an object of class {type(value).__name__:.40}"
    return line if len(line) <= most else f"{line[: most - 1]}…"
