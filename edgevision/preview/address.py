"""Where a preview is served, and by which names it may be asked for."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import NamedTuple

from edgevision.errors import OptionError
from edgevision.system.shown import shown

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8765

_ADDRESS = re.compile(r"(?:(?P<host>[A-Za-z0-9.-]*|\[[0-9a-fA-F:.]+\]):)?(?P<port>\d{1,5})")
_MOST_PORT = 65535


class Address(NamedTuple):
    """A host and a port.

    Attributes:
        host: a name or an IP address, without brackets.
        port: 0 for any that is free.
    """

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """True if only programs of this machine can connect."""
        address = _ip(self.host)
        return self.host == "localhost" if address is None else address.is_loopback

    def url(self) -> str:
        """Of the page; with this machine's name where the host stands for all its addresses."""
        address = _ip(self.host)
        host = socket.gethostname() if address is not None and address.is_unspecified else self.host
        return f"http://[{host}]:{self.port}/" if ":" in host else f"http://{host}:{self.port}/"

    def answers_to(self, host_header: str) -> bool:
        """True if a request for this host is meant for the preview, whatever the port.

        A page of another site can make its own name lead here (DNS rebinding), and then read what its name
        serves. It cannot do so with an IP address. The port may be another one: that of a tunnel.
        """
        host = re.sub(r":\d{1,5}$", "", host_header.strip().lower())
        address = _ip(host.removeprefix("[").removesuffix("]"))
        if address is not None:
            return address.is_loopback or not self.is_loopback
        names = {"localhost"} if self.is_loopback else {"localhost", self.host.lower(), *_own_names()}
        return host.removesuffix(".") in names


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


def _own_names() -> set[str]:
    name = socket.gethostname().lower()
    return {name, f"{name.partition('.')[0]}.local"}


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
