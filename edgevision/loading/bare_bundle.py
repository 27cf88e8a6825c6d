"""A bare file as a bundle in memory, for what times and compares the artifacts of bundles.

It has one artifact, and for known answers those of the backend that runs the file by default: another
backend that gives others is not faster, but wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.artifact import Artifact
from edgevision.bundle.known_answers import KnownAnswers, KnownImages, compute_answers, write_known_answers
from edgevision.bundle.layout import EVIDENCE, LABELS, SELFTEST
from edgevision.bundle.manifest import ArtifactEntry, FileEntry, Manifest, SourceEntry
from edgevision.bundle.storage import Bundle, file_entry
from edgevision.imaging.preprocess import Preprocessing
from edgevision.loading.bare import BareModel, open_bare
from edgevision.loading.choice import Request, backends_of_format
from edgevision.plugins import Registry
from edgevision.system.machine import now

_IMAGES = 4


@dataclass(frozen=True)
class BareBundle(Bundle):
    """A bundle without files.

    Attributes:
        content: the only artifact.
        known: the content of its file of known answers.
    """

    content: Artifact = field(kw_only=True, repr=False)
    known: bytes = field(kw_only=True, repr=False)

    @property
    def size_wh(self) -> tuple[int, int] | None:
        """Width and height of the image input, which the file itself may leave open."""
        preprocessing = self.manifest.preprocessing
        return None if preprocessing is None else preprocessing.size_wh

    def artifact(self, entry: ArtifactEntry) -> Artifact:
        """The only artifact."""
        return self.content

    def read(self, entry: FileEntry) -> bytes:
        """The known answers: nothing else is kept."""
        return self.known

    def verify(self) -> None:
        """Nothing is read later, so nothing can have changed."""


def bare_bundle(path: Path, request: Request, bare: BareModel, plugins: Registry) -> BareBundle:
    """A bare file as a bundle, with the answers of the backend that runs it by default.

    Args:
        path: the file.
        request: which backend, device and settings that is.
        bare: the options for it.
        plugins: of this process.

    Raises:
        EdgeVisionError: as `edgevision.load`.
    """
    opened = open_bare(path, request, bare, plugins)
    with opened.recognizer(path) as model:
        known_inputs = KnownImages(_images(model.preprocessing), model.preprocessing)
        outputs = compute_answers(model.session, known_inputs)
        inputs, specs = model.session.inputs, model.session.outputs
    artifact = opened.artifact
    digest = artifact.sha256
    known = write_known_answers(KnownAnswers(known_inputs, {path.name: outputs}))
    entry = ArtifactEntry(
        id=path.name,
        format=artifact.format,
        precision=artifact.precision,
        files=tuple(file_entry(name, content) for name, content in artifact.files.items()),
        inputs=inputs,
        outputs=specs,
        targets=(),
        backends=tuple(backends_of_format(artifact.format, plugins)),
        score_calibration=model.fitted_scores,
    )
    labels = "".join(f"{label}\n" for label in model.labels)
    manifest = Manifest(
        created=now(),
        task=model.task,
        preprocessing=model.preprocessing,
        source=SourceEntry(path.name, "a bare file, not converted by EdgeVision", digest),
        artifacts=(entry,),
        labels=file_entry(LABELS, labels.encode()),
        selftest=file_entry(SELFTEST, known),
        evidence=file_entry(EVIDENCE, b""),
    )
    return BareBundle(path, manifest, model.labels, digest, content=artifact, known=known)


def _images(preprocessing: Preprocessing) -> NDArray[Any]:
    """Images of different contrast, always the same, as `KnownImages` has them."""
    width, height = preprocessing.size_wh
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (_IMAGES, height, width, 3), np.uint8)
    images //= np.arange(1, _IMAGES + 1, dtype=np.uint8).reshape(-1, 1, 1, 1)
    return images if preprocessing.mapping.is_plain else images.astype(np.float32) / 255
