"""The table of `architectures.py`, from its results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from architectures import LEAST_ACCURACY, LEAST_FLOAT32_AGREEMENT, MARGIN, RUNTIMES, Row

Results = Mapping[tuple[str, ...], Mapping[str, Any]]

_HEADER = (
    "network",
    "accuracy %",
    "runtime",
    "float32 %",
    "int8 %, ours / usual",
    "difference, 95 % interval",
    "MB, ours / usual / float32",
    "time over float32, ours / usual",
    "CPU s, ours / usual",
    "peak GB, ours / usual",
)


def markdown(rows: Sequence[Row], results: Results) -> str:
    """The table, a line per network and runtime, and below it the summary and what failed."""
    lines = [_line(_HEADER), _line(["---"] * len(_HEADER))]
    for row in rows:
        tried = [runtime for runtime in RUNTIMES if (row.id, "convert", runtime, "float32") in results]
        lines += [_line(_cells(row, runtime, results)) for runtime in tried]
    return "\n".join([*lines, "", summary(rows, results), "", *_failures(rows, results)])


def summary(rows: Sequence[Row], results: Results) -> str:
    """The number of networks that are through, and the lines in which ours may be worse."""
    tried = [row for row in rows if (row.id, "train") in results]
    through = [row for row in rows if not any(_causes(row, results))]
    lines = [
        (row, runtime) for row in rows for runtime in RUNTIMES if ("measure", runtime) in _steps(row, results)
    ]
    open_lines = [f"{row.name} {runtime}" for row, runtime in lines if not _is_shown(row, runtime, results)]
    untried = len(rows) - len(tried)
    return (
        f"{len(through)} of {len(rows)} networks are through on all runtimes, {untried} were not tried. "
        f"Of {len(lines)} lines, "
        f"{len(open_lines)} do not exclude a loss of over {100 * MARGIN:g} points against the usual converter"
        f"{': ' + ', '.join(open_lines) if open_lines else ''}."
    )


def _steps(row: Row, results: Results) -> dict[tuple[str, ...], Mapping[str, Any]]:
    return {
        key[1:]: result for key, result in results.items() if key[0] == row.id and result["error"] is None
    }


def _causes(row: Row, results: Results) -> Iterator[str]:
    """The reasons for which a network is not through."""
    trained = results.get((row.id, "train"))
    if trained is None or trained["error"]:
        yield f"train: {'not done' if trained is None else trained['error']}"
        return
    if trained.get("accuracy", 1.0) <= LEAST_ACCURACY:
        yield f"accuracy of the source only {trained['accuracy']:.1%}"
    for runtime in RUNTIMES:
        for step in (("convert", runtime, "float32"), ("convert", runtime, "int8"), ("measure", runtime)):
            result = results.get((row.id, *step))
            if result is None or result["error"]:
                yield f"{' '.join(step)}: {'not done' if result is None else result['error']}"
        measured = results.get((row.id, "measure", runtime), {})
        agreement = measured.get("float32", {}).get("agreement", 1.0)
        if agreement < LEAST_FLOAT32_AGREEMENT:
            yield f"{runtime}: float32 agrees on only {agreement:.2%}"


def _is_shown(row: Row, runtime: str, results: Results) -> bool:
    """True if a loss over the margin is excluded; also where the usual converter gives nothing that runs."""
    measured = results[row.id, "measure", runtime]
    plain = results.get((row.id, "plain", runtime, "int8"))
    if "int8" not in measured:
        return False
    if "difference" not in measured:
        return plain is not None and bool(plain["error"])
    return bool(measured["difference"][1] >= -MARGIN)


def _cells(row: Row, runtime: str, results: Results) -> list[str]:
    steps = _steps(row, results)
    measured = steps.get(("measure", runtime), {})
    made = {
        "float32": steps.get(("convert", runtime, "float32"), {}),
        "ours": steps.get(("convert", runtime, "int8"), {}),
        "usual": steps.get(("plain", runtime, "int8"), {}),
    }
    names = {"float32": "float32", "ours": "int8", "usual": "plain"}

    def shown(what: str, scale: float, digits: int, which: Sequence[str] = ("ours", "usual")) -> str:
        return " / ".join(_number(made[each].get(what), scale, digits) for each in which)

    def agreement(which: str) -> str:
        return _number(measured.get(names[which], {}).get("agreement"), 100, 2)

    time = measured.get("float32", {}).get("least_us")
    over = [measured.get(names[each], {}).get("least_us") for each in ("ours", "usual")]
    recipe = " (the usual one)" if made["ours"].get("recipe") == "plain" else ""
    return [
        f"{row.group.split('.')[0]} {row.name}",
        _number(steps.get(("train",), {}).get("accuracy"), 100, 1),
        runtime,
        agreement("float32"),
        f"{agreement('ours')}{recipe} / {agreement('usual')}",
        _difference(measured.get("difference")),
        shown("size", 1e-6, 2, ("ours", "usual", "float32")),
        " / ".join("-" if each is None or not time else f"{each / time:.2f}" for each in over),
        shown("cpu_s", 1, 0),
        shown("peak_mb", 1e-3, 1),
    ]


def _number(value: float | None, scale: float, digits: int) -> str:
    return "-" if value is None else f"{scale * value:.{digits}f}"


def _difference(value: Sequence[float] | None) -> str:
    if value is None:
        return "-"
    middle, low, high = (100 * number for number in value)
    return f"{middle:+.2f} ({low:+.2f} … {high:+.2f})"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _failures(rows: Sequence[Row], results: Results) -> Iterator[str]:
    for row in rows:
        for cause in _causes(row, results) if (row.id, "train") in results else ():
            yield f"- {row.group} {row.name}: {cause}"
