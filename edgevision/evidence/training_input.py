"""The source on images as its training read them, compared with images as a device reads them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edgevision.metrics.comparison import Comparison, Metric


@dataclass(frozen=True)
class TrainingInputEvidence:
    """The change by decoder and preprocessing, before any conversion.

    Attributes:
        functions: that read the images as the training does, in words.
        images: number of evaluation images that were measured.
        evaluation_images: number of images in the evaluation set.
        unread: images of the sample that these functions cannot read, or not to the same purpose.
        comparison: of the source on images as its training reads them (`Metric.source`) with the same source
            on images as EdgeVision reads them, there and on the device (`Metric.artifact`).
    """

    functions: str
    images: int
    evaluation_images: int
    unread: int
    comparison: Comparison

    @property
    def measured_on(self) -> str:
        """Such as ``1000 of 5000 evaluation images; 3 others could not be read in this way``."""
        text = f"{self.images} of {self.evaluation_images} evaluation images"
        return f"{text}; {self.unread} others could not be read in this way" if self.unread else text

    @property
    def main_metric(self) -> Metric | None:
        """The task's main metric; `None` without ground truth."""
        return self.comparison.metrics[0] if self.comparison.metrics else None

    @property
    def differs(self) -> bool:
        """True if the images show that the main metric differs, in either direction."""
        metric = self.main_metric
        interval = None if metric is None else metric.drop_interval
        return interval is not None and not interval.low <= 0 <= interval.high

    def steps(self, results: Iterable[tuple[str, Comparison]]) -> list[tuple[str, Comparison]]:
        """(step, what it changes): decoder and preprocessing first, then the conversion to each artifact.

        Args:
            results: (artifact, its comparison with the source), one per artifact.
        """
        converted = ((f"conversion: {name}", comparison) for name, comparison in results)
        return [("decoder and preprocessing", self.comparison), *converted]
