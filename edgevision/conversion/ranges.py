"""Sources that were trained for int8, and have the ranges of their activations from that training."""

from __future__ import annotations

from edgevision.conversion.find_reader import find_reader
from edgevision.conversion.settings import ConversionRequest
from edgevision.converter import RangedReader, RangedSource, Source
from edgevision.errors import EdgeVisionError
from edgevision.plugins import Registry


def has_ranges(source: Source) -> bool:
    """True if int8 artifacts of a source need no calibration set."""
    return isinstance(source, RangedSource) and source.has_ranges


def may_have_ranges(request: ConversionRequest, plugins: Registry) -> bool:
    """True if the file of a source says that it has ranges, before it is read.

    A file that cannot be opened has none here; reading it says what is wrong with it.
    """
    try:
        reader = find_reader(request.source, plugins, request.settings.reader)
        return isinstance(reader, RangedReader) and reader.has_ranges(request.source)
    except EdgeVisionError:
        return False
