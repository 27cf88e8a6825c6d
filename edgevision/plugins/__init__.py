"""Find plugins, check what they provide, and record the broken ones.

A plugin is its distribution, version and entry point (`Provider`). Code of plugins that others wrote is
called through one door (`edgevision.plugins.door`), so that what it raises names it.
"""

from edgevision.plugins.discovery import DISABLE_VARIABLE, GROUP, discover, registry
from edgevision.plugins.provider import Provider
from edgevision.plugins.registry import BackendStatus, Problem, Registry, device_names

__all__ = [
    "DISABLE_VARIABLE",
    "GROUP",
    "BackendStatus",
    "Problem",
    "Provider",
    "Registry",
    "device_names",
    "discover",
    "registry",
]
