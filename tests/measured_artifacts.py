"""Measurements of an artifact, where a test needs no more than its comparison and its requirements."""

from __future__ import annotations

from dataclasses import replace

from edgevision.evidence.records import Measured
from edgevision.evidence.requirements import Requirement
from edgevision.metrics.comparison import Comparison


def measured_artifact(comparison: Comparison, *requirements: Requirement, **facts: object) -> Measured:
    """Measurements of an int8 artifact on TFLite.

    Args:
        comparison: with its source.
        requirements: limits and measured values.
        facts: fields of `Measured` with other values.
    """
    measured = Measured(
        artifact="tflite-int8",
        sha256="3" * 64,
        size_bytes=1000,
        backend="tflite",
        version="ai-edge-litert 2",
        device="cpu",
        precision="int8",
        on_target=True,
        comparison=comparison,
        requirements=requirements,
    )
    return replace(measured, **facts)
