"""Charts of values with their confidence intervals: one row per model, or one row per class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgevision.metrics.intervals import Interval
from edgevision.reporting.svg import LETTER, Drawing, Scale, shortened

_ROW, _TOP, _AXIS = 30, 8, 34
_PLOT, _SMALL_PLOT, _VALUES = 400, 340, 190
#: Height of a class in a chart by class: its margin, and each of its marks.
_CLASS_MARGIN, _CLASS_MARK = 12, 8
_LONGEST = 30
_LEAST_LABELS = 84


@dataclass(frozen=True)
class Row:
    """A value of a chart.

    Attributes:
        label: name of the model or class.
        value: the value.
        interval: its confidence interval, if measured.
        text: value and interval as text.
        of_source: whether it is the source's value, which has a hollow mark.
    """

    label: str
    value: float
    interval: Interval | None
    text: str
    of_source: bool = False


@dataclass(frozen=True)
class ChartAxis:
    """The axis of a chart.

    Attributes:
        title: such as ``accuracy, %``.
        factor: factor from values to the numbers on the axis.
        limit: required value, drawn as a dashed line.
        zero: whether to include 0, drawn as a line.
    """

    title: str
    factor: float = 100.0
    limit: float | None = None
    zero: bool = False


#: (model, one value per class), one pair per model.
Series = Sequence[tuple[str, Sequence[Row | None]]]


def interval_chart(
    name: str, title: str, axis: ChartAxis, rows: Sequence[Row], show_values: bool = True
) -> str:
    """Values as marks, with their intervals as error bars.

    Args:
        name: unique on the page.
        title: title of the chart.
        axis: axis of the values.
        rows: one or more.
        show_values: whether to write each value beside its row; otherwise the chart is smaller.
    """
    left = _label_width([row.label for row in rows])
    plot, beside = (_PLOT, _VALUES) if show_values else (_SMALL_PLOT, 14)
    scale = _scale(axis, rows, left, plot)
    height = _TOP + _ROW * len(rows)
    drawing = Drawing(name, left + plot + beside, height + _AXIS, title, _describe(axis, rows))
    _draw_axis(drawing, scale, axis, height)
    for place, row in enumerate(rows):
        middle = _TOP + _ROW * (place + 0.5)
        drawing.text((left - 14, middle + 4), shortened(row.label, _LONGEST), "label", "end")
        _draw_whisker(drawing, scale, axis.factor, row.interval, middle)
        drawing.mark((scale(row.value * axis.factor), middle), "source" if row.of_source else "artifact")
        if show_values:
            drawing.text((left + plot + 16, middle + 4), row.text, "value")
    return str(drawing)


def class_chart(
    name: str,
    title: str,
    axis: ChartAxis,
    labels: Sequence[str],
    series: Series,
) -> str:
    """One row per class, with one mark per model in a shape of its own; the source's is a hollow circle.

    Args:
        name, title, axis: as in `interval_chart`.
        labels: names of the classes.
        series: values of each model, the source first.
    """
    left = _label_width(labels)
    rows = [row for _, values in series for row in values if row is not None]
    scale = _scale(axis, rows, left, _PLOT)
    top, step = 30, _CLASS_MARGIN + _CLASS_MARK * len(series)
    height = top + step * len(labels)
    description = f"{axis.title} by class; the table below lists the values."
    drawing = Drawing(name, left + _PLOT + _VALUES, height + _AXIS, title, description)
    _draw_axis(drawing, scale, axis, height, top)
    _draw_legend(drawing, [model for model, _ in series], left)
    for place, label in enumerate(labels):
        row_top = top + step * place
        drawing.line((left, row_top), (left + _PLOT, row_top), "grid")
        drawing.text((left - 14, row_top + step / 2 + 4), shortened(label, _LONGEST), "label", "end")
        for shape, (_, values) in enumerate(series):
            row = values[place]
            if row is not None:
                # One below the other, so that equal values do not hide each other.
                y = row_top + (_CLASS_MARGIN + _CLASS_MARK) / 2 + _CLASS_MARK * shape
                kind = "source" if row.of_source else "artifact"
                drawing.mark((scale(row.value * axis.factor), y), kind, shape)
    return str(drawing)


def _label_width(labels: Sequence[str]) -> float:
    longest = max((min(len(label), _LONGEST) for label in labels), default=0)
    return max(_LEAST_LABELS, LETTER * longest + 22)


def _scale(axis: ChartAxis, rows: Sequence[Row], left: float, width: float) -> Scale:
    values = [row.value for row in rows]
    values += [end for row in rows if row.interval for end in (row.interval.low, row.interval.high)]
    values += [] if axis.limit is None else [axis.limit]
    values += [0.0] if axis.zero else []
    return Scale.over([value * axis.factor for value in values], left, left + width)


def _draw_axis(drawing: Drawing, scale: Scale, axis: ChartAxis, bottom: float, top: float = _TOP) -> None:
    for tick in scale.ticks:
        kind = "zero" if axis.zero and tick == 0 else "grid"
        drawing.line((scale(tick), top), (scale(tick), bottom), kind)
        drawing.text((scale(tick), bottom + 15), scale.label(tick), "tick", "middle")
    drawing.text((scale.start, bottom + 30), axis.title, "tick")
    if axis.limit is not None:
        x = scale(axis.limit * axis.factor)
        drawing.line((x, top - 4), (x, bottom + 2), "limit")
        drawing.text((scale.end, bottom + 30), "dashed line: limit", "tick", "end")


def _draw_whisker(
    drawing: Drawing, scale: Scale, factor: float, interval: Interval | None, middle: float
) -> None:
    if interval is None:
        return
    low, high = scale(interval.low * factor), scale(interval.high * factor)
    drawing.line((low, middle), (high, middle), "whisker")
    for end in (low, high):
        drawing.line((end, middle - 5), (end, middle + 5), "whisker")


def _draw_legend(drawing: Drawing, models: Sequence[str], left: float) -> None:
    x = left
    for shape, model in enumerate(models):
        drawing.mark((x + 6, 10), "source" if shape == 0 else "artifact", shape)
        drawing.text((x + 16, 14), shortened(model, _LONGEST), "tick")
        x += 34 + LETTER * min(len(model), _LONGEST)


def _describe(axis: ChartAxis, rows: Sequence[Row]) -> str:
    limit = "" if axis.limit is None else f" Limit: {axis.limit * axis.factor:.6g}."
    return f"{axis.title}. " + "; ".join(f"{row.label}: {row.text}" for row in rows) + "." + limit
