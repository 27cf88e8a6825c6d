"""Renders the page of a report: everything in one file, which asks nothing of any network."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from edgevision.errors import MissingRuntimeError
from edgevision.metrics.formatting import between, drop_of, in_unit, size, with_interval
from edgevision.reporting.changes import in_words, rightness, source_in_words
from edgevision.reporting.summary import distance

if TYPE_CHECKING:
    from jinja2 import Environment


def render(facts: Mapping[str, Any]) -> str:
    """The HTML of the page; whatever text is in `facts` is escaped.

    Args:
        facts: what ``templates/report.html`` names.

    Raises:
        MissingRuntimeError: jinja2 is not installed.
    """
    style = files(__package__).joinpath("templates/report.css").read_text(encoding="utf-8")
    return _environment().get_template("report.html").render(style=style, **facts)


def _environment() -> Environment:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise MissingRuntimeError("report", "a report needs jinja2, which is not installed") from error
    environment = Environment(
        loader=PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        between=between,
        change=in_words,
        distance=distance,
        drop=drop_of,
        in_unit=in_unit,
        rightness=rightness,
        size=size,
        source_decision=source_in_words,
    )
    environment.globals.update(with_interval=with_interval)
    return environment
