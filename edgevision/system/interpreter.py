"""The command of a new interpreter for a process of its own, and whether this Python can start one.

The interpreter imports this package alone. It never runs the caller's ``__main__`` (a script without
``if __name__ == "__main__"`` would run twice), is never forked (locks of the caller's threads would stay
locked), and imports nothing from the working directory or the script's folder (a ``numpy.py`` there would be
imported in place of numpy). ``python -m`` would put the working directory first on Python 3.10, which does
not know ``-P``, and ``-I`` would drop ``PYTHONPATH`` and the user's site-packages; so it starts with ``-c``
and sets its path itself, with the caller's additions.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from edgevision import errors
from edgevision.errors import ProcessError

# Only `sys` is imported before the path is set: it is built in, and no file can stand in for it.
_START = (
    "import sys; "
    "sys.path[:] = sys.path[sys.path[:1] == ['']:]; "
    "sys.path += [entry for entry in sys.argv[1:] if entry not in sys.path]; "
    "from {module} import serve; "
    "serve()"
)


def check_can_start() -> None:
    """Raise where this Python cannot start a process of its own.

    Raises:
        ProcessError: says why.
    """
    if not sys.executable:
        raise ProcessError("this Python does not know its own program, so it cannot start a process")
    if not hasattr(os, "killpg"):
        raise ProcessError(
            "a process of its own needs process groups and pipes that can be waited for, which Windows does "
            "not have; run this on Linux or macOS, or in the Windows Subsystem for Linux"
        )


def interpreter_command(module: str) -> list[str]:
    """The command of a new interpreter that calls the function `serve` of a module, as described above.

    Raises:
        ProcessError: as `check_can_start`.
    """
    check_can_start()
    isolation = [("-E", sys.flags.ignore_environment), ("-s", sys.flags.no_user_site)]
    options = [option for option, is_set in isolation if is_set]
    return [sys.executable, *options, "-c", _START.format(module=module), *_import_path()]


def _import_path() -> list[str]:
    """Where the child looks for modules after its own path: the caller's, without folders of the user's.

    The package's own folder comes last: it may be the working directory of a checkout.
    """
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    left_out = set() if main is None else {os.path.realpath(Path(main).parent)}
    with suppress(OSError):  # the working directory may have been deleted
        left_out.add(os.path.realpath(Path.cwd()))
    own = str(Path(errors.__file__).resolve().parents[1])
    return [*(entry for entry in sys.path if entry and os.path.realpath(entry) not in left_out), own]
