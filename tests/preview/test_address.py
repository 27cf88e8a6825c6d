"""Where a preview is served, and under which names it answers."""

from __future__ import annotations

import socket

import pytest

from edgevision.errors import OptionError
from edgevision.preview.address import address_of
from edgevision.system.address import Address


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("8765", "127.0.0.1", 8765, True),
        (":80", "127.0.0.1", 80, True),
        ("localhost:1", "localhost", 1, True),
        ("127.0.0.9:0", "127.0.0.9", 0, True),
        ("[::1]:65535", "::1", 65535, True),
        ("0.0.0.0:8765", "0.0.0.0", 8765, False),
        ("[::]:8765", "::", 8765, False),
        ("robot.local:8765", "robot.local", 8765, False),
        ("192.168.1.7:8765", "192.168.1.7", 8765, False),
    ],
)
def test_a_host_is_open_to_others_only_where_it_says_so(
    text: str, host: str, port: int, loopback: bool
) -> None:
    address = address_of(text)
    assert address == (host, port)
    assert address.is_loopback is loopback


@pytest.mark.parametrize(
    "text", ["model.evb", "0.0.0.0", "host:", "1:2:3", "::1:80", "65536", "a b:1", "-1", ""]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="expected HOST:PORT or PORT"):
        address_of(text)


@pytest.mark.parametrize(
    ("address", "header", "answered"),
    [
        ("127.0.0.1:8765", "127.0.0.1:8765", True),
        ("127.0.0.1:8765", "localhost:9000", True),  # through a tunnel
        ("127.0.0.1:8765", "LOCALHOST", True),
        ("127.0.0.1:8765", "[::1]:8765", True),
        ("127.0.0.1:8765", "evil.example:8765", False),
        ("127.0.0.1:8765", "127.0.0.1.evil.example", False),
        ("127.0.0.1:8765", "192.168.1.7:8765", False),
        ("127.0.0.1:8765", "", False),
        ("0.0.0.0:8765", "192.168.1.7:8765", True),
        ("0.0.0.0:8765", f"{socket.gethostname()}:8765", True),
        ("0.0.0.0:8765", "evil.example:8765", False),
        ("robot.example:8765", "robot.example:8765", True),
        ("robot.example:8765", "other.example:8765", False),
    ],
)
def test_names_that_another_site_could_point_here_are_not_answered(
    address: str, header: str, answered: bool
) -> None:
    assert address_of(address).answers_to(header) is answered


def test_the_url_can_be_opened() -> None:
    assert Address("::1", 80).url() == "http://[::1]:80/"
    assert Address("0.0.0.0", 80).url() == f"http://{socket.gethostname()}:80/"
