"""Rendering of the report as one self-contained HTML file that makes no network request."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from edgevision.errors import MissingRuntimeError
from edgevision.evidence.operating_texts import operating_cost
from edgevision.evidence.requirements import status_of
from edgevision.evidence.sample_texts import groups_text, images_text
from edgevision.evidence.temperatures import log_loss_change
from edgevision.metrics.calibration_texts import calibrated_error, calibration_error
from edgevision.metrics.formatting import (
    between,
    drop_of,
    in_unit,
    level,
    method_of,
    points,
    size,
    threshold_text,
    unit_of_points,
    with_interval,
)
from edgevision.reporting.changes import correctness, describe_change, source_prediction
from edgevision.reporting.summary import mark
from edgevision.system.decimals import decimals, percent

if TYPE_CHECKING:
    from jinja2 import Environment


def render(facts: Mapping[str, Any], template: str = "report.html") -> str:
    """The page as HTML, with every text in `facts` escaped.

    Args:
        facts: variables of the template.
        template: name of a file in ``templates``.

    Raises:
        MissingRuntimeError: jinja2 is not installed.
    """
    style = files(__package__).joinpath("templates/report.css").read_text(encoding="utf-8")
    return _environment().get_template(template).render(style=style, **facts)


def _environment() -> Environment:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise MissingRuntimeError("report", "jinja2, which renders the report, is not installed") from error
    environment = Environment(
        loader=PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        area=partial(decimals, digits=4, against=(0, 1)),
        between=between,
        calibrated_error=calibrated_error,
        calibration_error=calibration_error,
        change=describe_change,
        correctness=correctness,
        drop=drop_of,
        groups=groups_text,
        images_text=images_text,
        in_unit=in_unit,
        level=level,
        log_loss_change=log_loss_change,
        mark=mark,
        method_of=method_of,
        percent=percent,
        points=points,
        size=size,
        source_prediction=source_prediction,
        status_of=status_of,
        threshold=threshold_text,
        unit_of_points=unit_of_points,
    )
    environment.globals.update(operating_cost=operating_cost, with_interval=with_interval)
    return environment
