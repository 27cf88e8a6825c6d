"""A server that answers for models by the Open Inference Protocol (extra ``serve``).

``edgevision serve`` runs it; `application` is the same for a server of the caller's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.serving.settings import ServeSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["ServeSettings", "application"]


def application(
    bundles: Sequence[str | Path],
    *,
    token: str | None = None,
    settings: ServeSettings | None = None,
    **options: Any,
) -> ASGIApp:
    """An ASGI application that answers for models, for uvicorn, Hypercorn or another server.

    The models are loaded now, and closed when the application ends (ASGI lifespan).

    Args:
        bundles: paths of bundles, each also as ``NAME=PATH`` or ``NAME:VERSION=PATH``.
        token: expected in the header ``Authorization: Bearer TOKEN``, 16 characters or more. `None` answers
            requests to ``localhost`` alone.
        settings: limits.
        options: keyword arguments of `edgevision.load`, for all of them. ``health_every_s`` is 10 by default.

    Raises:
        OptionError: there is no bundle, or two with one name and version; or an argument is invalid.
        MissingRuntimeError: Starlette is not installed.
        EdgeVisionError: a bundle cannot be loaded, as `edgevision.load`.
    """
    from edgevision.errors import MissingRuntimeError, OptionError
    from edgevision.loading.load import load
    from edgevision.serving.models import ServedModels, named_bundle
    from edgevision.serving.token import checked_token
    from edgevision.system.arguments import instance

    try:
        from edgevision.serving.app import server_application
    except ImportError as error:
        raise MissingRuntimeError("serve", f"{error.name or error} is not installed") from error
    if isinstance(bundles, (str, Path)):
        raise OptionError("bundles: expected a list of paths; for one pass [path]")
    checked = checked_token(token)
    limits = ServeSettings() if settings is None else instance(settings, ServeSettings, "settings")
    load_one = partial(load, **{"health_every_s": 10.0, **options})
    models = ServedModels([named_bundle(one) for one in bundles], load_one, limits)
    return server_application(models, limits, checked)
