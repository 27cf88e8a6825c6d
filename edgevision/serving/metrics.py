"""Counters of a server, as text for Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator

from edgevision.health import STATES
from edgevision.serving.models import REFUSED, SWAPPED, ServedModel, ServedModels

#: Upper ends of the buckets of a request's time, in seconds.
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ServeMetrics:
    """Counts requests; used by the event loop alone.

    Args:
        models: what is served.
    """

    def __init__(self, models: ServedModels) -> None:
        self._models = models
        self._requests: Counter[tuple[str, str, str, int]] = Counter()
        self._buckets: dict[tuple[str, str, str], list[int]] = defaultdict(
            lambda: [0] * (len(_BUCKETS_S) + 1)
        )
        self._total_s: Counter[tuple[str, str, str]] = Counter()

    def add(self, route: str, model: ServedModel | None, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            route: what was asked, such as ``infer``.
            model: that was found, if any: names that clients make up are not kept.
            status: of HTTP.
            seconds: from its head to its answer.
        """
        name, version = ("", "") if model is None else model.bundle[:2]
        self._requests[route, name, version, status] += 1
        if status == 200:
            key = route, name, version
            self._buckets[key][bisect_left(_BUCKETS_S, seconds)] += 1
            self._total_s[key] += seconds  # type: ignore[assignment]  # a Counter of floats

    def text(self) -> str:
        """All metrics in Prometheus' text format, version 0.0.4."""
        return "\n".join([*self._request_lines(), *self._model_lines()]) + "\n"

    def _request_lines(self) -> Iterator[str]:
        name = "edgevision_serve_requests_total"
        yield from _head(name, "Requests by route, model and HTTP status.", "counter")
        for (route, model, version, status), count in sorted(self._requests.items()):
            yield f'{name}{{route="{route}",model="{model}",version="{version}",status="{status}"}} {count}'
        name = "edgevision_serve_request_seconds"
        yield from _head(name, "Time of requests that were answered, from their head on.", "histogram")
        for (route, model, version), counts in sorted(self._buckets.items()):
            labels = f'route="{route}",model="{model}",version="{version}"'
            below = 0
            for end, count in zip((*map(str, _BUCKETS_S), "+Inf"), counts, strict=True):
                below += count
                yield f'{name}_bucket{{{labels},le="{end}"}} {below}'
            yield f"{name}_sum{{{labels}}} {self._total_s[route, model, version]:.9g}"
            yield f"{name}_count{{{labels}}} {below}"

    def _model_lines(self) -> Iterator[str]:
        models = [
            (f'model="{one.bundle.name}",version="{one.bundle.version}"', one) for one in self._models.all()
        ]
        for name, (kind, text) in _OF_MODELS.items():
            yield from _head(name, text, kind)
            for labels, model in models:
                for more, value in _values(name, model):
                    yield f"{name}{{{labels}{more}}} {value}"


_OF_MODELS = {
    "edgevision_serve_queue_length": ("gauge", "Requests that wait for a slot of a model."),
    "edgevision_serve_requests_in_progress": ("gauge", "Requests that were taken and are not answered yet."),
    "edgevision_serve_batches_total": ("counter", "Runs of a model's network for tensors."),
    "edgevision_serve_batch_rows_total": ("counter", "Rows in these runs."),
    "edgevision_serve_replacements_total": (
        "counter",
        "Bundles that took the place of another, or could not.",
    ),
    "edgevision_serve_restarts_total": ("counter", "Replaced processes of an isolated runtime."),
    "edgevision_serve_health": ("gauge", "1 for the state of a model's health."),
    "edgevision_serve_info": ("gauge", "What answers."),
}


def _values(name: str, model: ServedModel) -> Iterator[tuple[str, int]]:
    """Further labels and values of one metric of a model."""
    current = model.current
    if name == "edgevision_serve_queue_length":
        yield "", current.queue.waiting
    elif name == "edgevision_serve_requests_in_progress":
        yield "", current.queue.in_progress
    elif name == "edgevision_serve_batches_total":
        yield "", model.batches
    elif name == "edgevision_serve_batch_rows_total":
        yield "", model.rows
    elif name == "edgevision_serve_replacements_total":
        yield from ((f',outcome="{one}"', model.replacements[one]) for one in (SWAPPED, REFUSED))
    elif name == "edgevision_serve_restarts_total":
        yield "", model.restarts
    elif name == "edgevision_serve_health":
        state = current.model.health(check=False).state
        yield from ((f',state="{one}"', int(one == state)) for one in STATES)
    else:
        yield "".join(f',{key}="{value}"' for key, value in current.facts().items()), 1


def _head(name: str, text: str, kind: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
