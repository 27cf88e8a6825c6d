"""The plugins that take part in a conversion, with their packages, for its record."""

from __future__ import annotations

from collections.abc import Iterable

from edgevision.bundle.provenance import PluginRecord
from edgevision.plugins import Registry
from edgevision.tasks.description import Task


def used_plugins(
    reader: str, converters: Iterable[str], backends: Iterable[str], task: Task, plugins: Registry
) -> tuple[PluginRecord, ...]:
    """The record of each plugin that took part, once.

    Args:
        reader: name of the reader of the source.
        converters: names of those that made the artifacts.
        backends: names of those that ran them.
        task: of the network.
        plugins: of this process.
    """
    used = [("reader", reader), *(("converter", one) for one in converters)]
    used += [("backend", one) for one in backends]
    used.append(("task", task.name))
    decoder = getattr(task, "decoder", None)
    if isinstance(decoder, str):
        used.append(("decoder", decoder))
    return tuple(_record(role, name, plugins) for role, name in dict.fromkeys(used))


def _record(role: str, name: str, plugins: Registry) -> PluginRecord:
    provider = plugins.provider(f"edgevision_{role}s", name)
    if provider is None:
        return PluginRecord(role, name, "", "")
    return PluginRecord(role, name, provider.distribution, provider.version)
