"""CIFAR-10 as arrays: from Keras's own loader, or from a folder or zip with a folder a class."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import click
import cv2
import numpy as np
from numpy.typing import NDArray

#: Keras's loader numbers the classes in this order, which is also that of the alphabet.
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
SIZE = 32


@dataclass(frozen=True)
class LabelledImages:
    """Images, and the class of each.

    Attributes:
        pixels: (n, 32, 32, 3) uint8 RGB.
        labels: (n,) int64, places in `class_names`.
        class_names: in the order of the alphabet.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]

    def sample(self, count: int | None) -> LabelledImages:
        """At most `count` images, as many of each class as can be; the same ones every time."""
        if count is None or count >= len(self.labels):
            return self
        shuffled = np.random.default_rng(0).permutation(len(self.labels))
        seen = np.zeros(len(self.class_names), np.int64)
        rank = np.empty(len(shuffled), np.int64)
        for place in shuffled:
            rank[place] = seen[self.labels[place]]
            seen[self.labels[place]] += 1
        chosen = np.sort(np.lexsort((self.labels, rank))[:count])
        return LabelledImages(self.pixels[chosen], self.labels[chosen], self.class_names)


def load_images(path: Path | None, split: str, limit: int | None = None) -> LabelledImages:
    """Load a part of the data set.

    Args:
        path: a folder, or a zip, that holds a folder a class; `None` is Keras's own loader, which
            downloads the data set once.
        split: ``train`` or ``test``: which part of it Keras's loader gives.
        limit: at most so many images.

    Raises:
        click.ClickException: there are no images, or one of another size or format.
    """
    images = _from_keras(split) if path is None else _from_files(path)
    return images.sample(limit)


@contextmanager
def image_folder(path: Path | None, split: str, limit: int | None = None) -> Iterator[Path]:
    """The images of `load_images` as files, for programs that read files: `path`, or a temporary folder."""
    if path is not None:
        yield path
        return
    with TemporaryDirectory(prefix="cifar10-") as folder:
        write_images(load_images(None, split, limit), Path(folder))
        yield Path(folder)


def write_images(images: LabelledImages, folder: Path) -> None:
    """Write images as PNG files, a folder a class."""
    for name in images.class_names:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, (image, label) in enumerate(zip(images.pixels, images.labels, strict=True)):
        _, png = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        (folder / images.class_names[label] / f"{number:05}.png").write_bytes(png.tobytes())


def _from_keras(split: str) -> LabelledImages:
    import keras

    pixels, labels = dict(zip(("train", "test"), keras.datasets.cifar10.load_data(), strict=True))[split]
    return LabelledImages(pixels, labels.ravel().astype(np.int64), CLASS_NAMES)


def _from_files(path: Path) -> LabelledImages:
    names, pixels = [], []
    for name, content in _files(path):
        names.append(PurePosixPath(name).parent.name)
        pixels.append(_decode(content, f"{path}: {name}"))
    if not pixels:
        raise click.ClickException(f"{path}: no images; expected a folder a class, with images in it")
    class_names, labels = np.unique(names, return_inverse=True)
    return LabelledImages(np.stack(pixels), labels.astype(np.int64), tuple(map(str, class_names)))


def _files(path: Path) -> Iterable[tuple[str, bytes]]:
    """(name, content) of every image, sorted by name."""
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        yield from ((file.relative_to(path).as_posix(), file.read_bytes()) for file in found)
        return
    if not zipfile.is_zipfile(path):
        raise click.ClickException(f"{path}: expected a folder or a zip")
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        for name in sorted(archive.namelist()):
            if PurePosixPath(name).suffix.lower() in SUFFIXES:
                yield name, archive.read(name)


def _decode(content: bytes, name: str) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if image is None or image.shape[:2] != (SIZE, SIZE):
        got = "no image" if image is None else f"{image.shape[1]}×{image.shape[0]}"
        raise click.ClickException(f"{name}: expected an image of {SIZE}×{SIZE} pixels, got {got}")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
