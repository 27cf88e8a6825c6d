"""Charts of values with their 95 % intervals: a row a model, and a row a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgevision.metrics.intervals import Interval
from edgevision.reporting.svg import LETTER, Drawing, Scale, shortened

_ROW, _TOP, _AXIS = 30, 8, 34
_PLOT, _SMALL_PLOT, _VALUES = 400, 340, 190
#: Of a class in a chart by class: beside its marks, and of each mark.
_CLASS_MARGIN, _CLASS_MARK = 12, 8
_LONGEST = 30
_LEAST_LABELS = 84


@dataclass(frozen=True)
class Row:
    """A value of a chart.

    Attributes:
        label: whose it is.
        value: it.
        interval: 95 %, where it was measured.
        told: the value and its interval in words.
        of_source: whether it is the source's: its mark is hollow.
    """

    label: str
    value: float
    interval: Interval | None
    told: str
    of_source: bool = False


@dataclass(frozen=True)
class ChartAxis:
    """What the values are.

    Attributes:
        title: such as ``accuracy, %``.
        factor: from a value to what the axis shows.
        limit: a bound that was stated, drawn as a broken line.
        zero: whether 0 is shown, as a line.
    """

    title: str
    factor: float = 100.0
    limit: float | None = None
    zero: bool = False


#: (model, a value a class), a pair a model.
Series = Sequence[tuple[str, Sequence[Row | None]]]


def interval_chart(
    name: str, title: str, axis: ChartAxis, rows: Sequence[Row], told_beside: bool = True
) -> str:
    """A mark for each value, and a line over its interval.

    Args:
        name: unique on the page.
        title: of the chart.
        axis: what the values are.
        rows: one or more.
        told_beside: whether each value is written beside its row; else the chart is a small one.
    """
    left = _label_width([row.label for row in rows])
    plot, beside = (_PLOT, _VALUES) if told_beside else (_SMALL_PLOT, 14)
    scale = _scale(axis, rows, left, plot)
    height = _TOP + _ROW * len(rows)
    drawing = Drawing(name, left + plot + beside, height + _AXIS, title, _described(axis, rows))
    _draw_axis(drawing, scale, axis, height)
    for place, row in enumerate(rows):
        middle = _TOP + _ROW * (place + 0.5)
        drawing.text((left - 14, middle + 4), shortened(row.label, _LONGEST), "label", "end")
        _draw_whisker(drawing, scale, axis.factor, row.interval, middle)
        drawing.mark((scale(row.value * axis.factor), middle), "source" if row.of_source else "artifact")
        if told_beside:
            drawing.text((left + plot + 16, middle + 4), row.told, "value")
    return str(drawing)


def class_chart(
    name: str,
    title: str,
    axis: ChartAxis,
    labels: Sequence[str],
    series: Series,
) -> str:
    """A row a class, with a mark for each model, each of its own shape: the source's is a hollow circle.

    Args:
        name, title, axis: as in `interval_chart`.
        labels: of the classes.
        series: the source's first.
    """
    left = _label_width(labels)
    rows = [row for _, values in series for row in values if row is not None]
    scale = _scale(axis, rows, left, _PLOT)
    top, step = 30, _CLASS_MARGIN + _CLASS_MARK * len(series)
    height = top + step * len(labels)
    description = f"{axis.title} of each class; the table below has the numbers."
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
                # One below the other, for values that are the same would hide each other.
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
        drawing.text((scale(tick), bottom + 15), scale.told(tick), "tick", "middle")
    drawing.text((scale.start, bottom + 30), axis.title, "tick")
    if axis.limit is not None:
        x = scale(axis.limit * axis.factor)
        drawing.line((x, top - 4), (x, bottom + 2), "limit")
        drawing.text((scale.end, bottom + 30), "broken line: the limit", "tick", "end")


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


def _described(axis: ChartAxis, rows: Sequence[Row]) -> str:
    limit = "" if axis.limit is None else f" The limit is {axis.limit * axis.factor:.4g}."
    return f"{axis.title}. " + "; ".join(f"{row.label}: {row.told}" for row in rows) + "." + limit
