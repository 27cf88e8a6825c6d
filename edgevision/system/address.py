"""Where a server of this package listens, and by which names it may be asked for."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from edgevision.errors import OptionError

_HOSTS = "choose 127.0.0.1 for programs of this machine, or 0.0.0.0 for those of others"


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
        """True if a request for this host is meant for this server, whatever the port.

        A page of another site can make its own name lead here (DNS rebinding), and then read what its name
        serves. It cannot do so with an IP address. The port may be another one: that of a tunnel.
        """
        host = re.sub(r":\d{1,5}$", "", host_header.strip().lower())
        address = _ip(host.removeprefix("[").removesuffix("]"))
        if address is not None:
            return address.is_loopback or not self.is_loopback
        names = {"localhost"} if self.is_loopback else {"localhost", self.host.lower(), *_own_names()}
        return host.removesuffix(".") in names


@contextmanager
def listening_on(address: Address, port_option: str, host_option: str) -> Iterator[socket.socket]:
    """A socket that listens: bound at once, so that what is wrong is told before anything else begins.

    Args:
        address: where.
        port_option: of the command line that named the port, for errors.
        host_option: that named the host.

    Raises:
        OptionError: the address is in use, or not one of this machine.
    """
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise OptionError(
            f"{host_option}: {address.host} is not a known host: {error.strerror}; {_HOSTS}"
        ) from error
    family, kind, protocol, _, name = found[0]
    with socket.socket(family, kind, protocol) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(name)
            listening.listen()
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise OptionError(
                    f"{host_option}: this machine has no address {address.host}; {_HOSTS}"
                ) from error
            raise OptionError(
                f"{port_option}: cannot listen on {address.host} port {address.port}: {error.strerror}; "
                f"choose another port, such as {port_option} 0 for any that is free"
            ) from error
        yield listening


def _own_names() -> set[str]:
    name = socket.gethostname().lower()
    return {name, f"{name.partition('.')[0]}.local"}


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
