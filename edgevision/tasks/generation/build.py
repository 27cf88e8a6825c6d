"""Generators of the kind that a manifest describes."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.errors import OptionError
from edgevision.imaging.preprocess import Preprocessing
from edgevision.session import CheckedSession
from edgevision.tasks.description import GenerateTask
from edgevision.tasks.generation.diffusion import DiffusionGenerator
from edgevision.tasks.generation.image_to_image import ImageToImage
from edgevision.tasks.generation.latent import LatentGenerator

#: Generates images from a seed alone.
SeedGenerator = LatentGenerator | DiffusionGenerator

#: Call an `ImageToImage` with an image, the others' ``sample(count, seed, condition)``.
#: All return `edgevision.tasks.generation.images.GeneratedImages`.
Generator = ImageToImage | SeedGenerator


def build_generator(
    session: CheckedSession, task: GenerateTask, preprocessing: Preprocessing | None, labels: Sequence[str]
) -> Generator:
    """The generator of the task's kind.

    Args:
        session: the network.
        task: its task.
        preprocessing: for ``image-to-image``; the other kinds have no image input.
        labels: one name per class, or none.

    Raises:
        OptionError: the network's tensors, the preprocessing or the labels are wrong for the task.
    """
    if task.kind == "image-to-image":
        if preprocessing is None:
            raise OptionError("image-to-image: expected preprocessing for the input, got none")
        return ImageToImage(session, task, preprocessing)
    if preprocessing is not None:
        raise OptionError(f"{task.kind}: expected no preprocessing: the network has no image input")
    return seed_generator(session, task, labels)


def seed_generator(session: CheckedSession, task: GenerateTask, labels: Sequence[str]) -> SeedGenerator:
    """The generator of a task of the kind ``latent`` or ``diffusion``.

    Raises:
        OptionError: the network's tensors or the labels are wrong for the task.
    """
    kind = LatentGenerator if task.kind == "latent" else DiffusionGenerator
    return kind(session, task, labels)
