"""Finds the installed plugins, and imports each on its own, so that a broken one is recorded and left out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache, partial

import pluggy

from edgevision import hookspecs
from edgevision.errors import EdgeVisionError
from edgevision.hookspecs import INTERFACE
from edgevision.observation import HOOKS as OBSERVER_HOOKS
from edgevision.observation import observers
from edgevision.plugins.importing import import_plugin
from edgevision.plugins.provider import Provider, provider_of
from edgevision.plugins.registry import Registry
from edgevision.system.entry_points import EntryPoint, entry_points
from edgevision.system.log import warning
from edgevision.system.shown import shown

GROUP = "edgevision"
DISABLE_VARIABLE = "EDGEVISION_DISABLE_PLUGINS"
#: What to do about a fault that a trial found.
AGAIN = "; to try it again, run: edgevision plugins"
#: Hooks with a group of their own, ``edgevision.backends`` and so on: a plugin there is imported when this
#: hook is asked for, and not before.
HOOKS_WITH_GROUP = (
    "edgevision_backends",
    "edgevision_readers",
    "edgevision_converters",
    "edgevision_decoders",
    "edgevision_tasks",
    "edgevision_export_formats",
    "edgevision_frame_sources",
    "edgevision_trackers",
    "edgevision_executors",
    "edgevision_targets",
)


def discover(points: Iterable[EntryPoint], disabled: Iterable[str] = ()) -> Registry:
    """Import each plugin on its own, and record the ones that fail.

    Args:
        points: entry points; EdgeVision's own are asked first, then the others by package and name.
        disabled: names of entry points to leave out, or ``distribution:name``; ``all`` leaves out every one.
    """
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    registry = Registry(manager)
    points = list(points)
    left_out = frozenset(filter(None, disabled))
    _check_disabled(registry, [provider_of(point) for point in points], left_out)
    for provider, point in _enabled(points, left_out):
        _import(registry, point, provider)
    return registry


@lru_cache(maxsize=1)
def registry() -> Registry:
    """The installed plugins, without those that ``EDGEVISION_DISABLE_PLUGINS`` names.

    The variable holds names of entry points, separated by commas, or ``all``; ``distribution:name`` names one
    of several with the same name.
    """
    disabled = disabled_plugins()
    later = {hook: entry_points(group_of(hook)) for hook in HOOKS_WITH_GROUP}
    points = entry_points(GROUP)
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    found = Registry(manager)
    everything = [*points, *(point for group in later.values() for point in group), *command_points()]
    _check_disabled(found, [provider_of(point) for point in everything], disabled)
    for provider, point in _enabled(points, disabled):
        if provider.is_own:
            _import(found, point, provider)
        else:
            _import_when_asked(found, point, provider)
    for hook, group in later.items():
        for provider, point in _enabled(group, disabled):
            found.import_for([hook], provider, partial(_try_and_import, found, point, provider))
    for problem in found.problems:
        if problem.plugin == DISABLE_VARIABLE:
            warning("%s: %s", DISABLE_VARIABLE, problem.reason)
    observers.set(found.observers())
    return found


def disabled_plugins() -> frozenset[str]:
    """The names in ``EDGEVISION_DISABLE_PLUGINS``."""
    names = map(str.strip, os.environ.get(DISABLE_VARIABLE, "").split(","))
    return frozenset(filter(None, names))


def is_disabled(provider: Provider, disabled: Iterable[str]) -> bool:
    """True if one of the names in `disabled` is that of a plugin, or ``all``."""
    names = {"all", provider.entry_point, provider.qualified(provider.entry_point)}
    return not names.isdisjoint(disabled)


def group_of(hook: str) -> str:
    """The group of entry points for one hook: ``edgevision.backends`` for ``edgevision_backends``."""
    return hook.replace("_", ".", 1)


def command_points() -> list[EntryPoint]:
    """Entry points of commands: each names a click command, which is imported when it is typed."""
    return entry_points(f"{GROUP}.commands")


def _enabled(points: Iterable[EntryPoint], disabled: frozenset[str]) -> list[tuple[Provider, EntryPoint]]:
    """The plugins that are not left out: EdgeVision's own, then the others by package and name."""
    found = [(provider_of(point), point) for point in points]
    found.sort(key=lambda pair: (not pair[0].is_own, pair[0]))
    return [pair for pair in found if not is_disabled(pair[0], disabled)]


def _import_when_asked(registry: Registry, point: EntryPoint, provider: Provider) -> None:
    """Import a plugin when one of its hooks is asked for; at once, if these are unknown or are observers."""
    from edgevision.plugins.trial import trial_of  # not needed where all plugins are EdgeVision's own

    trial = trial_of(point, provider)
    if trial.fault:
        registry.record(registry.free_name(provider), trial.fault + AGAIN)
    elif not trial.hooks or set(trial.hooks) & set(OBSERVER_HOOKS):
        _import(registry, point, provider)
    else:
        registry.import_for(trial.hooks, provider, partial(_import, registry, point, provider))


def _try_and_import(registry: Registry, point: EntryPoint, provider: Provider) -> None:
    """Import a plugin of a hook's own group."""
    if not provider.is_own:
        from edgevision.plugins.trial import trial_of

        if fault := trial_of(point, provider).fault:
            registry.record(registry.free_name(provider), fault + AGAIN)
            return
    _import(registry, point, provider)


def _import(registry: Registry, point: EntryPoint, provider: Provider) -> None:
    name = registry.free_name(provider)
    try:
        imported = import_plugin(point, provider)
    except EdgeVisionError as error:
        registry.record(name, error.__cause__ or error)
        return
    except (Exception, SystemExit) as error:  # of one of our own, half installed
        registry.record(name, error)
        return
    if imported.changed:
        registry.record(
            name, f"its import changed {', '.join(imported.changed)}, which was put back; ask its author"
        )
    wrong = _wrong_interface(getattr(imported.plugin, "edgevision_interface", None))
    if wrong:
        registry.record(name, wrong)
        return
    registry.register(imported.plugin, name, provider)
    if registry.manager.has_plugin(name) and not registry.manager.get_hookcallers(imported.plugin):
        registry.record(name, f"{shown(imported.plugin, 60)} implements no hook of edgevision.hookspecs")
    registry.import_seconds[provider] = imported.seconds


def _wrong_interface(stated: object) -> str:
    """The reason why a plugin's version of the interface cannot be used; empty if it can."""
    if stated is None:
        return ""
    if type(stated) is not int or stated < 1:
        return f"edgevision_interface is {shown(stated)}, expected a whole number such as {INTERFACE}"
    if stated > INTERFACE:
        return (
            f"needs version {stated} of EdgeVision's interface, and this release has {INTERFACE}; "
            "run: pip install --upgrade edgevision"
        )
    return ""


def _check_disabled(registry: Registry, providers: Iterable[Provider], disabled: Iterable[str]) -> None:
    """Record the names that no plugin has: a typo would leave a plugin on that is to be off."""
    known = {"all"}
    for provider in providers:
        known |= {provider.entry_point, provider.qualified(provider.entry_point)}
    for name in sorted(set(disabled) - known):
        import difflib  # not needed without a typo

        nearest = difflib.get_close_matches(name, known, n=1)
        guess = f"; did you mean '{nearest[0]}'?" if nearest else ""
        registry.record(DISABLE_VARIABLE, f"names '{name}', and no plugin has that name{guess}")
