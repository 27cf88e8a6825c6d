"""Addresses without what must not be shown: user names, passwords and query strings."""

from __future__ import annotations

import re

#: ``user:password@`` of an address, as far as the last ``@`` before the path: a password may contain one.
_USER = re.compile(r"(?P<scheme>\b[a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/?#]*@")
#: A password with a character that it should have as a code, such as ``%2F``: up to the last ``@`` of all.
_UNESCAPED = re.compile(
    r"(?P<scheme>\b[a-zA-Z][a-zA-Z0-9+.-]*://)"
    r"(?!\[)[^\s/?#:@'\"]*:(?!\d{1,5}[/?#])[^\s/?#'\"]*[/?#][^\s'\"]*@"
)
#: Query and fragment, where cameras and services take keys: ``?token=…``.
_QUERY = re.compile(r"(?P<address>\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s?#'\"]*)[?#][^\s'\"]*")


#: Settings such as those of a GStreamer element: ``rtspsrc user-id=robot user-pw=…``.
_SETTING = re.compile(
    r"(?P<name>\b(?:[\w-]*passw(?:or)?d|[\w-]*passphrase|user-(?:id|pw)|proxy-(?:id|pw)|[\w-]*token|[\w-]*secret)"
    r"\s*=\s*)(?:\"[^\"]*\"|'[^']*'|[^\s!,;&]+)",
    re.IGNORECASE,
)


def without_credentials(text: str) -> str:
    """A text, such as an address or a library's message, without credentials in addresses or settings."""
    text = _USER.sub(r"\g<scheme>", _UNESCAPED.sub(r"\g<scheme>", text))
    return _SETTING.sub(r"\g<name>…", _QUERY.sub(r"\g<address>?…", text))


def has_unescaped_password(address: str) -> bool:
    """True for an address whose password seems to have ``/``, ``?`` or ``#``, which end the host."""
    return _UNESCAPED.match(address) is not None


def without_user(address: str) -> str:
    """An address without user name and password, and otherwise as it is."""
    return _USER.sub(r"\g<scheme>", address, count=1)


def is_address(text: str) -> bool:
    """True for text that begins as a URL does, such as ``rtsp://``; one letter is a drive."""
    return re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", text) is not None
