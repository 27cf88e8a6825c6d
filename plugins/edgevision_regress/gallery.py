"""A gallery of enrolled images: who, or what, is in another image, or that it is nobody who was enrolled."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgevision.tasks.api import InputError, OptionError, json_document, real_number, write_file
from edgevision_regress.embedding import Embedder, Embedding, similarities

#: What a file of a gallery says that it is.
_FORMAT, _VERSION = "edgevision-gallery", 1
_MOST_BYTES = 1_000_000_000
#: How far the length of a stored vector may be from 1, by the rounding of its numbers.
_ROUNDING = 1e-3


class Identity(NamedTuple):
    """The answer of a gallery about an image.

    Attributes:
        name: of the most similar enrolled image, or `None`: unknown, because none is similar enough.
        similarity: their cosine, -1…1.
        nearest: the name of that image, whether it is similar enough or not.
    """

    name: str | None
    similarity: float
    nearest: str

    def __str__(self) -> str:
        return f"{self.name or 'unknown'} ({self.nearest} {self.similarity:.3f})"


class Gallery:
    """Enrolled images under names, and the similarity from which another image is one of them.

    May be shared between threads.

    Args:
        model: gives the embeddings.
        threshold: the lowest cosine of two images of the same name, -1…1, such as `verification_threshold`
            finds on labelled images.

    Raises:
        OptionError: the model is no embedder, or the threshold no such number.
    """

    def __init__(self, model: Embedder, threshold: float) -> None:
        self.model = _checked_model(model)
        self.threshold = _checked_threshold(threshold)
        self._enrolled: list[tuple[str, Embedding]] = []
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        """The enrolled names, in the order of their first image."""
        return list(dict.fromkeys(name for name, _ in self._enrolled))

    def __len__(self) -> int:
        return len(self._enrolled)

    def enrol(self, name: str, *images: Any) -> None:
        """Add images under a name, beside those that it has.

        Args:
            name: any text but an empty one.
            images: each as `edgevision.Classifier` takes it.

        Raises:
            OptionError: there is no name, or no image.
            InputError, InferenceError: an image cannot be read, or the network fails; none is added.
        """
        if not isinstance(name, str) or not name.strip() or not _is_text(name):
            raise OptionError(f"name: expected text, got {name!r:.80}")
        if not images:
            raise OptionError(f"enrol: expected one image of '{name}' or more")
        found = [(name, self.model(image)) for image in images]
        with self._lock:
            self._enrolled = [*self._enrolled, *found]

    def remove(self, name: str) -> None:
        """Remove all images of a name.

        Raises:
            OptionError: nothing is enrolled under it.
        """
        with self._lock:
            kept = [one for one in self._enrolled if one[0] != name]
            if len(kept) == len(self._enrolled):
                raise OptionError(
                    f"nothing is enrolled as '{name}'; there are: {', '.join(self.names) or 'none'}"
                )
            self._enrolled = kept

    def identify(self, image: Any) -> Identity:
        """Who an image shows: the name of the most similar one, or unknown.

        Args:
            image: as `edgevision.Classifier` takes it.

        Raises:
            OptionError: nothing is enrolled.
            InputError, InferenceError: the image cannot be read, or the network fails.
        """
        enrolled = self._enrolled
        if not enrolled:
            raise OptionError("the gallery is empty; enrol an image first")
        cosines = similarities([self.model(image)], [one for _, one in enrolled])[0]
        best = int(cosines.argmax())
        nearest, similarity = enrolled[best][0], float(cosines[best])
        return Identity(nearest if similarity >= self.threshold else None, similarity, nearest)

    def save(self, path: str | Path) -> None:
        """Write the gallery as JSON, which replaces a file of that name in one step.

        Raises:
            OutputError: it cannot be written.
        """
        rows = [{"name": name, "embedding": one.vector.tolist()} for name, one in self._enrolled]
        document = {
            "format": _FORMAT,
            "version": _VERSION,
            "bundle_digest": self.model.bundle_digest,
            "threshold": self.threshold,
            "enrolled": rows,
        }
        write_file(path, json.dumps(document, ensure_ascii=False).encode())

    @classmethod
    def load(cls, path: str | Path, model: Embedder) -> Gallery:
        """Read a gallery that was saved.

        Args:
            path: the file.
            model: the one that gave its embeddings: those of another network mean something else.

        Raises:
            InputError: it cannot be read, or is no gallery.
            OptionError: it was made with another bundle, or the model is no embedder.
        """
        _checked_model(model)
        document = json_document(path, _MOST_BYTES)
        if not isinstance(document, dict) or (document.get("format"), document.get("version")) != (
            _FORMAT,
            _VERSION,
        ):
            raise InputError(f"{path}: is not a gallery that this version reads; enrol the images again")
        if document.keys() != {"format", "version", "bundle_digest", "threshold", "enrolled"}:
            raise InputError(f"{path}: has other fields than a gallery; enrol the images again")
        if document["bundle_digest"] != model.bundle_digest:
            raise OptionError(
                f"{path}: its embeddings are of another bundle, and cannot be compared with those of this "
                "one; load that bundle, or enrol the images again"
            )
        try:
            gallery = cls(model, document["threshold"])
            gallery._enrolled = [_row(row) for row in document["enrolled"]]
            similarities(*[[one for _, one in gallery._enrolled] or [Embedding(_ONE)]] * 2)  # of one length
        except (OptionError, TypeError, ValueError, KeyError) as error:
            raise InputError(f"{path}: is damaged: {error}; enrol the images again") from error
        return gallery


_ONE: NDArray[np.float32] = np.ones(1, np.float32)


def _is_text(name: str) -> bool:
    """False for the name of a file that is no text, which no gallery could be saved with."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _row(row: Any) -> tuple[str, Embedding]:
    if not isinstance(row, dict) or row.keys() != {"name", "embedding"} or not isinstance(row["name"], str):
        raise ValueError(f"expected a name and an embedding, got {row!r:.80}")
    vector = np.array([real_number(number, "embedding") for number in row["embedding"]], np.float32)
    if not row["name"].strip() or vector.ndim != 1 or abs(np.linalg.norm(vector) - 1) > _ROUNDING:
        raise ValueError(f"the embedding of '{row['name']:.40}' is no vector of length 1")
    return row["name"], Embedding(vector)


def _checked_threshold(threshold: float) -> float:
    number = real_number(threshold, "threshold")
    if not -1 <= number <= 1:
        raise OptionError(f"threshold: expected a cosine, -1 to 1, got {number:g}")
    return number


class VerificationThreshold(NamedTuple):
    """A threshold for the cosine of two images, and what it does on labelled ones.

    Attributes:
        threshold: the lowest cosine of two images that count as the same.
        true_accept: share of the pairs with one label that it accepts.
        false_accept: share of the pairs with two labels that it accepts.
        same, different: the number of these pairs.
    """

    threshold: float
    true_accept: float
    false_accept: float
    same: int
    different: int


def verification_threshold(
    embeddings: Sequence[Embedding], labels: Sequence[str], most_false_accepts: float = 0.01
) -> VerificationThreshold:
    """The lowest threshold that accepts no more than a share of the pairs with different labels.

    Args:
        embeddings: of labelled images, other ones than those that it is used on.
        labels: who or what each shows.
        most_false_accepts: share of the pairs with different labels, 0…1. With n such pairs none below 1 / n
            can be told from 0.

    Raises:
        OptionError: the share is no such number, the lengths differ, or there are no pairs of both kinds.
    """
    share = real_number(most_false_accepts, "most_false_accepts")
    if not 0 <= share < 1:
        raise OptionError(f"most_false_accepts: expected 0 or more, and less than 1, got {share:g}")
    if len(labels) != len(embeddings):
        raise OptionError(f"labels: expected one for each of {len(embeddings)} embeddings, got {len(labels)}")
    same, different = pair_cosines(embeddings, labels)
    if not len(same) or not len(different):
        raise OptionError("expected two images with one label, and two with different ones")
    threshold = threshold_of(different, share)
    return VerificationThreshold(
        threshold,
        float((same >= threshold).mean()),
        float((different >= threshold).mean()),
        len(same),
        len(different),
    )


def pair_cosines(
    embeddings: Sequence[Embedding], labels: Sequence[str] | NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The cosines of all pairs of images with one label, and of all with two."""
    cosines, names = similarities(embeddings, embeddings), np.asarray(labels)
    rows, columns = np.triu_indices(len(names), 1)
    is_same = names[rows] == names[columns]
    found = cosines[rows, columns]
    return found[is_same], found[~is_same]


def threshold_of(different: NDArray[np.float64], share: float) -> float:
    """The lowest cosine above which no more than a share of those of different labels lie."""
    allowed = int(share * len(different) + 1e-9)
    highest = np.sort(different)[::-1]
    # The next number above one that must not be accepted: ties with it are not, either.
    return float(np.nextafter(highest[allowed], 2.0)) if allowed < len(different) else -1.0


def _checked_model(model: Embedder) -> Embedder:
    if not isinstance(model, Embedder):
        raise OptionError(
            f"model: expected an Embedder, as edgevision.load gives for a bundle of --task embed, got "
            f"{type(model).__name__}"
        )
    return model
