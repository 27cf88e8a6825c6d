"""The names that tell a bundle from other folders: a folder with this suffix and this file in it is one."""

from __future__ import annotations

BUNDLE_SUFFIX = ".evb"
MANIFEST = "manifest.json"
