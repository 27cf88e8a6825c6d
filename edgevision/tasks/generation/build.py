"""Generation: the kind of network that a manifest describes, ready to be called."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.errors import OptionError
from edgevision.imaging.preprocess import Preprocessing
from edgevision.session import CheckedSession
from edgevision.tasks.description import GenerateTask
from edgevision.tasks.generation.diffusion import DiffusionGenerator
from edgevision.tasks.generation.image_to_image import ImageToImage
from edgevision.tasks.generation.latent import LatentGenerator

#: Makes images of nothing but a seed.
SeedGenerator = LatentGenerator | DiffusionGenerator

#: Call an `ImageToImage` with an image; of the others ask ``sample(count, seed, condition)``.
#: All give `edgevision.tasks.generation.images.GeneratedImages`.
Generator = ImageToImage | SeedGenerator


def build_generator(
    session: CheckedSession, task: GenerateTask, preprocessing: Preprocessing | None, labels: Sequence[str]
) -> Generator:
    """The generator of the task's kind.

    Args:
        session: the network.
        task: what it does.
        preprocessing: for ``image-to-image``; the other kinds take no image.
        labels: one name a class, or none.

    Raises:
        OptionError: the network's tensors, the preprocessing or the labels do not fit the task.
    """
    if task.kind == "image-to-image":
        if preprocessing is None:
            raise OptionError("image-to-image: expected a preprocessing for its input, got none")
        return ImageToImage(session, task, preprocessing)
    if preprocessing is not None:
        raise OptionError(f"{task.kind}: takes no image; expected no preprocessing")
    return seed_generator(session, task, labels)


def seed_generator(session: CheckedSession, task: GenerateTask, labels: Sequence[str]) -> SeedGenerator:
    """The generator of a task of the kind ``latent`` or ``diffusion``.

    Raises:
        OptionError: the network's tensors or the labels do not fit the task.
    """
    kind = LatentGenerator if task.kind == "latent" else DiffusionGenerator
    return kind(session, task, labels)
