"""Object storage and other file systems behind URLs, by fsspec."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

from edgevision.errors import InputError, MissingRuntimeError, OptionError, PluginError, first_line
from edgevision.system.credentials import without_credentials, without_user
from edgevision.system.reading import MOST_IMAGE_BYTES

#: Schemes whose packages the extra `remote` installs.
_OF_THE_EXTRA = ("s3", "s3a", "http", "https")
_PACKAGES = {"gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}


@dataclass(frozen=True)
class RemotePlace:
    """An object behind a URL.

    Attributes:
        address: the URL, with what is needed to read it.
        size_bytes: as its listing said, so that it is not asked for again; `None` if unknown.
    """

    address: str
    size_bytes: int | None = None

    def read(self) -> bytes:
        """As `Place.read`."""
        files, path = store_of(self.address)
        if (self.size_bytes or 0) > MOST_IMAGE_BYTES:
            shown = without_credentials(self.address)
            raise InputError(f"{shown}: has {self.size_bytes:,} bytes, expected {MOST_IMAGE_BYTES:,} at most")
        try:
            return bytes(files.cat_file(path))
        except Exception as error:  # of any store's library
            raise unreadable(self.address, error) from error


def uri_of(address: str) -> str:
    """The identity of an object in a table of results, without credentials.

    Names of objects may hold anything; the query of a web address may be a key, and stands for itself by its
    digest.
    """
    if not address.startswith(("http://", "https://")):
        return without_user(address)
    digest = sha256(address.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    shown = without_credentials(address)
    return f"{shown}#{digest}" if shown != without_user(address) else shown


def open_remote(address: str) -> Any:
    """A file for reading parts of it.

    Raises:
        InputError: it cannot be opened.
    """
    files, path = store_of(address)
    try:
        return files.open(path, "rb")
    except Exception as error:
        raise unreadable(address, error) from error


@lru_cache(maxsize=16)
def store_of(address: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it.

    Raises:
        InputError: its server cannot be reached.
        OptionError: no file system of this name is known.
        PluginError: fsspec, or its package for this store, is not installed.
    """
    try:
        import fsspec
    except ImportError as error:
        raise MissingRuntimeError("remote", f"{without_credentials(address)}: {error}") from error
    shown, scheme = without_credentials(address), address.partition("://")[0]
    if "::" in address:
        raise OptionError(f"{shown}: chained URLs are not read; pass the URL of a folder or of a file")
    try:
        files, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        reason = f"{shown}: {first_line(error)}"
        if scheme in _OF_THE_EXTRA:
            raise MissingRuntimeError("remote", reason) from error
        if scheme in _PACKAGES:
            command = f"pip install {_PACKAGES[scheme]}"
            raise MissingRuntimeError("remote", reason, command=command) from error
        raise PluginError(reason) from error  # fsspec says what is missing
    except ValueError as error:
        known = ", ".join(sorted(fsspec.available_protocols()))
        raise OptionError(f"{shown}: '{scheme}' is not known to fsspec; known: {known}") from error
    except Exception as error:  # of a store that connects at once
        raise unreadable(address, error) from error
    return files, str(path)


def unreadable(address: str, error: Exception) -> InputError:
    """The error for what a store's library raised."""
    reason = without_credentials(f"{type(error).__name__}: {first_line(error)}")
    return InputError(f"{without_credentials(address)}: cannot be read: {reason}")
