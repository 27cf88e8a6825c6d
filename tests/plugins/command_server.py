"""Runs ``edgevision`` as often as it is asked, each time in a fork of a process that has its imports already.

A process for each command would take half a second, and a table of plugins has hundreds of them. The server
imports modules alone: no plugin is looked for before the fork, which sees the folders of its request.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

#: Seconds after which a process counts as hanging: the system ends it, and its exit code is -14.
_SECONDS = 300


def serve() -> None:
    """Answer each line of stdin, a request with several commands, with a line: how the process ended."""
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _run(request)
            return
        _, status = os.waitpid(pid, 0)
        if request["keep_imports"]:
            for name in json.loads(Path(request["output"], "imports").read_text()):
                with suppress(ImportError):  # of plugins, which lie elsewhere
                    import_module(name)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _run(request: dict[str, Any]) -> None:
    """Run the commands of a request, one after the other, in what is to them a process of their own."""
    signal.alarm(_SECONDS)
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.path[:0] = request["paths"]
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    codes = []
    for place, words in enumerate(request["commands"]):
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(f"{request['output']}/{place}.{name}", os.O_WRONLY | os.O_CREAT), descriptor)
        sys.stdout, sys.stderr = (open(one, "w", closefd=False) for one in (1, 2))  # noqa: SIM115
        codes.append(_code_of(words))
        sys.stdout.flush()
        sys.stderr.flush()
    Path(request["output"], "imports").write_text(json.dumps(list(sys.modules)))
    Path(request["output"], "codes").write_text(json.dumps(codes))


def _code_of(words: list[str]) -> int:
    from edgevision.cli import main

    sys.argv = ["edgevision", *words]
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)


if __name__ == "__main__":
    sys.path.remove(str(Path(__file__).parent))
    serve()
