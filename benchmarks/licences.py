"""Write ``docs/licences.md``: the licence of every distribution that an extra installs.

    python benchmarks/licences.py > docs/licences.md

The licences are those that the distributions' metadata states: of those that are installed here from their
files, of the others from the wheel that pip fetches. `tests/test_licences.py` compares the page with
what is installed.
"""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from edgevision.system.distributions import canonical, is_copyleft, licence_of

ROOT = Path(__file__).resolve().parents[1]
OWN = "edgevision"
#: tflite-runtime has wheels for no later one.
PYTHON = "3.11"
#: Extras that no device and no workstation needs: tests, development and comparisons.
FOR_TESTS = ("benchmarks", "conformance", "device-tests", "dev")
#: What wheels contain beside their own code: remark, and the licence of that.
CONTENTS = {
    "av": ("its wheels contain FFmpeg with the encoders x264 and x265", "GPL-2.0-or-later"),
    "numpy": (
        "its wheels contain OpenBLAS, and libgfortran with the runtime exception of its GPL",
        "BSD-3-Clause",
    ),
    "opencv-python-headless": ("its wheels contain FFmpeg, as shared libraries", "LGPL-2.1-or-later"),
    "pi-heif": (
        "its wheels contain libheif and libde265, as shared libraries, and no encoder",
        "LGPL-3.0-only",
    ),
    "supervision": (
        "it needs av: FFmpeg with the encoders x264 and x265",
        "GPL-2.0-or-later",
    ),
    "onnxruntime-gpu": (
        "its extras cuda and cudnn bring libraries under NVIDIA's own licences",
        "proprietary",
    ),
}
#: Names of libraries in wheels -> the licence that reaches what is built with them.
LIBRARIES = {"x264": "GPL", "x265": "GPL", "avcodec": "LGPL", "de265": "LGPL", "heif": "LGPL"}
WEAK = re.compile(r"LGPL|MPL|EPL|Lesser General|Mozilla|Eclipse", re.IGNORECASE)

HEAD = """# Licences of what EdgeVision installs

EdgeVision itself is under Apache-2.0. Every distribution that one of its extras installs directly is listed,
with the licence that its metadata states. "weak copyleft" asks for its own terms for changes of the library
itself (LGPL, MPL), "copyleft" for all that is built with it (GPL): the extras `video` and `track` bring some,
as shared libraries in the wheels of `av`. "kind" counts what wheels contain, too. This is no legal advice.

This page is the output of one command, and `tests/test_licences.py` compares it with what is installed:

```bash
python benchmarks/licences.py > docs/licences.md
```
"""
TABLE = "| distribution | installed by | licence | kind | remarks |\n| --- | --- | --- | --- | --- |"
IN_TURN = """
## Installed by these in turn

Only those whose licence is not permissive, or that state none.

| distribution | licence | kind |
| --- | --- | --- |"""


def direct() -> dict[str, set[str]]:
    """Canonical name of each distribution -> the extras that install it; empty text for the core."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lists = {"": config["options"]["install_requires"], **config["options.extras_require"]}
    found: dict[str, set[str]] = {}
    for extra, text in lists.items():
        for line in filter(None, map(str.strip, text.splitlines())):
            name = "" if line.startswith("#") else canonical(Requirement(line).name)
            if name not in ("", OWN):
                found.setdefault(name, set()).add(extra)
    return found


def kind_of(licence: str) -> str:
    """How far a licence reaches: ``permissive``, ``weak copyleft``, ``copyleft`` or ``not stated``."""
    if not licence:
        return "not stated"
    if not is_copyleft(licence):
        return "permissive"
    return "weak copyleft" if WEAK.search(licence) else "copyleft"


def kind_with_contents(name: str, licence: str) -> str:
    """The kind of a distribution: of its licence, or of what its wheels contain if that reaches farther."""
    kinds = ("proprietary parts", "copyleft", "weak copyleft", "not stated", "permissive")
    _, contained = CONTENTS.get(name, ("", ""))
    found = {
        kind_of(licence),
        "proprietary parts" if contained == "proprietary" else kind_of(contained or "none"),
    }
    return next(kind for kind in kinds if kind in found)


def remark(name: str) -> str:
    """The remark on what the wheels of a distribution contain."""
    text, contained = CONTENTS.get(name, ("", ""))
    return f"{text} ({contained})" if text else ""


def licence(name: str) -> str:
    """The licence of a distribution, installed or not."""
    try:
        return licence_of(metadata.distribution(name))
    except metadata.PackageNotFoundError:
        with tempfile.TemporaryDirectory() as folder:
            return licence_of(metadata.Distribution.at(_downloaded(name, Path(folder))))


def _downloaded(name: str, folder: Path) -> Path:
    """The metadata of a distribution that is not installed: its newest wheel is fetched by pip."""
    options = [
        "--no-deps",
        "--quiet",
        "--only-binary",
        ":all:",
        "--python-version",
        PYTHON,
        "-d",
        str(folder),
    ]
    subprocess.run([sys.executable, "-m", "pip", "download", *options, name], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (member,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        return Path(archive.extract(member, folder)).parent


def indirect(names: set[str]) -> set[str]:
    """The installed distributions that these require in turn, with the extras that are asked for."""
    todo, seen = [(name, "") for name in names], set()
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            rows = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for each in map(Requirement, rows):
            if each.marker is None or each.marker.evaluate({"extra": extra}):
                todo += [(canonical(each.name), wanted) for wanted in ("", *each.extras)]
    return {name for name, _ in seen} - names - {OWN}


def rows(found: Mapping[str, set[str]]) -> Iterator[str]:
    """The rows of the table, sorted by name."""
    for name in sorted(found):
        stated = licence(name)
        extras = ", ".join(f"`{extra}`" if extra else "core" for extra in sorted(found[name]))
        yield f"| {name} | {extras} | {stated} | {kind_with_contents(name, stated)} | {remark(name)} |"


def main() -> None:
    """Print the page."""
    found = direct()
    product = {name: extras for name, extras in found.items() if extras - set(FOR_TESTS)}
    others = {name: extras for name, extras in found.items() if name not in product}
    print(HEAD)
    for heading, part in (("Devices and workstations", product), ("Tests and development alone", others)):
        print(f"## {heading}\n", TABLE, *rows(part), "", sep="\n")
    print(IN_TURN.removeprefix("\n"), *rows_in_turn(found), sep="\n")


def rows_in_turn(found: Mapping[str, set[str]]) -> Iterator[str]:
    """The rows of what is installed here because a distribution of the tables requires it."""
    for name in sorted(indirect(set(found))):
        try:
            stated = licence_of(metadata.distribution(name))
        except metadata.PackageNotFoundError:  # for another system or another Python
            continue
        if kind_of(stated) != "permissive":
            yield f"| {name} | {stated or 'not stated'} | {kind_of(stated)} |"


if __name__ == "__main__":
    main()
