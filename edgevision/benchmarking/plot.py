"""Chart of a benchmark, drawn with OpenCV: CPU time by stage, and latency by minute."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.benchmarking.bench import BenchResult
from edgevision.benchmarking.sustained import Minute, Sustained
from edgevision.drawing.colors import class_color

Pixels = NDArray[np.uint8]
Color = tuple[int, int, int]

_WIDTH, _ROW, _LEFT, _BAR_END, _MARGIN = 960, 30, 150, 740, 24
_INK, _FAINT, _LINE = (40, 40, 40), (225, 225, 225), (0, 90, 200)
_CHART_HEIGHT = 200


def draw_bench(result: BenchResult, sustained: Sustained | None = None) -> Pixels:
    """Bars of CPU time for the whole call, the bare runtime, each stage and the rest; then the minutes.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    rows = [
        ("whole call", result.whole.cpu_us),
        ("bare runtime", result.bare.cpu_us),
        *((name, times.cpu_us) for name, times in result.stages.items()),
        ("rest", max(0.0, result.rest_us)),
    ]
    title = f"{result.task} on {result.backend} {result.device}, {result.precision}: CPU time, medians"
    subtitle = (
        f"{result.ratio:.2f} times the bare runtime; throughput "
        f"{result.throughput.percent_of_ceiling:.0f} % of the ceiling"
    )
    parts = [_text_row(title), _bars(rows), _text_row(subtitle)]
    if sustained is not None:
        parts += [_text_row("median wall time by minute, ms"), _minutes(sustained.minutes)]
    margin = np.full((_MARGIN, _WIDTH, 3), 255, np.uint8)
    return np.concatenate([margin, *parts, margin])


def _bars(rows: Sequence[tuple[str, float]]) -> Pixels:
    sheet = _blank(_ROW * len(rows))
    longest = max(value for _, value in rows) or 1.0
    for place, (name, value) in enumerate(rows):
        top = place * _ROW
        end = _LEFT + round((_BAR_END - _LEFT) * value / longest)
        cv2.rectangle(
            sheet, (_LEFT, top + 6), (max(end, _LEFT + 1), top + 24), class_color(place), cv2.FILLED
        )
        _write(sheet, name, (_MARGIN, top + 20))
        _write(sheet, _milliseconds(value), (end + 10, top + 20))
    return sheet


def _minutes(minutes: Sequence[Minute]) -> Pixels:
    sheet = _blank(_CHART_HEIGHT)
    values = [minute.times.wall_us for minute in minutes]
    high = max(values) * 1.1
    floor, span = _CHART_HEIGHT - _ROW, _CHART_HEIGHT - 2 * _ROW
    cv2.line(sheet, (_LEFT, floor), (_BAR_END, floor), _FAINT, 1)
    step = (_BAR_END - _LEFT) / max(1, len(values) - 1)
    points = [(_LEFT + round(step * place), floor - round(span * v / high)) for place, v in enumerate(values)]
    cv2.polylines(sheet, [np.array(points, np.int32)], False, _LINE, 2, cv2.LINE_AA)
    for point in points:
        cv2.circle(sheet, point, 3, _LINE, cv2.FILLED, cv2.LINE_AA)
    _write(sheet, _milliseconds(values[-1]), (_BAR_END + 10, points[-1][1]))
    _write(sheet, f"1 to {len(values)} min", (_LEFT, _CHART_HEIGHT - 8))
    return sheet


def _text_row(text: str) -> Pixels:
    sheet = _blank(_ROW)
    _write(sheet, text, (_MARGIN, 20))
    return sheet


def _blank(height: int) -> Pixels:
    return np.full((height, _WIDTH, 3), 255, np.uint8)


def _write(sheet: Pixels, text: str, place: tuple[int, int]) -> None:
    cv2.putText(sheet, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA)


def _milliseconds(value_us: float) -> str:
    return f"{value_us / 1e3:.3f} ms"
