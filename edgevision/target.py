"""Device profiles: the backend, format and precisions that a device runs, and its limits, in TOML."""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgevision.artifact import precision_meanings
from edgevision.errors import OptionError
from edgevision.plugins import Registry, registry
from edgevision.system.log import warning
from edgevision.system.reading import MOST_SETTINGS_BYTES, read_text
from edgevision.system.shown import shown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BUILT_IN = Path(__file__).with_name("targets.toml")
TARGETS_VARIABLE = "EDGEVISION_TARGETS"
#: Architectures of processors, as ``uname -m`` names them.
ARCHITECTURES = ("x86_64", "aarch64", "armv7l")
_OPTION_TABLES = ("backend_options", "converter_options")
_LIMITS = ("max_size_mb", "max_memory_mb", "max_latency_ms")


@dataclass(frozen=True)
class Target:
    """A named device profile.

    Attributes:
        name: such as ``raspberry-pi-5``.
        description: the device, for people.
        backend: name of the backend that runs the artifact on the device.
        format: format of the artifact.
        precisions: precisions that the device can run, cheapest first.
        device: the backend's name for the device; ``None`` is the backend's default.
        compute_precision: precision of the float parts on a device that cannot compute float32.
        stand_in: name of the backend that checks the artifact on a machine that cannot run `backend`.
        machine: text in the name of the board or processor that identifies the device; ``None`` for a
            profile of every machine that has the backend and the device.
        architecture: one of `ARCHITECTURES`; ``None`` if the profile is for any.
        limits: name -> largest value: `max_size_mb` (10^6 bytes), `max_memory_mb`, `max_latency_ms`. The last
            two are checked on `machine` alone: without one, the profile does not say where they hold.
        backend_options: options of the backend, for the sessions that measure its artifacts.
        converter_options: options of the converter, as its attribute ``options`` names them.
        origin: the file that defines it.
    """

    name: str
    description: str
    backend: str
    format: str
    precisions: tuple[str, ...]
    device: str | None = None
    compute_precision: str | None = None
    stand_in: str | None = None
    machine: str | None = None
    architecture: str | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    backend_options: Mapping[str, Any] = field(default_factory=dict)
    converter_options: Mapping[str, Any] = field(default_factory=dict)
    origin: str = "built in"


def load_targets(
    extra_files: Iterable[str | Path] = (), plugins: Registry | None = None
) -> dict[str, Target]:
    """Every known target, by name.

    A plugin's is called ``plugin:name`` where the name is taken. Of others with the same name the later
    counts: built in, then those in the files that ``EDGEVISION_TARGETS`` lists (paths separated by
    ``os.pathsep``), then those in `extra_files`.

    Raises:
        OptionError: a file cannot be read, or a field in it is wrong; a plugin's is left out with a warning.
    """
    plugins = plugins or registry()
    from_environment = [Path(p) for p in os.environ.get(TARGETS_VARIABLE, "").split(os.pathsep) if p]
    targets = read_targets(BUILT_IN)
    plugins.converters()  # their own precisions may stand in the files
    for plugin, path in plugins.target_files():
        try:
            for name, target in read_targets(path).items():
                free = f"{plugin}:{name}" if name in targets else name
                if free != name:
                    plugins.record(plugin, f"there is a target '{name}' already; this one is '{free}'")
                targets[free] = replace(target, name=free)
        except OptionError as error:  # of a file that others installed: the rest goes on without it
            if plugins.record(plugin, f"edgevision_targets: {error}"):
                warning("plugin '%s': its targets are left out: %s", plugin, error)
    for path in (*from_environment, *extra_files):
        targets.update(read_targets(path))
    return targets


def find_target(name: str, targets: Mapping[str, Target]) -> Target:
    """The target called `name`.

    Raises:
        OptionError: there is none; the message suggests the nearest name.
    """
    if name in targets:
        return targets[name]
    nearest = difflib.get_close_matches(name, targets, n=1, cutoff=0.4)
    guess = f"did you mean '{nearest[0]}'? " if nearest else ""
    raise OptionError(f"no target '{name}'; {guess}run edgevision targets for the list")


def read_targets(path: str | Path) -> dict[str, Target]:
    """Read the targets of one TOML file, one table per target.

    Raises:
        OptionError: the file cannot be read, or a field in it is wrong.
    """
    path = Path(path)
    try:
        tables = tomllib.loads(read_text(path, MOST_SETTINGS_BYTES))
    except OSError as error:
        raise OptionError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise OptionError(f"{path}: is not valid TOML: {error}") from error
    origin = "built in" if path == BUILT_IN else str(path)
    return {name: _target(name, table, path, origin) for name, table in tables.items()}


def _target(name: str, table: Any, path: Path, origin: str) -> Target:
    where = f"{path}: target '{name}'"
    if not isinstance(table, dict):
        raise OptionError(f"{where}: expected a table, got {shown(table)}")
    fields = {
        "description",
        "backend",
        "format",
        "device",
        "compute_precision",
        "precisions",
        "stand_in",
        "machine",
        "architecture",
        "limits",
        *_OPTION_TABLES,
    }
    for key in set(table) - fields:
        raise OptionError(f"{where}: unknown field '{key}'; known fields: {', '.join(sorted(fields))}")
    for key in ("description", "backend", "format", "precisions"):
        if key not in table:
            raise OptionError(f"{where}: field '{key}' is missing")
    for key in sorted(fields - {"precisions", "limits", *_OPTION_TABLES}):
        # Empty text would be found in the name of every machine.
        if key in table and (not isinstance(table[key], str) or not table[key].strip()):
            raise OptionError(f"{where}: field '{key}': expected text, got {shown(table[key])}")
    architecture = table.get("architecture")
    if architecture is not None and architecture not in ARCHITECTURES:
        raise OptionError(
            f"{where}: field 'architecture': expected {' or '.join(ARCHITECTURES)}, got {shown(architecture)}"
        )
    precisions, known = table["precisions"], precision_meanings()
    if not isinstance(precisions, list) or not precisions or not set(map(str, precisions)) <= set(known):
        raise OptionError(
            f"{where}: field 'precisions': expected a list of {', '.join(known)}, got {shown(precisions)}"
        )
    _check_tables(table, where)
    limits = table.get("limits", {})
    if not isinstance(limits, dict) or not set(limits) <= set(_LIMITS):
        raise OptionError(
            f"{where}: field 'limits': expected a table of {', '.join(_LIMITS)}, got {shown(limits)}"
        )
    for key, value in limits.items():
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not 0 < value <= sys.float_info.max
        ):
            raise OptionError(f"{where}: limit '{key}': expected a number above 0, got {shown(value)}")
    return Target(
        name=name,
        description=table["description"],
        backend=table["backend"],
        format=table["format"],
        device=table.get("device"),
        precisions=tuple(precisions),
        compute_precision=table.get("compute_precision"),
        stand_in=table.get("stand_in"),
        machine=table.get("machine"),
        architecture=architecture,
        limits=dict(limits),
        backend_options=dict(table.get("backend_options", {})),
        converter_options=dict(table.get("converter_options", {})),
        origin=origin,
    )


def _check_tables(table: Mapping[str, Any], where: str) -> None:
    for key in _OPTION_TABLES:
        if not isinstance(table.get(key, {}), dict):
            raise OptionError(f"{where}: field '{key}': expected a table, got {shown(table[key])}")
        for name, value in table.get(key, {}).items():
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError):  # of a date, and of nan
                raise OptionError(
                    f"{where}: field '{key}': '{name}': expected a value that JSON has, got {shown(value)}"
                ) from None
