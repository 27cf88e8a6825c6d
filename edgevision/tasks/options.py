"""The task of a model, as far as the caller states it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgevision.errors import OptionError
from edgevision.imaging.input_options import InputOptions
from edgevision.system.arguments import (
    instance,
    mapping,
    one_path,
    optional_path,
    optional_text,
    text,
    whole_number,
)
from edgevision.system.numeric import is_real, plain, plain_fields
from edgevision.system.shown import shown
from edgevision.tasks.description import GenerateTask
from edgevision.tasks.label_files import stated_labels
from edgevision.tasks.setting_files import read_setting_files


@dataclass(frozen=True)
class TaskOptions:
    """The task of a model, as far as the caller states it. `None` leaves a field to what the model says.

    Attributes:
        image: preprocessing of its input.
        labels: names of the classes: the path of a label file, a list in the network's order, or a dictionary
            of ids and names; see `edgevision.tasks.label_files.stated_labels`.
        output: for a classifier: name of the output with the scores, if there are several outputs.
        score_kind: for a classifier: ``softmax``, ``sigmoid``, or ``logits``.
        decoder: for a detector: name of the decoder.
        decoder_settings: for a detector: settings of the decoder that it does not recognise itself. An array
            such as its anchors may also be the `Path` of a ``.npy`` or ``.json`` file, which is read at once.
        annotations: for a detector, or a classifier with independent scores: the objects in the evaluation
            images: a COCO JSON file, or a folder of Pascal VOC XML files.
        thresholds: for a detector: ``score_threshold``, ``iou_threshold``, ``max_detections``.
        output_range: for a model that generates images: (low, high), the values of black and white.
        fit, overlap: for an image-to-image model: as in `ImageToImageSettings`.
        truth: for an image-to-image model: a folder or zip with the expected output for each evaluation
            image, under the same name.
        generation: for a model that generates images from a vector or from noise: a ``latent`` or
            ``diffusion`` task.
        task: name of the kind of task, such as ``classify`` or a plugin's; `None` finds it in the model.
        task_options: options of that kind, by name; see `edgevision.tasks.kind.TaskKind.options`.

    Raises:
        OptionError: a field has a wrong value; names it.
    """

    image: InputOptions = field(default_factory=InputOptions)
    labels: str | Path | Sequence[str] | Mapping[Any, Any] | None = None
    output: str | None = None
    score_kind: str | None = None
    decoder: str | None = None
    decoder_settings: Mapping[str, Any] = field(default_factory=dict)
    annotations: str | Path | None = None
    thresholds: Mapping[str, Any] = field(default_factory=dict)
    output_range: Sequence[float] | None = None
    fit: str = "tiles"
    overlap: int | None = None
    truth: str | Path | None = None
    generation: GenerateTask | None = None
    task: str | None = None
    task_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        instance(self.image, InputOptions, "image")
        for name in ("output", "score_kind", "decoder", "task"):
            object.__setattr__(self, name, optional_text(getattr(self, name), name))
        object.__setattr__(self, "fit", text(self.fit, "fit"))
        mapping(self.thresholds, "thresholds")
        if self.generation is not None:
            instance(self.generation, GenerateTask, "generation")
        if isinstance(self.labels, (str, os.PathLike)):
            object.__setattr__(self, "labels", one_path(self.labels, "labels"))
        elif self.labels is not None:
            object.__setattr__(self, "labels", stated_labels(self.labels))
        for name in ("annotations", "truth"):
            object.__setattr__(self, name, optional_path(getattr(self, name), name))
        object.__setattr__(self, "decoder_settings", read_setting_files(self.decoder_settings))
        object.__setattr__(self, "task_options", read_setting_files(self.task_options))
        plain_fields(self, "decoder_settings", "thresholds", "task_options")
        if self.output_range is not None:
            object.__setattr__(self, "output_range", _output_range(self.output_range))
        if self.overlap is not None:
            object.__setattr__(self, "overlap", whole_number(self.overlap, "overlap", least=0))
        if self.generation is not None and self.generation.kind == "image-to-image":
            raise OptionError(
                "generation: expected a latent or diffusion task; an image-to-image model needs only "
                "--output-range"
            )


def _output_range(values: Sequence[float]) -> tuple[float, float]:
    try:
        numbers = plain(values)
    except OptionError as error:
        raise OptionError(f"output_range: {error}") from error
    if not isinstance(numbers, (list, tuple)) or len(numbers) != 2 or not all(map(is_real, numbers)):
        raise OptionError(f"output_range: expected two numbers, low and high, got {shown(values, 200)}")
    return float(numbers[0]), float(numbers[1])
