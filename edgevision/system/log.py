"""Log lines that do not import `logging`: for a small classifier that takes a tenth of the start."""

from __future__ import annotations

import sys


def info(message: str, *values: object) -> None:
    """Log at INFO on the logger ``edgevision``.

    Where no other code has imported `logging`, nobody can have asked for such lines: nothing is done.
    """
    if "logging" in sys.modules:
        import logging

        logging.getLogger("edgevision").info(message, *values)


def warning(message: str, *values: object) -> None:
    """Log at WARNING on the logger ``edgevision``, which reaches stderr unless the caller says otherwise."""
    import logging

    logging.getLogger("edgevision").warning(message, *values)


def error(message: str, *values: object) -> None:
    """Log at ERROR on the logger ``edgevision``, which reaches stderr unless the caller says otherwise."""
    import logging

    logging.getLogger("edgevision").error(message, *values)
