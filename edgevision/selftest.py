"""Known answers: a few inputs, and the scores that each artifact of a bundle must give for them.

A driver, a delegate or a processor that computes something else is caught on the device itself.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import BundleError, InferenceError
from edgevision.tasks.classify import Classifier, Scores

#: How far a score may be from the known one: kernels for other processors sum in another order,
#: and integer kernels may round a step the other way.
TOLERANCE: Mapping[str, float] = {"float32": 0.001, "float16": 0.02}
_TOLERANCE_OF_INTEGERS = 0.1


@dataclass(frozen=True, eq=False)
class Selftest:
    """Known answers of a bundle.

    Attributes:
        images: uint8 ``(n, height, width, 3)``, RGB, of the network's own size.
        scores: artifact id -> float32 ``(n, classes)``.
    """

    images: NDArray[np.uint8]
    scores: Mapping[str, Scores]


def write_selftest(selftest: Selftest) -> bytes:
    """The content of ``selftest.npz``."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {f"scores/{name}": rows for name, rows in selftest.scores.items()}
    np.savez_compressed(buffer, images=selftest.images, **arrays)
    return buffer.getvalue()


def read_selftest(content: bytes, where: str) -> Selftest:
    """Read the content of ``selftest.npz``.

    Raises:
        BundleError: it is no such file.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            names = [name for name in arrays.files if name.startswith("scores/")]
            return Selftest(arrays["images"], {name.removeprefix("scores/"): arrays[name] for name in names})
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise BundleError(f"{where}: is no self-test: {error}") from error


def check_known_answers(model: Classifier, selftest: Selftest, artifact: str, precision: str) -> float:
    """Run a bundle's self-test on the device in hand.

    Args:
        model: one artifact of the bundle, loaded.
        selftest: the bundle's known answers.
        artifact: the artifact's id.
        precision: the artifact's precision.

    Returns:
        The largest difference of a score from the known one.

    Raises:
        BundleError: the self-test holds no answers of this artifact.
        InferenceError: an answer differs by more than the precision allows.
    """
    known = selftest.scores.get(artifact)
    if known is None:
        raise BundleError(f"the self-test holds no answers of artifact '{artifact}'; convert again")
    difference = float(np.abs(model.scores(selftest.images) - known).max())
    tolerance = TOLERANCE.get(precision, _TOLERANCE_OF_INTEGERS)
    if difference > tolerance:
        raise InferenceError(
            f"artifact '{artifact}' does not give its known answers on {model.session.backend} "
            f"{model.session.device}: a score is off by {difference:.3g}, allowed is {tolerance:.3g}; "
            f"do not use this device before the cause is found"
        )
    return difference


def choose_images(scores: Scores, count: int = 8) -> list[int]:
    """Positions of up to `count` images that between them show as many classes as can be.

    The surest image of each class comes first, so that a known answer is not one on the edge.
    """
    tops = scores.argmax(axis=1)
    surest = np.argsort(-scores.max(axis=1), kind="stable")
    first_of_class = [int(next(i for i in surest if tops[i] == c)) for c in np.unique(tops)]
    rest = [int(i) for i in surest if int(i) not in first_of_class]
    return sorted((first_of_class + rest)[:count])
