"""`Metrics`: counters and latencies of all models of a process, as text for Prometheus."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakSet

from edgevision._version import __version__
from edgevision.health import STATES
from edgevision.hookspecs import hookimpl
from edgevision.observation import Observation, observers
from edgevision.system.arguments import one_path
from edgevision.system.files import write_file

#: Upper ends of the buckets of a latency, in seconds: from a microcontroller's network to a large one.
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
#: Sets of labels of one metric: a cause that holds a number must not fill the memory.
_MOST_LABEL_SETS = 500
_OTHER = "other"
_RUN = ("backend", "device", "precision")

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """An observer that counts: ``with edgevision.observe(edgevision.Metrics()) as metrics: …``.

    It has, with the labels ``backend``, ``device`` and ``precision``:

    - ``edgevision_answers_total``, also by ``status``: ``ok``, ``stale``, ``abstained`` or ``failed``;
    - ``edgevision_dropped_frames_total``, also by ``cause``;
    - ``edgevision_stream_events_total``, also by ``kind``, such as ``lost`` and ``reconnected``;
    - ``edgevision_models_loaded_total``;
    - ``edgevision_stage_seconds``, a histogram, also by ``stage``: ``call`` for the whole call of a model,
      or the stages of a stream;
    - ``edgevision_last_answer_timestamp_seconds``: time of the last answer, to find a model that hangs;
    - of models whose health is checked by a schedule, ``edgevision_health``, the number of them in each
      ``state`` (see `Health`), and ``edgevision_restarts``, how often their processes were replaced.

    Without labels: ``edgevision_observer_failures_total``, and ``edgevision_info`` with the version. Safe to
    share between threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, Counter[Labels]] = {name: Counter() for name in _COUNTERS}
        self._seconds: dict[Labels, _Histogram] = {}
        self._last_s: dict[Labels, float] = {}
        self._models: WeakSet[Any] = WeakSet()

    @hookimpl
    def edgevision_model_loaded(self, model: Any) -> None:
        """Count a model."""
        self.watch(model)
        self._count("edgevision_models_loaded_total", _run_of(model))

    @hookimpl
    def edgevision_inferred(self, observation: Observation) -> None:
        """Count an answer."""
        self._answer(observation)

    @hookimpl
    def edgevision_failed(self, observation: Observation) -> None:
        """Count a failure."""
        self._answer(observation)

    @hookimpl
    def edgevision_dropped(self, observation: Observation) -> None:
        """Count a frame that was dropped."""
        cause = observation.status.partition(":")[2].strip()
        self._count("edgevision_dropped_frames_total", (*_run_of(observation.model), ("cause", cause)))

    @hookimpl
    def edgevision_stream_event(self, model: Any, event: Any) -> None:
        """Count what happened to a stream's source."""
        self._count("edgevision_stream_events_total", (*_run_of(model), ("kind", event.kind)))

    def watch(self, model: Any) -> None:
        """Include the health of a model that was loaded before this object observed."""
        with self._lock:
            self._models.add(model)

    def text(self) -> str:
        """All metrics in Prometheus' text format, version 0.0.4: the body of its ``/metrics``."""
        health = self._health_lines()
        with self._lock:
            lines = [line for name in _COUNTERS for line in self._counter_lines(name)]
            lines += self._histogram_lines()
            lines += self._gauge_lines()
        lines += health
        return "\n".join(lines) + "\n"

    def write(self, path: str | Path) -> None:
        """Write `text` to a file in one step: a ``.prom`` file for node_exporter's textfile collector.

        Raises:
            OutputError: it cannot be written.
        """
        write_file(one_path(path, "path"), self.text().encode("utf-8"))

    def _answer(self, observation: Observation) -> None:
        run = _run_of(observation.model)
        status = observation.status.partition(":")[0]
        self._count("edgevision_answers_total", (*run, ("status", status)))
        with self._lock:
            self._last_s[run] = time.time()
            for stage, milliseconds in observation.times_ms.items():
                labels = (*run, ("stage", str(stage)))
                if labels not in self._seconds and len(self._seconds) >= _MOST_LABEL_SETS:
                    continue
                self._seconds.setdefault(labels, _Histogram()).add(float(milliseconds) / 1000)

    def _count(self, name: str, labels: Labels) -> None:
        with self._lock:
            counts = self._counts[name]
            if labels not in counts and len(counts) >= _MOST_LABEL_SETS:
                labels = tuple((key, _OTHER) for key, _ in labels)
            counts[labels] += 1

    def _counter_lines(self, name: str) -> Iterator[str]:
        yield from _head(name, _COUNTERS[name], "counter")
        for labels, count in sorted(self._counts[name].items()):
            yield f"{name}{_labelled(labels)} {count}"

    def _histogram_lines(self) -> Iterator[str]:
        name = "edgevision_stage_seconds"
        yield from _head(name, "Time of one stage of an answer.", "histogram")
        for labels, histogram in sorted(self._seconds.items(), key=lambda pair: pair[0]):
            below = 0
            for end, count in zip((*map(str, _BUCKETS_S), "+Inf"), histogram.counts, strict=True):
                below += count
                yield f"{name}_bucket{_labelled((*labels, ('le', end)))} {below}"
            yield f"{name}_sum{_labelled(labels)} {histogram.total_s:.9g}"
            yield f"{name}_count{_labelled(labels)} {below}"

    def _gauge_lines(self) -> Iterator[str]:
        name = "edgevision_last_answer_timestamp_seconds"
        yield from _head(name, "When the last answer was given, or failed.", "gauge")
        for labels, seconds in sorted(self._last_s.items()):
            yield f"{name}{_labelled(labels)} {seconds:.3f}"
        yield from _head("edgevision_observer_failures_total", "Observers that raised.", "counter")
        yield f"edgevision_observer_failures_total {observers.failures}"
        yield from _head("edgevision_info", "Version of the package.", "gauge")
        yield f"edgevision_info{_labelled((('version', __version__),))} 1"

    def _health_lines(self) -> list[str]:
        with self._lock:
            models = list(self._models)
        states: Counter[Labels] = Counter()
        restarts: Counter[Labels] = Counter()
        for model in models:
            if not model.is_watched:
                continue
            health = model.health(check=False)
            run = tuple((name, getattr(health, name)) for name in _RUN)
            for state in STATES:
                labels = (*run, ("state", state))
                states[labels] += state == health.state
            restarts[run] += health.restarts
        lines: list[str] = []
        for name, values in (("edgevision_health", states), ("edgevision_restarts", restarts)):
            lines += _head(name, _GAUGES[name], "gauge")
            lines += [f"{name}{_labelled(labels)} {count}" for labels, count in sorted(values.items())]
        return lines


class _Histogram:
    """Counts by bucket, and their sum."""

    def __init__(self) -> None:
        self.counts = [0] * (len(_BUCKETS_S) + 1)
        self.total_s = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(_BUCKETS_S, seconds)] += 1
        self.total_s += seconds


_GAUGES: Mapping[str, str] = {
    "edgevision_health": "Models in each state of health.",
    "edgevision_restarts": "Replaced processes of isolated runtimes.",
}
_COUNTERS: Mapping[str, str] = {
    "edgevision_answers_total": "Answers about images, and failures to give one.",
    "edgevision_dropped_frames_total": "Frames of streams that were dropped without an answer.",
    "edgevision_stream_events_total": "Sources of streams that were opened, lost and so on.",
    "edgevision_models_loaded_total": "Models that were loaded.",
}


def _run_of(model: Any) -> Labels:
    session = getattr(model, "session", None)
    return tuple((name, str(getattr(session, name, ""))) for name in _RUN)


def _head(name: str, text: str, kind: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _labelled(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
