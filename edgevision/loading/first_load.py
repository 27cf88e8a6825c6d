"""The first load of a model on this machine: checked in a child process before anything is opened here.

A runtime, a driver or a processor may crash, hang or answer wrongly with a model that was right elsewhere.
So each combination of model, backend, settings, machine and versions that is new is opened in a child, and
asked its known answers there. What passed is kept: in the user's cache, in this process, and by
`edgevision install` beside the bundle.
"""

from __future__ import annotations

import os
from binascii import crc32
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgevision.artifact import Artifact
from edgevision.backend import Backend, SessionSettings
from edgevision.errors import OutputError
from edgevision.loading.kept import folder_beside, machine_facts
from edgevision.plugins import Registry
from edgevision.system.arguments import one_of
from edgevision.system.cache_folder import cache_folder, file_facts
from edgevision.system.log import warning
from edgevision.system.reading import MOST_SETTINGS_BYTES, read_file

if TYPE_CHECKING:  # a process that runs one bare file imports no bundles
    from edgevision.bundle.storage import Bundle
    from edgevision.loading.choice import Choice, Decision, Request

#: ``never`` or ``always`` stands for ``first-load`` in the whole process.
SELFTEST_VARIABLE = "EDGEVISION_SELFTEST"

FIRST_LOAD, ALWAYS, NEVER = "first-load", "always", "never"
_MODES = (FIRST_LOAD, ALWAYS, NEVER)

#: What passed in this process: a device that cannot write checks once per process.
_passed: set[bytes] = set()


def selftest_mode(value: object) -> str:
    """The argument `selftest` of `edgevision.load`, checked; the environment decides about its default.

    `False` and `True`, which earlier releases took, are ``first-load`` and ``always``.

    Raises:
        OptionError: the value, or that of the environment, is not one of these.
    """
    if isinstance(value, bool):
        value = ALWAYS if value else FIRST_LOAD
    mode = one_of(value, _MODES, "selftest")
    stated = os.environ.get(SELFTEST_VARIABLE)
    return one_of(stated, _MODES, SELFTEST_VARIABLE) if stated and mode == FIRST_LOAD else mode


def checked_choice(bundle: Bundle, request: Request, plugins: Registry) -> Choice:
    """Decide which artifact of a bundle runs, as `edgevision.loading.choice.choose`, and check a new one.

    Where the request names no backend, one that fails is left out with a warning, and the next one is taken.

    Raises:
        ProcessError: the runtime was killed by a signal, ended its process, or timed out.
        InferenceError: an answer differs from the known one.
        ArtifactError: the runtime refuses the artifact.
        BundleError: the bundle is damaged.
        EdgeVisionError: as `choose`.
    """
    from edgevision.loading.choice import choose, decide_unmeasured

    if request.isolation is not None and request.backend is None:
        # To ask runtimes for their devices, and to time them, would load them in this process.
        return check_first_load(bundle, request, plugins).choice
    if selftest_mode(request.selftest) == NEVER:
        return choose(bundle, request, plugins)
    decision = decide_unmeasured(bundle, request, plugins)
    if decision is not None and _mark(bundle, decision.choice).is_kept:
        decision.log(bundle.path)
        return decision.choice
    return check_first_load(bundle, request, plugins, None if request.isolation else decision).choice


def check_first_load(
    bundle: Bundle,
    request: Request,
    plugins: Registry,
    decision: Decision | None = None,
    keep_in: Path | None = None,
) -> Decision:
    """Decide in a child process what runs, check it there, and keep that it passed.

    Args:
        bundle, request, plugins: as for `checked_choice`.
        decision: what runs, if that is known without measuring.
        keep_in: a folder; by default the user's cache.

    Raises:
        EdgeVisionError: as `checked_choice`.
    """
    from edgevision.loading.check_in_child import decide_in_child
    from edgevision.loading.choice import keep_measured

    checked = decide_in_child(bundle, request, plugins, decision)
    checked.log(bundle.path)
    keep_measured(checked, bundle, request, plugins, keep_in)
    _mark(bundle, checked.choice).keep(keep_in)
    return checked


def check_bare(
    path: Path, artifact: Artifact, backend: Backend, settings: SessionSettings, mode: str
) -> None:
    """Open a bare artifact in a child process and run it once on zeros, if that is new on this machine.

    A bare file has no known answers.

    Args:
        path: the artifact's first file; the others lie beside it.
        artifact, backend, settings: what is run, and how.
        mode: as returned by `selftest_mode`.

    Raises:
        ProcessError: the runtime was killed by a signal, ended its process, or timed out.
        ArtifactError, InferenceError, DeviceError, PluginError: the runtime refused the artifact, or failed.
    """
    if mode == NEVER:
        return
    files = [file_facts(path.parent / name) for name in artifact.files]
    mark = _Mark.of([artifact.format, files], backend, settings)
    if mark.is_kept:
        return
    from edgevision.loading.check_in_child import run_in_child

    run_in_child(path, artifact, backend, settings)
    mark.keep()


def check_opens(where: object, artifact: Artifact, backend: Backend, settings: SessionSettings) -> None:
    """Open an artifact in a child process and run it once on zeros, whether that is new or not.

    For what opens artifacts besides `load`; nothing is kept, and nothing done where ``EDGEVISION_SELFTEST``
    says ``never``.

    Args:
        where: its file, or its bundle and its id, for errors.
        artifact, backend, settings: what is run, and how.

    Raises:
        EdgeVisionError: as `check_bare`.
    """
    if selftest_mode(FIRST_LOAD) != NEVER:
        from edgevision.loading.check_in_child import run_in_child

        run_in_child(where, artifact, backend, settings)


def _mark(bundle: Bundle, choice: Choice) -> _Mark:
    beside = folder_beside(bundle.path)
    return _Mark.of([bundle.digest, choice.entry.id], choice.backend, choice.settings, beside)


class _Mark(NamedTuple):
    """Says that a combination passed: a file that holds all that this depends on.

    Attributes:
        content: everything that it depends on; what reads the file compares it.
        beside: the folder beside an installed bundle, where the file may be too.
    """

    content: bytes
    beside: Path | None = None

    @classmethod
    def of(
        cls, model: object, backend: Backend, settings: SessionSettings, beside: Path | None = None
    ) -> _Mark:
        """The mark of a model on a backend with these settings."""
        options = settings.options.values()
        # A delegate's library may be replaced by another version under its name.
        libraries = [file_facts(Path(value)) for value in options if isinstance(value, str) and "/" in value]
        kind = type(backend)
        runs = [backend.name, kind.__module__, kind.__qualname__, asdict(settings), libraries]
        return cls(repr([model, runs, machine_facts()]).encode(), beside)

    @property
    def name(self) -> str:
        """The file's name; the content tells marks of the same name apart."""
        return f"{crc32(self.content):08x}.txt"

    @property
    def is_kept(self) -> bool:
        """True if the combination passed before."""
        if self.content in _passed:
            return True
        return any(self._is_in(folder) for folder in (cache_folder(), self.beside))

    def _is_in(self, folder: Path | None) -> bool:
        if folder is None:
            return False
        try:
            return read_file(folder / FIRST_LOAD / self.name, MOST_SETTINGS_BYTES) == self.content
        except OSError:
            return False

    def keep(self, folder: Path | None = None) -> None:
        """Keep that the combination passed; where that is not possible, a warning says so once.

        Args:
            folder: by default the user's cache.
        """
        from edgevision.system.files import make_folder, write_file

        known = bool(_passed)
        _passed.add(self.content)
        folder = cache_folder() if folder is None else folder
        try:
            if folder is None:
                raise OutputError("there is no home folder")
            make_folder(folder / FIRST_LOAD)
            write_file(folder / FIRST_LOAD / self.name, self.content)
        except OutputError as error:
            if not known:
                warning(
                    "the check of the first load cannot be kept, so each process repeats it: %s; set "
                    "EDGEVISION_CACHE to a writable folder, or run edgevision install BUNDLE FOLDER once",
                    error,
                )
