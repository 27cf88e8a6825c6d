"""Commands that plugins add to the command line: known by name, and imported when one is typed."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from edgevision.plugins.discovery import command_points, disabled_plugins, is_disabled
from edgevision.plugins.door import failure
from edgevision.plugins.importing import import_plugin
from edgevision.plugins.provider import Provider, provider_of
from edgevision.system.shown import shown

if TYPE_CHECKING:
    import click

    from edgevision.system.entry_points import EntryPoint


def plugin_commands(taken: Collection[str]) -> dict[str, tuple[Provider, EntryPoint]]:
    """Name of each command that an installed plugin adds -> where it comes from; nothing is imported.

    Args:
        taken: names that mean EdgeVision's own commands. A plugin's of such a name, or of one that another
            plugin has already, is called ``distribution:name``.
    """
    disabled = disabled_plugins()
    found: dict[str, tuple[Provider, EntryPoint]] = {}
    for provider, point in sorted(
        ((provider_of(one), one) for one in command_points()), key=lambda one: one[0]
    ):
        if is_disabled(provider, disabled):
            continue
        name = provider.entry_point
        if name in taken or name in found:
            name = provider.qualified(name)
        found.setdefault(name, (provider, point))
    return found


def import_command(provider: Provider, point: EntryPoint) -> click.Command:
    """The command that an entry point names.

    Raises:
        PluginFailedError: it cannot be imported, or is no click command.
    """
    import click

    command = import_plugin(point, provider).plugin
    if not isinstance(command, click.Command):
        raise failure(provider, "edgevision.commands", f"names {shown(command)}, expected a click command")
    return command
