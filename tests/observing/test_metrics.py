"""Metrics as text: read by Prometheus' own parser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgevision as ev
from edgevision.errors import InputError, OptionError, OutputError
from edgevision.observation import Observation, observers
from edgevision.testing.models import fake_classifier

parser = pytest.importorskip("prometheus_client.parser", reason="needs prometheus_client")

PHOTO = np.zeros((8, 8, 3), np.uint8)
RUN = {"backend": "fake", "device": "cpu", "precision": "float32"}


def samples(metrics: ev.Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = list(parser.text_string_to_metric_families(metrics.text()))
    assert all(family.documentation for family in families)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def at(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted({**RUN, **labels}.items()))


def test_answers_failures_and_drops_are_counted_by_what_ran() -> None:
    model = fake_classifier(["a", "b"], [0.25, 0.75])
    with ev.observe(ev.Metrics()) as metrics:
        model(PHOTO)
        model([PHOTO, PHOTO])
        with pytest.raises(InputError):
            model(b"no image")
        for status in ("abstained: black frame", "stale", "dropped: newer frame", "dropped: too old"):
            observers.tell(Observation(model, status, times_ms={"inference": 3.0}))
    found = samples(metrics)
    for status, count in {"ok": 3, "failed": 1, "abstained": 1, "stale": 1}.items():
        assert found[at("edgevision_answers_total", status=status)] == count
    assert found[at("edgevision_dropped_frames_total", cause="newer frame")] == 1
    assert found[at("edgevision_stage_seconds_count", stage="inference")] == 2
    assert found[at("edgevision_stage_seconds_sum", stage="inference")] == pytest.approx(0.006)
    assert found[at("edgevision_stage_seconds_bucket", stage="inference", le="0.0025")] == 0
    assert found[at("edgevision_stage_seconds_bucket", stage="inference", le="0.005")] == 2
    assert found[at("edgevision_stage_seconds_bucket", stage="inference", le="+Inf")] == 2
    assert found[at("edgevision_stage_seconds_count", stage="call")] == 4
    assert found["edgevision_info", (("version", ev.__version__),)] == 1
    assert found[at("edgevision_last_answer_timestamp_seconds")] > 1.7e9


def test_labels_are_escaped_and_bounded() -> None:
    metrics = ev.Metrics()
    for number in range(2000):
        metrics.edgevision_dropped(
            Observation(None, f'dropped: "{number}"\n\\', times_ms={f"s{number}": 1.0})
        )
        metrics.edgevision_inferred(Observation(None, "ok", times_ms={f"s{number}": 1.0}))
    found = samples(metrics)
    drops = {dict(labels)["cause"]: n for (name, labels), n in found.items() if "dropped" in name}
    assert drops['"0"\n\\'] == 1
    assert sum(drops.values()) == 2000
    assert len(drops) <= 501
    assert len(found) < 20_000


def test_the_text_is_written_in_one_step(tmp_path: Path) -> None:
    metrics = ev.Metrics()
    metrics.write(tmp_path / "edgevision.prom")
    assert (tmp_path / "edgevision.prom").read_text() == metrics.text()
    assert [path.name for path in tmp_path.iterdir()] == ["edgevision.prom"]
    with pytest.raises(OutputError):
        metrics.write(tmp_path / "missing" / "edgevision.prom")
    bad: Any = 3
    with pytest.raises(OptionError):
        metrics.write(bad)
