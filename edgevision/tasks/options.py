"""What a caller says of a model's task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgevision.errors import OptionError
from edgevision.imaging.input_options import InputOptions
from edgevision.tasks.description import GenerateTask


@dataclass(frozen=True)
class TaskOptions:
    """What the caller says of a network's task. `None` leaves a field to what is found.

    Attributes:
        image: what its input takes.
        labels: a text file with a class a line.
        output: of a classifier: name of the output with the scores, where there are several.
        score_kind: of a classifier: ``softmax``, ``sigmoid`` or ``logits``.
        decoder: of a detector: name of the decoder.
        decoder_settings: of a detector: what the decoder is to know beside what it recognises.
        annotations: of a detector, or of a classifier with independent scores: the objects in the
            evaluation images: a COCO JSON file, or a folder of Pascal VOC XML files.
        thresholds: of a detector: ``score_threshold``, ``iou_threshold``, ``max_detections``.
        output_range: of a network that makes images: (low, high), the values of black and white.
        fit, overlap: of such a network: as in `ImageToImageSettings`.
        truth: of such a network: a folder or zip with what it should make of each evaluation
            image, under the same name.
        generation: of a network that makes images of a vector or of noise: what it does, of the
            kind ``latent`` or ``diffusion``.
    """

    image: InputOptions = field(default_factory=InputOptions)
    labels: Path | None = None
    output: str | None = None
    score_kind: str | None = None
    decoder: str | None = None
    decoder_settings: Mapping[str, Any] = field(default_factory=dict)
    annotations: Path | None = None
    thresholds: Mapping[str, Any] = field(default_factory=dict)
    output_range: tuple[float, float] | None = None
    fit: str = "tiles"
    overlap: int | None = None
    truth: Path | None = None
    generation: GenerateTask | None = None

    def __post_init__(self) -> None:
        if self.generation is not None and self.generation.kind == "image-to-image":
            raise OptionError(
                "generation: expected a task of the kind latent or diffusion; a network that makes an image "
                "of an image needs --output-range alone"
            )
