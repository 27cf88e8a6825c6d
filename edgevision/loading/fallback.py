"""`Fallback`: what answers in place of a model that fails; the argument of `edgevision.load`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevision.backend import SessionSettings
from edgevision.errors import (
    ArtifactError,
    DeviceError,
    InferenceError,
    OptionError,
    PluginError,
    first_line,
)
from edgevision.health import HealthChecks
from edgevision.loading.bare import BareModel
from edgevision.plugins import Registry
from edgevision.system.arguments import instance, one_path, optional_text, sequence
from edgevision.system.log import warning
from edgevision.system.shown import shown
from edgevision.tasks.alternatives import with_alternatives
from edgevision.tasks.image_model import ImageModel


@dataclass(frozen=True)
class Fallback:
    """A model that answers in place of another one.

    Attributes:
        path: a bundle or a bare file; `None` for the same one, on another backend or device or in another
            precision.
        backend, device, precision, settings, bare: as for `edgevision.load`.

    Raises:
        OptionError: a field has an invalid value, or none is set.
    """

    path: str | Path | None = None
    backend: str | None = None
    device: str | None = None
    precision: str | None = None
    settings: SessionSettings | None = None
    bare: BareModel | None = None

    def __post_init__(self) -> None:
        if self.path is not None:
            object.__setattr__(self, "path", one_path(self.path, "path"))
        for name in ("backend", "device", "precision"):
            object.__setattr__(self, name, optional_text(getattr(self, name), name))
        for name, kind in (("settings", SessionSettings), ("bare", BareModel)):
            if getattr(self, name) is not None:
                instance(getattr(self, name), kind, name)
        if (self.path, self.backend, self.device, self.precision, self.settings) == (None,) * 5:
            raise OptionError("fallback: the same model again is no fallback; pass a path, backend or device")

    def __str__(self) -> str:
        parts = [self.path, self.backend, self.device, self.precision]
        return " ".join(str(part) for part in parts if part is not None)


def fallbacks_of(stated: Any, plugins: Registry) -> tuple[Fallback, ...]:
    """The argument `fallback` of `edgevision.load`: of each item a `Fallback`, in their order.

    A text that names a backend stands for the same model on it, any other text for a path.

    Raises:
        OptionError: it is no sequence of fallbacks.
    """
    if isinstance(stated, (str, bytes)):
        raise OptionError(f"fallback: expected a list of fallbacks, got {shown(stated)}; put it in a list")
    found = []
    for one in sequence(stated, "fallback", "fallbacks"):
        if isinstance(one, Fallback):
            found.append(one)
        elif isinstance(one, str) and one in plugins.backends():
            found.append(Fallback(backend=one))
        else:
            found.append(Fallback(one_path(one, "fallback")))
    return tuple(found)


def load_with_fallbacks(
    load_one: Callable[..., Any],
    first: tuple[Any, ...],
    stated: Any,
    checks: HealthChecks | None,
    plugins: Registry,
) -> Any:
    """A model with its fallbacks.

    Args:
        load_one: loads a model by its path, backend, device, precision, settings and options for bare
            files.
        first: these of the model itself; it may be missing.
        stated: the argument `fallback` of `edgevision.load`.
        checks: the schedule of health checks; `None` for the usual one.
        plugins: know the names of backends.

    Raises:
        OptionError: a fallback is invalid, or has another task or other labels.
        EdgeVisionError: a fallback cannot be loaded; or the model, for a reason that is not this machine's.
    """
    path, bare = Path(first[0]), first[-1]
    fallbacks = fallbacks_of(stated, plugins)
    models: list[ImageModel[Any]] = []
    names: list[str] = []
    absent = ""
    with ExitStack() as stack:
        for place, arguments in enumerate([first, *(_arguments(one, path, bare) for one in fallbacks)]):
            name = " on ".join(str(part) for part in arguments[:2] if part is not None)
            try:
                model = stack.enter_context(load_one(*arguments))
            except (PluginError, DeviceError, ArtifactError, InferenceError) as error:
                if place > 0:
                    raise
                absent = f"{name} cannot be loaded: {type(error).__name__}: {first_line(error)}"
                warning("%s; its fallback answers", absent)
                continue
            if not isinstance(model, ImageModel):
                raise OptionError(f"fallback: {name} generates images from a seed, and has no fallback")
            models.append(model)
            names.append(name)
        model = with_alternatives(models, names, absent, checks or HealthChecks())
        stack.pop_all()  # the model closes them from here on
    return model


def _arguments(one: Fallback, path: Path, bare: BareModel | None) -> tuple[Any, ...]:
    own = path if one.path is None else one.path
    described = bare if one.path is None and one.bare is None else one.bare
    return own, one.backend, one.device, one.precision, one.settings, described
