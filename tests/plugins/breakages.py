"""Plugins that are broken in one way each, and what EdgeVision says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: What each plugin begins with: a backend that answers, and imports nothing that takes time.
HEAD = """
from types import SimpleNamespace
from edgevision.hookspecs import hookimpl as hook

class Backend:
    name, formats, options = "fake", ("fake",), ()
    def version(self):
        return "fake 1"
    def devices(self):
        return [SimpleNamespace(name="cpu", description="no real device", _asdict=lambda: {"name": "cpu"})]
    def open(self, artifact, settings):
        raise NotImplementedError
"""


_ONE_BACKEND = "@hook\ndef edgevision_backends():\n    return [Backend()]\n"


@dataclass(frozen=True)
class Use:
    """A command that needs the broken plugin itself.

    Attributes:
        words: of the command line.
        said: pattern of its one line on stderr.
        code: its exit code.
    """

    words: tuple[str, ...]
    said: str
    code: int = 6


@dataclass(frozen=True)
class Breakage:
    """A plugin that is broken in one way.

    Attributes:
        source: of its module ``broken_module``; `None` for none.
        row: pattern of a problem that ``edgevision plugins`` shows for it; empty if there is none before it is
            used.
        entry_points: its metadata, as text or bytes.
        use: commands that need it, and what they say.
        others: distribution -> (entry points, source of a module) of further packages.
        files: further files in its folder.
        metadata: content of its ``METADATA``; `None` for no such file.
    """

    source: str | None
    row: str = ""
    entry_points: str | bytes = "[edgevision]\nbroken = broken_module\n"
    use: tuple[Use, ...] = ()
    others: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    metadata: bytes | None = b"Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n"

    @property
    def hangs(self) -> str:
        """``at first``, when it is tried; ``later``, when it is asked; empty if it does not."""
        return "at first" if "longer than" in self.row else "later" if "no answer" in self.row else ""


BREAKAGES: dict[str, Breakage] = {}


def _imports(name: str, source: str, row: str, **others: object) -> None:
    BREAKAGES[f"import {name}"] = Breakage(source, row, **others)  # type: ignore[arg-type]


def _hook(name: str, hook: str, body: str, row: str, use: tuple[Use, ...] = (), head: str = "") -> None:
    """A module with one hook, whose body is given."""
    source = f"{HEAD}{head}\n@hook\ndef edgevision_{hook}():\n    {body}\n"
    BREAKAGES[f"{hook}: {name}"] = Breakage(source, row, use=use)


def _points(name: str, entry_points: str | bytes, row: str, source: str = HEAD, **others: object) -> None:
    BREAKAGES[f"entry point {name}"] = Breakage(source, row, entry_points, **others)  # type: ignore[arg-type]


NAMED = r"plugin 'broken' \(broken 1\.0\)"

# --- the import ---------------------------------------------------------------------------------

_imports("raises", "raise RuntimeError('no luck')", "RuntimeError: no luck")
_imports("ends the process by SystemExit", "raise SystemExit(3)", "SystemExit: 3")
_imports("raises what is no Exception", "class Odd(BaseException): pass\nraise Odd('odd')", "Odd: odd")
_imports(
    "prints", "import os\nprint('welcome')\nos.write(1, b'from native code')\n" + HEAD + _ONE_BACKEND, ""
)
_imports("crashes", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV")
_imports("ends the process at once", "import os\nos._exit(0)", "ended")
_imports("hangs", "import time\ntime.sleep(1000)", "longer than 2 s")
_imports(
    "starts a thread that never ends",
    "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()",
    "thread",
)
_imports("changes the working directory", "import os\nos.chdir('/')", "changed the working directory")
_imports(
    "ignores signals",
    "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)",
    "changed the handling of signals",
)
_imports("makes warnings errors", "import warnings\nwarnings.simplefilter('error')", "changed .*warnings")
_imports("makes numpy raise", "import numpy\nnumpy.seterr(all='raise')", "changed numpy's handling")
_imports("closes stdout", "import sys\nsys.stdout = None", "changed sys.stdout")

# --- entry points and metadata --------------------------------------------------------------------

_points("names no module", "[edgevision]\nbroken = no_such_module\n", "no_such_module")
_points("names no attribute", "[edgevision]\nbroken = broken_module:missing\n", "missing")
_points("is no name", "[edgevision]\nbroken = not a module!\n", "not a module")
_points("is empty", "[edgevision]\nbroken =\n", "Empty module name")
_points("file is not UTF-8", b"[edgevision]\nbroken = br\xff\xfeken\n", "", metadata=b"Name: br\xff\n")
_points(
    "has the name of a built-in backend",
    "[edgevision]\ntflite = broken_module\n",
    "'tflite' means that of plugin 'tflite'; this one is 'broken:tflite'",
    HEAD + "class Tflite(Backend):\n    name = 'tflite'\n    formats = ('tflite',)\n"
    "    def open(self, *_):\n        raise RuntimeError('the wrong one')\n"
    "@hook\ndef edgevision_backends():\n    return [Tflite()]\n",
    use=(
        Use(
            ("predict", "tiny.evb", "image.png", "--backend", "broken:tflite"),
            r"plugin 'tflite' \(broken 1\.0\): backend 'broken:tflite': open.*RuntimeError: the wrong one",
        ),
    ),
)
_points(
    "of two packages has one name",
    "[edgevision]\nbroken = broken_module\n",
    "'fake' means that of plugin 'another'|'fake' means that of plugin 'broken'",
    HEAD + "@hook\ndef edgevision_backends():\n    return [Backend()]\n",
    others={
        "another": (
            "[edgevision]\nbroken = another_module\n",
            HEAD + "@hook\ndef edgevision_backends():\n    return [Backend()]\n",
        )
    },
)
_points(
    "names a thing without hooks",
    "[edgevision]\nbroken = broken_module:THING\n",
    "3 implements no hook",
    "THING = 3\n",
)
_points(
    "states a later interface",
    "[edgevision]\nbroken = broken_module\n",
    "needs version 99",
    HEAD + "edgevision_interface = 99\n",
)
_points(
    "states no number of an interface",
    "[edgevision]\nbroken = broken_module\n",
    "expected a whole number",
    HEAD + "edgevision_interface = '1'\n",
)

# --- hooks --------------------------------------------------------------------------------------

BREAKAGES["hook: does not exist"] = Breakage(
    HEAD + "@hook\ndef edgevision_backend():\n    return []\n", "unknown hook 'edgevision_backend'"
)
BREAKAGES["hook: asks for arguments"] = Breakage(
    HEAD + "@hook\ndef edgevision_backends(config):\n    return []\n", "config"
)
_hook("returns None", "backends", "return None", "returned NoneType, expected a list")
_hook("returns text", "decoders", "return 'yolo'", "returned str, expected a list")
_hook("returns other things", "backends", "return [object(), 3]", "object without name")
_hook("raises", "readers", "raise RuntimeError('no luck')", "RuntimeError: no luck")
_hook("ends the process by SystemExit", "trackers", "raise SystemExit(0)", "SystemExit: 0")
_hook(
    "is a generator that raises",
    "backends",
    "yield Backend(); raise RuntimeError('halfway')",
    "RuntimeError: halfway",
)
_hook("ends the process at once", "decoders", "import os; os._exit(0)", "ended by itself")
_hook("hangs", "export_formats", "import time; time.sleep(1000)", "longer than 2 s")

# --- backends -----------------------------------------------------------------------------------


def _backend(name: str, members: str, row: str, use: tuple[Use, ...] = ()) -> None:
    """A backend `broken` of the format `broken`, with these members."""
    head = f"from edgevision.artifact import FileFormat\nclass Broken(Backend):\n    name = 'broken'\n    formats = ('broken',)\n{members}\n"
    _hook(name, "backends", "return [Broken()]", row, use, head)


def _opened(said: str, code: int) -> tuple[Use, ...]:
    return (Use(("predict", "own.broken", "image.png", *BARE), said, code),)


#: What a bare file does not say of itself.
BARE = ("--task", "classify", "--input-range", "0..1", "--scores", "softmax")

_backend(
    "devices() raises",
    "    def devices(self): raise RuntimeError('no bus')",
    f"{NAMED}: backend 'broken': devices.*no bus",
)
_backend("devices() returns something else", "    def devices(self): return 'cpu'", "devices: returned 'cpu'")
_backend(
    "devices() hangs",
    "    def devices(self):\n        import time; time.sleep(1000)",
    f"{NAMED}: backend 'broken': devices: no answer within 2 s",
)
_backend("version() returns None", "    def version(self): return None", "version: returned None")
_backend(
    "version() ends the process by SystemExit",
    "    def version(self): raise SystemExit(0)",
    "version: raised SystemExit",
)
_backend("formats is None", "    formats = None", "the formats None")
_backend("name raises", "    @property\n    def name(self): raise RuntimeError('nameless')", "nameless")
_backend("file_formats is of a wrong type", "    file_formats = ('.broken',)", "file_formats|no attribute")
_backend(
    "claims the files of another",
    "    formats = ('tflite',)\n    file_formats = (FileFormat('tflite', ('.broken',)),)",
    "",
)
_backend("claims every bundle", "    file_formats = (FileFormat('broken', ('.evb',)),)", "")
for _name, _body, _said, _code in (
    ("raises", "raise RuntimeError('no luck')", "backend 'broken': open.*RuntimeError: no luck", 6),
    ("returns nothing", "return None", "open.*returned a session whose inputs are None", 6),
    ("crashes", "import os; os.kill(os.getpid(), 11)", "killed by SIGSEGV", 9),
    ("ends the process at once", "import os; os._exit(0)", "ended with exit status 0", 9),
):
    _opening = f"    def open(self, artifact, settings): {_body}"
    _backend(f"open() {_name}", _opening, "", _opened(f"{NAMED}.*{_said}|{_said}.*{NAMED}", _code))
_backend(
    "claims the suffix of another",
    "    file_formats = (FileFormat('broken', ('.tflite',)),)",
    "",
)

# --- targets, decoders, tasks --------------------------------------------------------------------


def _targets(name: str, returned: str, row: str, content: str = "") -> None:
    source = f"{HEAD}from pathlib import Path\n@hook\ndef edgevision_targets():\n    return {returned}\n"
    BREAKAGES[f"targets: {name}"] = Breakage(source, row, files={"targets.toml": content})


_FILE = "[Path(__file__).with_name('targets.toml')]"
_targets("the file is missing", "['/no/such/file.toml']", "edgevision_targets: /no/such/file.toml")
_targets("the file is no TOML", _FILE, "not valid TOML", "[[[")
_targets("a field is missing", _FILE, "field 'backend' is missing", "[mine]\ndescription = 'x'\n")
_targets("are no path", "[3]", "returned 3, expected the path")
_targets(
    "have the name of a built-in",
    _FILE,
    "there is a target 'generic-cpu' already; this one is 'broken:generic-cpu'",
    "[generic-cpu]\ndescription = 'x'\nbackend = 'no'\nformat = 'no'\nprecisions = ['float32']\n",
)

_DECODER = "class Broken:\n    name = 'broken'\n{}\n"
_hook(
    "recognise() raises",
    "decoders",
    "return [Broken()]",
    f"{NAMED}: decoder 'broken': recognise.*IndexError",
    (),
    _DECODER.format(
        "    def recognise(self, outputs, size): return outputs[99]\n    def prepare(self, *_): ..."
    ),
)
_hook(
    "recognise() returns text",
    "decoders",
    "return [Broken()]",
    "recognise: returned 'yes'",
    (),
    _DECODER.format("    def recognise(self, outputs, size): return 'yes'\n    def prepare(self, *_): ..."),
)
_hook(
    "recognise() hangs",
    "decoders",
    "return [Broken()]",
    "recognise: no answer within 2 s",
    (),
    _DECODER.format(
        "    def recognise(self, outputs, size):\n        import time; time.sleep(1000)\n    def prepare(self, *_): ..."
    ),
)
_hook(
    "prepare is no method",
    "decoders",
    "return [Broken()]",
    "the prepare 3",
    (),
    _DECODER.format("    def recognise(self, *_): ...\n    prepare = 3"),
)
_KIND = "from edgevision.builtin_tasks.classify import ClassifyKind\nclass Broken(ClassifyKind):\n{}\n"
_hook(
    "has the name of a built-in",
    "tasks",
    "return [Broken()]",
    "'classify' means that of plugin 'tasks'; this one is 'broken:classify'",
    (),
    _KIND.format("    def lines(self, *_): raise RuntimeError('the wrong one')"),
)
_hook(
    "has no options",
    "tasks",
    "return [Broken()]",
    "the options None, expected a list",
    (),
    _KIND.format("    name = 'broken'\n    options = None"),
)
_hook(
    "has a schema that is none",
    "tasks",
    "return [Broken()]",
    "the schema 'object', expected a mapping",
    (),
    _KIND.format("    name = 'broken'\n    schema = 'object'"),
)
_hook(
    "recognise() raises",
    "tasks",
    "return [Broken()]",
    f"{NAMED}: task 'broken': recognise",
    (),
    _KIND.format("    name = 'broken'\n    def recognise(self, network): raise RuntimeError('no luck')"),
)

# --- commands, observers, sources, trackers, exports, readers, converters --------------------------------------


def _command(name: str, body: str, row: str, said: str = "", code: int = 6, entry: str = "broken") -> None:
    source = f"import click, sys\n{body}\n"
    points = f"[edgevision.commands]\n{entry} = broken_module:command\n"
    use = (Use((entry if entry == "broken" else f"broken:{entry}",), said, code),) if said else ()
    BREAKAGES[f"command: {name}"] = Breakage(source, row, points, use)


_CLICK = "@click.command()\ndef command():\n    "
_command(
    "raises",
    _CLICK + "raise RuntimeError('no luck')",
    "",
    f"{NAMED}: command 'broken'.*RuntimeError: no luck",
)
_command(
    "is not importable",
    "raise RuntimeError('no luck')",
    "no luck",
    f"{NAMED}: import: raised RuntimeError: no luck",
)
_command("is no command", "command = 3", "expected a click command", f"{NAMED}: edgevision.commands: names 3")
_command("crashes when it is imported", "import os; os.kill(os.getpid(), 11)", "SIGSEGV")
_command(
    "has a help that raises",
    "class Odd(click.Command):\n    def get_help(self, ctx): raise RuntimeError('no help')\ncommand = Odd('broken')",
    "no help",
)
_command(
    "has the name of a built-in",
    _CLICK + "raise RuntimeError('the wrong one')",
    "",
    "the wrong one",
    6,
    "predict",
)

for _name, _body in (
    ("raises", "raise RuntimeError('no luck')"),
    ("ends the process by SystemExit", "raise SystemExit(3)"),
    ("prints", "print('observed')"),
):
    BREAKAGES[f"observer: {_name}"] = Breakage(
        f"{HEAD}@hook\ndef edgevision_inferred(observation):\n    {_body}\n"
    )
BREAKAGES["observer: asks for other arguments"] = Breakage(
    HEAD + "@hook\ndef edgevision_inferred(everything):\n    pass\n", "everything"
)

_SOURCE = "class Broken:\n    name = accepts = 'broken'\n    def recognises(self, source): {}\n    def open(self, source, settings): raise RuntimeError('no luck')\n"
_STREAM = ("stream", "tiny.evb", "broken:camera")
_hook(
    "recognises() raises",
    "frame_sources",
    "return [Broken()]",
    "recognises.*IndexError",
    (),
    _SOURCE.format("return source[99]"),
)
_hook(
    "open() raises",
    "frame_sources",
    "return [Broken()]",
    "",
    (Use(_STREAM, f"{NAMED}: source 'broken': open.*no luck"),),
    _SOURCE.format("return source == 'broken:camera'"),
)
_TRACKER = "class Broken:\n    name = 'broken'\n    summary = 'x'\n    def create(self, *_, **__): raise RuntimeError('no luck')\n"
_hook(
    "create() raises",
    "trackers",
    "return [Broken()]",
    "",
    (
        Use(
            ("stream", "detector.evb", "frames", "--track", "broken"),
            f"{NAMED}: tracker 'broken': create.*no luck",
        ),
    ),
    _TRACKER,
)
_EXPORT = "class Broken:\n    name = '{}'\n    summary = 'x'\n    formats = ('tflite',)\n    def export(self, model): raise RuntimeError('no luck')\n"
_hook(
    "export() raises",
    "export_formats",
    "return [Broken()]",
    "",
    (
        Use(
            ("export", "tiny.evb", "--for", "broken", "-o", "out"),
            f"{NAMED}: export format 'broken': export.*no luck",
        ),
    ),
    _EXPORT.format("broken"),
)
_hook(
    "has the name of a built-in",
    "export_formats",
    "return [Broken()]",
    "'mediapipe' means that of plugin 'tflite'",
    (),
    _EXPORT.format("mediapipe"),
)
_READER = "class Broken:\n    name = 'broken'\n    def reads(self, path): {}\n    def read(self, path, **others): raise RuntimeError('no luck')\n"
_CONVERT = (
    "convert",
    "own.broken",
    "--target",
    "generic-cpu",
    "--evaluation",
    "frames",
    "--precision",
    "float32",
    "-o",
    "made.evb",
)
_hook(
    "reads() raises",
    "readers",
    "return [Broken()]",
    "reads.*KeyError",
    (),
    _READER.format("raise KeyError(path)"),
)
_hook(
    "reads() hangs",
    "readers",
    "return [Broken()]",
    "reads: no answer within 2 s",
    (),
    _READER.format("import time; time.sleep(1000)"),
)
_hook(
    "read() raises",
    "readers",
    "return [Broken()]",
    "",
    (Use(_CONVERT, f"{NAMED}: reader 'broken': read.*no luck"),),
    _READER.format("return path.suffix == '.broken'"),
)
_CONVERTER = "class Broken:\n    name = 'broken'\n    kind = 'keras'\n    format = 'tflite'\n    precisions = {}\n    def convert(self, *_): ...\n"
_hook(
    "has no precisions",
    "converters",
    "return [Broken()]",
    "the precisions None",
    (),
    _CONVERTER.format("None"),
)
_hook(
    "has words of a wrong type",
    "converters",
    "return [Broken()]",
    "precision_words",
    (),
    _CONVERTER.format("('float32',)\n    precision_words = ('int4',)"),
)
