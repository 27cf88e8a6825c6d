"""Installed packages that the caller names, imported so that Keras knows their classes."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path
from urllib.parse import unquote, urlparse

from edgevision.errors import OptionError, first_line
from edgevision.system.strict_json import read_json

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


def import_packages(names: Sequence[str]) -> Mapping[str, str]:
    """Import installed packages by name.

    A file of the working directory is never imported, even where it has the name of a package: a model that
    came with such a file would otherwise run code.

    Args:
        names: of their modules, such as ``keras_hub``.

    Returns:
        Distribution name -> version.

    Raises:
        OptionError: a name is not that of an installed package, or its import fails.
    """
    versions: dict[str, str] = {}
    for name in names:
        if not isinstance(name, str) or not _MODULE.fullmatch(name):
            raise OptionError(
                f"--import {name}: expected the name of an installed package as in Python's import, such "
                "as keras_hub"
            )
        distribution = _distribution_of(name)
        _check_origin(name, distribution)
        try:
            importlib.import_module(name)
        # The package runs code of its own, which can raise anything.
        except Exception as error:
            raise OptionError(
                f"--import {name}: the package cannot be imported: {type(error).__name__}: "
                f"{first_line(error)}"
            ) from error
        versions[str(distribution.metadata["Name"])] = distribution.version
    return versions


def package_of(module: object, registered_name: object) -> str | None:
    """The package that defines a class, by the entries of a model's configuration.

    Args:
        module: such as ``keras_hub.src.models.vit.vit_backbone``.
        registered_name: such as ``keras_hub>ViTBackbone``; packages register under ``Custom`` by default.
    """
    for name in (str(module or "").partition(".")[0], str(registered_name or "").rpartition(">")[0]):
        if _MODULE.fullmatch(name) and name not in ("__main__", "builtins", "Custom"):
            return name
    return None


def is_installed(package: str) -> bool:
    """Return whether a distribution that is installed has this top-level module."""
    return next(_distributions_with(package), None) is not None


def _distribution_of(name: str) -> Distribution:
    top = name.partition(".")[0]
    found = next(_distributions_with(top), None)
    if found is None:
        raise OptionError(
            f"--import {name}: no installed package has the module '{top}'; install it, such as with: "
            f"pip install {top.replace('_', '-')}"
        )
    return found


def _distributions_with(top: str) -> Iterator[Distribution]:
    for distribution in distributions(path=_search_path()):
        if top in _top_modules(distribution):
            yield distribution


def _search_path() -> list[str]:
    """Where packages are installed: the module path without the working directory."""
    here = os.path.realpath(Path.cwd())
    return [entry for entry in sys.path if entry and os.path.realpath(entry) != here]


def _top_modules(distribution: Distribution) -> set[str]:
    declared = set((distribution.read_text("top_level.txt") or "").split())
    if declared:
        return declared
    parts = [file.parts for file in distribution.files or ()]
    packages = {first for first, *rest in parts if rest and not first.endswith((".dist-info", ".egg-info"))}
    return packages | {
        each[0].removesuffix(".py") for each in parts if len(each) == 1 and each[0].endswith(".py")
    }


def _check_origin(name: str, distribution: Distribution) -> None:
    """Refuse a module that lies elsewhere than its distribution."""
    top = name.partition(".")[0]
    spec = importlib.util.find_spec(top)
    origins = (
        [] if spec is None else [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    )
    roots = [Path(str(distribution.locate_file(""))).resolve(), *_source_folder(distribution)]
    for origin in origins:
        place = Path(origin).resolve()
        if not any(place.is_relative_to(root) for root in roots):
            raise OptionError(
                f"--import {name}: {place} hides the installed package of that name; run the command in "
                "another directory, or rename that file"
            )
    if not origins:
        raise OptionError(f"--import {name}: the installed package has no such module; install it again")


def _source_folder(distribution: Distribution) -> list[Path]:
    """The folder of a package that is installed in editable mode."""
    try:
        direct = read_json(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        return []
    if not direct.get("dir_info", {}).get("editable"):
        return []
    return [Path(unquote(urlparse(str(direct.get("url", ""))).path)).resolve()]
