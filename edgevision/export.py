"""The interface of an export format: a bundle's artifact in the form that another program expects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from edgevision.artifact import Artifact
from edgevision.decoder import Decoder
from edgevision.description import ModelDescription
from edgevision.tensors import TensorSpec


@dataclass(frozen=True)
class ExportedModel:
    """An artifact of a bundle, as an export format gets it.

    Attributes:
        id: of the artifact in its bundle, such as ``tflite-int8``.
        artifact: its files.
        description: the model, with the score calibration of this artifact.
        inputs, outputs: its tensors.
        decoder: of a detector's outputs; `None` for other tasks.
    """

    id: str
    artifact: Artifact
    description: ModelDescription
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    decoder: Decoder | None = None

    @property
    def input_size_wh(self) -> tuple[int, int]:
        """Width and height of the image input."""
        width, height = (self.description.preprocessing or {})["size_wh"]
        return width, height

    @property
    def outputs_of_one_image(self) -> tuple[TensorSpec, ...]:
        """The outputs without the batch dimension, as decoders expect them."""
        return tuple(
            TensorSpec(each.name, each.shape[1:], each.dtype, each.quantization) for each in self.outputs
        )


@dataclass(frozen=True)
class ExportedFiles:
    """What an export format made.

    Attributes:
        artifact: the exported network, with its own description: it is checked against the bundle's.
        others: name -> content of further files, such as a reader's configuration.
        notes: what the caller must know, in sentences.
    """

    artifact: Artifact
    others: Mapping[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class ExportFormat(Protocol):
    """The form of a model that another program expects, provided by a plugin.

    Attributes:
        name: for ``edgevision export --for``.
        summary: the program and the form, in one line.
        formats: formats of the artifacts that it starts from, the preferred one first.
    """

    @property
    def name(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def formats(self) -> tuple[str, ...]: ...

    def export(self, model: ExportedModel) -> ExportedFiles:
        """Write an artifact in this form.

        Raises:
            ConversionError: the program cannot take this model; says what of it.
            ArtifactError: the artifact is damaged.
            MissingRuntimeError: a library that writes the form is not installed.
        """
        ...


def refusal(model: ExportedModel, reader: str, obstacle: str, remedy: str = "") -> str:
    """The message that a program cannot take a model."""
    return f"{model.id}: {reader} cannot take {obstacle}" + (f"; {remedy}" if remedy else "")
