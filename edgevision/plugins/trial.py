"""The first import of a plugin on this machine: in a process of its own, which it may crash or hold up.

What was found is kept in the user's cache: which hooks the plugin implements, so that it is imported when one
of these is asked for and not before; or how it failed, so that it is not tried again before it changes.
Where nothing can be kept, there is no trial.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pluggy

from edgevision import hookspecs
from edgevision._version import __version__
from edgevision.errors import EdgeVisionError
from edgevision.observation import HOOKS as OBSERVER_HOOKS
from edgevision.plugins.provider import Provider
from edgevision.plugins.time_limit import plugin_seconds
from edgevision.system.cache_folder import cache_folder, file_facts
from edgevision.system.entry_points import EntryPoint, TextEntryPoint, installed_packages
from edgevision.system.files import make_folder, write_file
from edgevision.system.interpreter import interpreter_command
from edgevision.system.reading import MOST_SETTINGS_BYTES, read_file
from edgevision.system.strict_json import read_json

_GROUP = "edgevision"
#: Seconds that a thread which the import started has to end.
_SECONDS_OF_A_THREAD = 1.0


class Trial(NamedTuple):
    """The result of a trial.

    Attributes:
        hooks: that the plugin implements; `None` if they are not known before it is imported.
        fault: why it must not be imported in this process; empty if it may be.
    """

    hooks: tuple[str, ...] | None = None
    fault: str = ""


def trial_of(point: EntryPoint, provider: Provider) -> Trial:
    """The result of a plugin's trial, which was kept, or is held now."""
    file = _file(point, provider)
    if file is None:
        return Trial()
    kept = _kept(file)
    if kept is not None:
        return kept
    try:
        make_folder(file.parent)
        write_file(file, b"")  # where nothing can be kept, a trial would be held at each start
    except EdgeVisionError:
        return Trial()
    found = _try(point)
    with suppress(EdgeVisionError):
        write_file(file, json.dumps(found._asdict()).encode())
    return found


def forget_faults() -> None:
    """Forget the trials that found a fault: they are held again."""
    folder = cache_folder()
    with suppress(OSError, EdgeVisionError):
        for file in (folder / "plugins").iterdir() if folder else ():
            kept = _kept(file)
            if kept is None or kept.fault:
                write_file(file, b"")


def _file(point: EntryPoint, provider: Provider) -> Path | None:
    """The file for a trial, named by all that it depends on; `None` where there is no home folder."""
    folder = cache_folder()
    if folder is None:
        return None
    facts = [__version__, sys.version, provider, _module_facts(point.value, provider), installed_packages()]
    return folder / "plugins" / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()}.json"


def _module_facts(value: str, provider: Provider) -> list[object]:
    """Values that change with the source of a plugin: of all its files, where its author may work on it."""
    package = value.partition(":")[0].partition(".")[0].strip()
    with suppress(Exception):  # there is no such module: the import says so
        spec = find_spec(package)
        folders = list(spec.submodule_search_locations or ()) if spec else []
        named = [Path(spec.origin)] if spec and spec.origin else []
        record = _record_of(folders[0] if folders else named[0], provider)
        if record is not None:
            return [file_facts(file) for file in (record, *named)]
        files = [file for folder in folders for file in Path(folder).rglob("*.py")]
        return [file_facts(file) for file in sorted({*files, *named})]
    return []


def _record_of(module: str | Path, provider: Provider) -> Path | None:
    """The list of the files that pip installed with a module, which each installation writes anew.

    `None` where a module is not what pip copied: a checkout has its metadata elsewhere, or no such list.
    """
    name = f"{provider.distribution.replace('-', '_')}-{provider.version}.dist-info"
    record = Path(module).parent / name / "RECORD"
    return record if record.is_file() else None


def _kept(file: Path) -> Trial | None:
    try:
        fields = read_json(read_file(file, MOST_SETTINGS_BYTES))
        hooks = fields["hooks"]
        return Trial(None if hooks is None else tuple(map(str, hooks)), str(fields["fault"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _try(point: EntryPoint) -> Trial:
    limit = plugin_seconds()
    try:
        process = subprocess.Popen(
            interpreter_command(__name__),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, EdgeVisionError):
        return Trial()
    try:
        answer, _ = process.communicate(point.value.encode(), limit)
    except subprocess.TimeoutExpired:
        return Trial(fault=f"its import took longer than {limit:g} s")
    finally:
        _end(process)
    status = process.returncode
    try:
        fields = read_json(answer)
        return Trial(None if fields["hooks"] is None else tuple(fields["hooks"]), fields["fault"])
    except (ValueError, KeyError, TypeError):
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else "ended by itself"
        return Trial(fault=f"its import broke the process that it was tried in, which {how}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process with all that it has started, which may hold its pipe open."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def serve() -> None:
    """Import the plugin that stdin names, ask its hooks, and write what was found: the job of the process."""
    own = os.dup(1)
    os.dup2(2, 1)
    point = TextEntryPoint("", sys.stdin.read())
    try:
        hooks = _ask(point.load())
    except BaseException:  # imported again in the process that needs it, it raises the same
        hooks = None
    os.write(own, json.dumps({"hooks": hooks, "fault": _endless_thread()}).encode())
    os._exit(0)


def _ask(plugin: Any) -> list[str] | None:
    """The hooks that a plugin implements, each of which was called; `None` if one of them does not exist."""
    manager = pluggy.PluginManager(_GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    manager.check_pending()
    found = []
    for caller in manager.get_hookcallers(plugin) or ():
        found.append(caller.name)
        if caller.name not in OBSERVER_HOOKS:
            for implementation in caller.get_hookimpls():
                function: Any = implementation.function
                list(function())
    return found


def _endless_thread() -> str:
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join(_SECONDS_OF_A_THREAD)
            if thread.is_alive():
                return (
                    f"its import starts the thread '{thread.name}', which no process can end without; "
                    "its author can start it when it is needed, with daemon=True"
                )
    return ""
