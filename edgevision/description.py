"""The description of a model that its artifact carries, and how a backend writes and reads it.

Formats have metadata of their own, which other programs read: TFLite Metadata, ``rt_info``,
``metadata_props``. None of them can say all that a bundle says. So an artifact carries two descriptions:
the complete one, under the key `KEY`, which EdgeVision reads; and what the format's other readers
understand, as far as it is true of the model in their hands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol, runtime_checkable

from edgevision.artifact import DESCRIPTION_KEY, Artifact
from edgevision.errors import ArtifactError
from edgevision.system.shown import shown

#: Name of the complete description in an artifact's metadata.
KEY = DESCRIPTION_KEY
_VERSION = 1
_LARGEST_BYTES = 16_000_000


@dataclass(frozen=True)
class ModelDescription:
    """A model as its bundle describes it, in the JSON values of a manifest.

    Attributes:
        task: the task; ``name`` is ``classify``, ``detect`` or ``generate``.
        preprocessing: from an image to the network's input; `None` for a network that takes no image.
        labels: one name per class.
        score_calibration: temperature and operating point of the artifact; `None` for none.
    """

    task: Mapping[str, Any]
    preprocessing: Mapping[str, Any] | None
    labels: tuple[str, ...]
    score_calibration: Mapping[str, Any] | None = None

    def to_json(self) -> str:
        """The description as one line of JSON, the same for the same description."""
        import json  # a process that loads a bare file waits for it only if the file is ours

        document = {"version": _VERSION, **{field.name: getattr(self, field.name) for field in fields(self)}}
        return json.dumps(document, allow_nan=False, separators=(",", ":"))

    @property
    def pixel_normalization(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """(mean, scale) of pixels 0…255: the network's input is ``(p - mean) / scale``.

        Each has one value for all channels, or one per channel in the order of the network's input. `None`
        for a network that takes no image.
        """
        how = self.preprocessing
        if how is None:
            return None
        low, high = how["value_range"]
        per_value = 255 / (high - low)
        return (
            tuple((mean - low) * per_value for mean in how["mean"]),
            tuple(scale * per_value for scale in how["scale"]),
        )

    @property
    def temperature(self) -> float | None:
        """The divisor of a classifier's logits; `None` if its scores are used unchanged."""
        return None if self.score_calibration is None else self.score_calibration.get("temperature")


def description_from_json(content: bytes, where: str) -> ModelDescription:
    """The description from the text of `ModelDescription.to_json`.

    Only its form is checked here; its values are where a manifest's are.

    Args:
        content: UTF-8.
        where: the artifact's name, for errors.

    Raises:
        ArtifactError: it is damaged, of an unknown version, or has an unknown field.
    """
    from edgevision.system.strict_json import JsonError, read_json

    if len(content) > _LARGEST_BYTES:
        raise ArtifactError(f"{where}: its description has {len(content)} bytes; convert the model again")
    try:
        document = read_json(content)
    except JsonError as error:
        raise ArtifactError(f"{where}: its description is not valid JSON: {error}; copy it again") from error
    known = {field.name for field in fields(ModelDescription)}
    if not isinstance(document, dict) or document.pop("version", None) != _VERSION or set(document) != known:
        raise ArtifactError(
            f"{where}: its description is none that this release reads (version {_VERSION}); install the "
            f"release of EdgeVision that converted it, or convert the model again"
        )
    labels, objects = document["labels"], ("task", "preprocessing", "score_calibration")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ArtifactError(
            f"{where}: its description: labels: expected a list of names, got {shown(labels)}"
        )
    for name in objects:
        value = document[name]
        if not (isinstance(value, dict) or (value is None and name != "task")):
            raise ArtifactError(f"{where}: its description: {name}: expected an object, got {shown(value)}")
    return ModelDescription(**{**document, "labels": tuple(labels)})


@dataclass(frozen=True)
class DescribedArtifact:
    """An artifact with its description.

    Attributes:
        artifact: the same network, with the metadata.
        notes: what other programs' metadata cannot say of this model, and what was left out for that.
    """

    artifact: Artifact
    notes: tuple[str, ...] = ()


@runtime_checkable
class SelfDescribingFormat(Protocol):
    """A backend that writes and reads the description in artifacts of its own format.

    Optional: test it with `isinstance(backend, SelfDescribingFormat)`. Neither method needs the runtime.
    """

    def write_description(self, artifact: Artifact, description: ModelDescription) -> DescribedArtifact:
        """Write a description into an artifact, in place of one that it has.

        The network is unchanged: the artifact gives the same outputs, bit by bit. Deterministic.

        Raises:
            ArtifactError: the artifact is damaged.
            MissingRuntimeError: a library that writes the format is not installed.
        """
        ...

    def read_description(self, artifact: Artifact) -> ModelDescription | None:
        """Read what `write_description` wrote; `None` if the artifact has none.

        Raises:
            ArtifactError: the artifact or its description is damaged.
        """
        ...
