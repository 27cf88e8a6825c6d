"""The address that ``--preview`` names."""

from __future__ import annotations

import re

from edgevision.errors import OptionError
from edgevision.system.address import Address
from edgevision.system.shown import shown

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8765

_ADDRESS = re.compile(r"(?:(?P<host>[A-Za-z0-9.-]*|\[[0-9a-fA-F:.]+\]):)?(?P<port>\d{1,5})")
_MOST_PORT = 65535


def address_of(text: str) -> Address:
    """The address that ``HOST:PORT``, ``:PORT`` or ``PORT`` stands for; loopback where no host is given.

    Raises:
        OptionError: it has another form.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > _MOST_PORT:
        raise OptionError(
            f"--preview: expected HOST:PORT or PORT, such as 0.0.0.0:{DEFAULT_PORT}, got {shown(text)}; "
            "where MODEL or SOURCE follows, write --preview=PORT"
        )
    host = (match["host"] or DEFAULT_HOST).removeprefix("[").removesuffix("]")
    return Address(host, int(match["port"]))
