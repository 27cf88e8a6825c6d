"""The rows of a table of results: one per image, with the same columns from every executor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgevision.errors import InputError
from edgevision.streaming.records import FAILED

#: Begins the status of an image that cannot be decoded or used, however often it is tried.
_OF_THE_IMAGE = f"{FAILED}: {InputError.__name__}:"
#: Status of an image whose row is there already: its bytes have not changed.
UNCHANGED = "unchanged"


@dataclass(frozen=True)
class BatchRow:
    """The result of one image.

    Attributes:
        uri: what identifies the image: absolute path or URL, and ``#`` with what says which image of a file
            it is.
        sha256: of the bytes of its file; `None` if they could not be read.
        status: ``ok``, ``failed: REASON`` or ``abstained: REASON``, as in streams.
        result: JSON values of the result, as ``edgevision predict --json`` has them; `None` without one.
        read_ms: time for its bytes.
        decode_ms: time from the bytes to pixels.
        predict_ms: time for preprocessing, the network and its outputs; of a unit that ran together, its
            share.
        bundle_digest: of the bundle.
        backend, device, precision: of the session.
        size_bytes, modified: of the file, as its listing said; `None` and empty where it says nothing.
    """

    uri: str
    sha256: str | None
    status: str
    result: dict[str, Any] | None
    read_ms: float | None
    decode_ms: float | None
    predict_ms: float | None
    bundle_digest: str
    backend: str
    device: str
    precision: str
    size_bytes: int | None
    modified: str

    @property
    def is_final(self) -> bool:
        """False if another try may give another row: the bytes were not read, or the network did not run."""
        return self.sha256 is not None and (
            not self.status.startswith(f"{FAILED}:") or self.status.startswith(_OF_THE_IMAGE)
        )

    @property
    def stamp(self) -> str:
        """As `ImageReference.stamp`."""
        return "" if self.size_bytes is None or not self.modified else f"{self.size_bytes} {self.modified}"
