"""The chain of a journal: the hash of each row covers the row and the hash of the one before.

Whoever has the head of a journal from an earlier time can tell that no row up to it was altered, removed,
inserted or reordered since. The file alone cannot tell that it was written anew as a whole.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from edgevision.errors import OptionError
from edgevision.system.shown import shown

#: Hash before the first row.
GENESIS = hashlib.sha256(b"edgevision journal 1").digest()
_HEAD = re.compile(r"([0-9]{1,15}):([0-9a-f]{64})")


class JournalHead(NamedTuple):
    """The end of a journal's chain: to be kept elsewhere, or signed.

    Attributes:
        rows: number of rows up to it.
        digest: the hash of the last of them, 64 hexadecimal digits; it covers all of them, in their order.
    """

    rows: int
    digest: str

    def __str__(self) -> str:
        return f"{self.rows}:{self.digest}"

    @classmethod
    def parse(cls, text: str) -> JournalHead:
        """The head that `str` gives.

        Raises:
            OptionError: the text is not ``ROWS:DIGEST``.
        """
        match = _HEAD.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise OptionError(
                f"head: expected ROWS:DIGEST, as edgevision journal verify prints it, got {shown(text)}"
            )
        return cls(int(match[1]), match[2])


def canonical(document: Mapping[str, Any]) -> str:
    """The one text of a document of JSON values.

    Raises:
        ValueError, TypeError: it has a value that JSON does not have, such as NaN.
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    text.encode("utf-8")  # raises on half a surrogate pair
    return text


def next_hash(previous: bytes, record: str) -> bytes:
    """The hash of a row: sha256 of the hash before and of its canonical text."""
    return hashlib.sha256(previous + record.encode("utf-8")).digest()
