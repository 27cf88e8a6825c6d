"""Ground truth of maps of values: a file for each image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.tasks.api import ImageSet, InputError, decode_frame, read_file, read_npy, read_npz
from edgevision_regress.depth import DepthTask, Values

_MOST_BYTES = 1_000_000_000


def read_maps(path: str | Path, images: ImageSet, task: DepthTask) -> list[Values]:
    """The ground truth of each image, from the file in `path` whose name is the image's, but for its suffix.

    ``.npy``, ``.npz`` with one array, and ``.tif`` or ``.tiff`` of floats hold values in the task's unit; a
    grey ``.png`` of 16 bits holds steps of `DepthTask.png_step`. 0 and what is not finite is no value.

    Args:
        path: a folder.
        images: whose maps are wanted; each has the size of its image, or another of the same shape.
        task: of the model.

    Returns:
        float32 ``(height, width)`` each, with NaN where there is no value.

    Raises:
        InputError: a map is missing, there are two, or it cannot be read.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise InputError(f"{path}: expected a folder with a map for each image")
    return [_map_of(folder, name, task) for name in images.image_names]


def _map_of(folder: Path, name: str, task: DepthTask) -> Values:
    stem = PurePosixPath(name).with_suffix("")
    found = [file for suffix in _READERS if (file := folder / f"{stem}{suffix}").is_file()]
    if len(found) != 1:
        has = f"has {' and '.join(file.name for file in found)}" if found else "has no map"
        raise InputError(f"{folder}: {has} for image '{name}'; expected one of {', '.join(_READERS)}")
    file = found[0]
    try:
        values = _READERS[file.suffix](read_file(file, _MOST_BYTES), str(file), task)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from error
    if values.ndim == 3 and 1 in (values.shape[0], values.shape[2]):
        values = values.reshape(values.shape[:2] if values.shape[2] == 1 else values.shape[1:])
    if values.ndim != 2 or values.dtype.kind not in "iuf":
        raise InputError(f"{file}: expected numbers (height, width), got {values.dtype} {values.shape}")
    known = values.astype(np.float32)
    known[~np.isfinite(known) | (known == 0)] = np.nan
    if np.isnan(known).all():
        raise InputError(f"{file}: has no value but 0, NaN and infinity, which mean none")
    return known


def _png(content: bytes, where: str, task: DepthTask) -> NDArray[Any]:
    pixels = decode_frame(content, where).pixels
    if pixels.dtype != np.uint16:
        raise InputError(
            f"{where}: expected grey values of 16 bits, got {8 * pixels.dtype.itemsize}, which are too "
            "coarse; pass ground truth as .npy, .tiff of floats, or PNG of 16 bits"
        )
    if task.png_step is None:
        raise InputError(
            f"{where}: how much a step of its values is, is not stated; convert with --task-option "
            "png_step=0.001 (of millimetres, in m), or pass ground truth as .npy"
        )
    grey = pixels if pixels.ndim == 2 else pixels[..., 0]
    if pixels.ndim == 3 and (pixels != grey[..., None]).any():
        raise InputError(f"{where}: expected grey values, and it has colours")
    return np.asarray(grey * task.png_step, np.float64)


def _tiff(content: bytes, where: str, task: DepthTask) -> NDArray[Any]:
    pixels = np.asarray(decode_frame(content, where).pixels)
    if pixels.dtype.kind != "f":
        raise InputError(f"{where}: expected floats, got {pixels.dtype}; save integers as 16-bit PNG")
    return pixels


def _npz(content: bytes, where: str, task: DepthTask) -> NDArray[Any]:
    arrays = read_npz(content, _MOST_BYTES)
    if len(arrays) != 1:
        raise InputError(f"{where}: expected one array, and it has {len(arrays)}")
    return next(iter(arrays.values()))


#: Suffix -> from the content, the file's name for errors, and the task to an array.
_READERS: dict[str, Callable[[bytes, str, DepthTask], NDArray[Any]]] = {
    ".npy": lambda content, where, task: read_npy(content),
    ".npz": _npz,
    ".png": _png,
    ".tif": _tiff,
    ".tiff": _tiff,
}
