"""Iterators of the caller's as a stream: a generator, a list, a camera's own library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from typing import Any

import numpy as np

from edgevision.errors import EdgeVisionError, StreamBrokenError, StreamError, first_line
from edgevision.frame_source import CapturedImage, FrameReader, SourceSettings
from edgevision.system.numeric import is_memory_mapped
from edgevision.system.shown import shown


class Iterables:
    """Anything with an order that yields images in any form that a model takes, or `CapturedImage`."""

    name = "iterable"
    accepts = "an iterator of images"

    def recognises(self, source: Any) -> bool:
        """As `FrameSource.recognises`."""
        if isinstance(source, np.ndarray):
            return source.ndim == 4
        one_image = (str, bytes, bytearray, memoryview, Mapping, Set)
        return isinstance(source, Iterable) and not isinstance(source, one_image)

    def open(self, source: Any, settings: SourceSettings) -> FrameReader:
        """As `FrameSource.open`."""
        try:
            return _IterableReader(iter(source), settings.color)
        except Exception as error:  # of the caller's own class
            raise StreamError(f"{shown(source)}: cannot be iterated over: {first_line(error)}") from error


class _IterableReader:
    live = False

    def __init__(self, images: Iterator[Any], color: str) -> None:
        self.name = f"iterator {type(images).__name__}"
        self._images = images
        self._color = color

    def read(self) -> CapturedImage | None:
        """As `FrameReader.read`. Arrays are copied: many cameras write into one buffer in turn."""
        try:
            image = next(self._images)
        except StopIteration:
            return None
        except EdgeVisionError:
            raise
        except Exception as error:
            raise StreamBrokenError(
                f"{self.name}: raised {type(error).__name__}: {first_line(error)}"
            ) from error
        if isinstance(image, CapturedImage):
            return image
        # An array in a mapped file is left to who decodes it: it may have shrunk, and reading it would kill.
        owned = isinstance(image, np.ndarray) and not is_memory_mapped(image)
        return CapturedImage(np.array(image) if owned else image, self._color)

    def close(self) -> None:
        """As `FrameReader.close`: a generator's own ``finally`` runs."""
        close = getattr(self._images, "close", None)
        if callable(close):
            with suppress(Exception):  # it is the caller's, and nobody is left to hear of it
                close()
