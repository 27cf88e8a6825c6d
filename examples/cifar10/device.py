"""From the trained model to artifacts for devices, and what they answer, with EdgeVision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import edgevision
import numpy as np
from edgevision.bundle import read_bundle
from edgevision.conversion import ConversionSettings

from data import LabelledImages
from report import Answers

CALIBRATION_SAMPLES = 500


def convert(
    source: Path,
    bundle: Path,
    *,
    targets: Sequence[str],
    precisions: Sequence[str],
    calibration: Path,
    evaluation: Path,
    evaluation_samples: int | None,
    force: bool,
) -> None:
    """Convert a Keras model into a bundle with an artifact for each target and precision.

    Args:
        source: the ``.keras`` file.
        bundle: ``NAME.evb``, to be written.
        targets: names of device profiles.
        precisions: that each target gets.
        calibration: images that set the ranges of int8 activations.
        evaluation: images that the artifacts are compared with the model on.
        evaluation_samples: at most so many of them; `None` is all.
        force: replace a bundle that is there.
    """
    edgevision.convert(
        source,
        bundle,
        targets=targets,
        precisions=precisions,
        calibration=calibration,
        evaluation=evaluation,
        settings=ConversionSettings(
            calibration_samples=CALIBRATION_SAMPLES, evaluation_samples=evaluation_samples, force=force
        ),
    )


def artifact_answers(bundle: Path, images: LabelledImages) -> Iterator[Answers]:
    """What each artifact of a bundle answers, run by the runtime that it was proved on."""
    for artifact in read_bundle(bundle).manifest.artifacts:
        backend = artifact.backends[-1]
        with edgevision.load(bundle, backend=backend, precision=artifact.precision) as model:
            predicted = [found.top()[0].class_id for found in model(images.pixels)]
        yield Answers(f"{backend} {artifact.precision}", np.array(predicted, np.int64))
