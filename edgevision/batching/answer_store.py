"""The answers of an evaluation that is in progress, bit by bit, so that a killed run goes on from them.

Scores and boxes are kept; of other tasks' answers nothing is: these are computed again.
"""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import OutputError
from edgevision.system.array_files import read_npz
from edgevision.system.files import remove_file, write_file
from edgevision.system.reading import MOST_MODEL_BYTES, memory_bytes, read_file
from edgevision.tasks.detections import Detections

#: A file is closed at this many blocks, or when its first one is this old.
_BLOCKS, _SECONDS = 256, 30.0
_PATTERN = "answers-[0-9][0-9][0-9][0-9][0-9][0-9].npz"
_SCORES, _COUNTS, _BOXES, _CLASSES, _SPACING = "scores", "counts", "boxes", "classes", "spacing"


class AnswerStore:
    """Answers of a model about blocks of images, by the content of these images.

    Args:
        folder: of the run; its files are ``answers-000000.npz`` and so on.
        model: what answers: digests of the bundle and the artifact, backend and device.
        labels: one name per class, of boxes.

    Raises:
        OutputError: a file of it is damaged.
    """

    def __init__(self, folder: Path, model: tuple[str, ...], labels: tuple[str, ...]) -> None:
        self._folder = folder
        self._model = model
        self._labels = labels
        self._kept: dict[str, Mapping[str, NDArray[Any]]] = {}
        self._pending: dict[str, Mapping[str, NDArray[Any]]] = {}
        self._pending_since_s = 0.0
        self._files = sorted(folder.glob(_PATTERN))
        for path in self._files:
            self._read(path)

    def find(self, block: ImageSet) -> Sequence[Any] | None:
        """The answers about a block, one per image; `None` if there are none."""
        arrays = self._kept.get(self._key(block))
        return None if arrays is None else _answers(arrays, self._labels)

    def add(self, block: ImageSet, answers: Sequence[Any]) -> None:
        """Keep the answers about a block, if they are of a kind that can be kept.

        Raises:
            OutputError: they cannot be written.
        """
        arrays = _arrays(answers, self._labels)
        if arrays is None:
            return
        if not self._pending:
            self._pending_since_s = time.monotonic()
        self._pending[self._key(block)] = arrays
        if len(self._pending) >= _BLOCKS or time.monotonic() - self._pending_since_s > _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is pending.

        Raises:
            OutputError: it cannot be written.
        """
        if not self._pending:
            return
        number = 1 + max((int(path.stem.rpartition("-")[2]) for path in self._files), default=-1)
        path = self._folder / f"answers-{number:06}.npz"
        content = io.BytesIO()
        named = {
            f"{key}.{name}": array for key, arrays in self._pending.items() for name, array in arrays.items()
        }
        np.savez(content, allow_pickle=False, **named)
        write_file(path, content.getvalue())
        self._files.append(path)
        self._pending = {}

    def remove(self) -> None:
        """Remove all files: the evaluation is done."""
        for path in self._folder.glob(_PATTERN):
            remove_file(path)

    def _key(self, block: ImageSet) -> str:
        return blake2b("".join((*self._model, *block.digests)).encode(), digest_size=16).hexdigest()

    def _read(self, path: Path) -> None:
        try:
            arrays = read_npz(read_file(path, MOST_MODEL_BYTES), memory_bytes())
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(
                f"{path}: cannot be read: {reason}; remove it, and run again: its images are worked on "
                "once more"
            ) from error
        blocks: dict[str, dict[str, NDArray[Any]]] = {}
        for name, array in arrays.items():
            key, _, field = name.partition(".")
            blocks.setdefault(key, {})[field] = array
        self._kept |= blocks


def _arrays(answers: Sequence[Any], labels: tuple[str, ...]) -> Mapping[str, NDArray[Any]] | None:
    """The answers as arrays; `None` if they are of another kind."""
    if all(isinstance(one, np.ndarray) and one.ndim == 1 and one.dtype.kind == "f" for one in answers):
        is_even = len({(one.shape, one.dtype) for one in answers}) == 1
        return {_SCORES: np.stack(answers)} if is_even else None
    if all(isinstance(one, Detections) and one.class_names == labels for one in answers):
        spacing = [
            (np.nan, np.nan) if one.pixel_spacing_mm is None else one.pixel_spacing_mm for one in answers
        ]
        return {
            _COUNTS: np.array([len(one) for one in answers], np.int64),
            _BOXES: np.concatenate([one.boxes_xyxy for one in answers]),
            _SCORES: np.concatenate([one.scores for one in answers]),
            _CLASSES: np.concatenate([one.class_ids for one in answers]),
            _SPACING: np.array(spacing, np.float64),
        }
    return None


def _answers(arrays: Mapping[str, NDArray[Any]], labels: tuple[str, ...]) -> Sequence[Any]:
    if _COUNTS not in arrays:
        return list(arrays[_SCORES])
    ends = np.cumsum(arrays[_COUNTS])[:-1]
    columns = (np.split(arrays[name], ends) for name in (_BOXES, _SCORES, _CLASSES))
    spacings = (None if np.isnan(row[0]) else (float(row[0]), float(row[1])) for row in arrays[_SPACING])
    return [
        Detections(boxes, scores, classes, labels, spacing)
        for boxes, scores, classes, spacing in zip(*columns, spacings, strict=True)
    ]
