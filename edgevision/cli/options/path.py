"""Paths on the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from edgevision.errors import OptionError
from edgevision.system.arguments import one_path


class PathType(click.Path):
    """A path, whether something is there or not.

    An empty one is refused: it is a variable that is not set, and `pathlib` would take it for the current
    folder. So is one that the system refuses, such as a path that is too long.
    """

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Return a `Path`."""
        try:
            return one_path(value, "path")
        except OptionError as error:
            self.fail(str(error).removeprefix("path: "), param, ctx)


#: The type of all arguments and options that are paths.
PATH = PathType()
