"""A server that answers for models by the Open Inference Protocol (extra ``serve``).

``edgevision serve`` runs it; `application` is the same for a server of the caller's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgevision.serving.settings import ServeSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp
    from typing_extensions import Unpack

    from edgevision.loading.load import LoadOptions

__all__ = ["ServeSettings", "application"]


def application(
    bundles: Sequence[str | Path],
    *,
    token: str | None = None,
    server: ServeSettings | None = None,
    **options: Unpack[LoadOptions],
) -> ASGIApp:
    """An ASGI application that answers for models, for uvicorn, Hypercorn or another server.

    The models are loaded now, and closed when the application ends (ASGI lifespan).

    Args:
        bundles: paths of bundles, each also as ``NAME=PATH`` or ``NAME:VERSION=PATH``.
        token: expected in the header ``Authorization: Bearer TOKEN``, 16 characters or more. `None` answers
            requests to ``localhost`` alone.
        server: limits of the server.
        options: keyword arguments of `edgevision.load`, for all of them. ``health_every_s`` is 10 by default.

    Raises:
        OptionError: an argument is invalid, no bundle is passed, or two have one name and version.
        MissingRuntimeError: Starlette is not installed.
        EdgeVisionError: a bundle cannot be loaded, as `edgevision.load`.
    """
    from edgevision.errors import MissingRuntimeError
    from edgevision.loading.load import load
    from edgevision.serving.models import ServedModels, named_bundle
    from edgevision.system.arguments import instance, paths
    from edgevision.system.token import checked_token

    try:
        from edgevision.serving.app import server_application
    except ImportError as error:
        raise MissingRuntimeError("serve", f"{error.name or error} is not installed") from error
    named = [named_bundle(one) for one in paths(bundles, "bundles")]
    checked = checked_token(token)
    limits = ServeSettings() if server is None else instance(server, ServeSettings, "server")
    options.setdefault("health_every_s", 10.0)
    load_one = partial(load, **options)
    models = ServedModels(named, load_one, limits)
    return server_application(models, limits, checked)
