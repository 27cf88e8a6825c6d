"""The secret that requests to a server, or to the preview of a stream, must have."""

from __future__ import annotations

import secrets

from edgevision.errors import OptionError
from edgevision.system.shown import shown

_BYTES = 24
_LEAST = 16


def new_token() -> str:
    """A random token."""
    return secrets.token_urlsafe(_BYTES)


def is_token(given: str, token: str) -> bool:
    """True if a request has the token; how long this takes tells nothing of it.

    Args:
        given: what the request has.
        token: the secret.
    """
    return secrets.compare_digest(given.encode("utf-8", "surrogatepass"), token.encode())


def checked_token(token: str | None) -> str | None:
    """A token that a header can hold, or `None`.

    Raises:
        OptionError: it is no text, too short to be a secret, or holds characters that a header cannot.
    """
    if token is None:
        return None
    if not isinstance(token, str):
        raise OptionError(f"token: expected a text, got {shown(token)}")
    is_plain = token.isascii() and token.isprintable() and token == token.strip()
    if len(token) < _LEAST or not is_plain:  # which is not repeated here: it may be a secret
        raise OptionError(
            f"token: expected {_LEAST} ASCII characters or more, such as those of: openssl rand -hex 24"
        )
    return token
