"""Known answers: a few inputs, and what each artifact of a bundle must give for them.

They are kept as the artifact's own output tensors, so that they serve every task. A driver, a
delegate or a processor that computes something else is caught on the device itself.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.backend import Slot
from edgevision.errors import BundleError, InferenceError
from edgevision.imaging.preprocess import Preprocessing, Preprocessor
from edgevision.session import CheckedSession
from edgevision.tensors import Array

#: How far a number may be from the known one, as a share of the range that the known answers of
#: its tensor span: kernels for other processors sum in another order, and integer kernels round a
#: step the other way here and there.
TOLERANCE: Mapping[str, float] = {"float32": 0.001, "float16": 0.02}
_TOLERANCE_OF_INTEGERS = 0.1

Outputs = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class KnownImages:
    """Images that a network is asked about.

    Attributes:
        images: uint8 ``(n, height, width, 3)``, RGB, of the network's own size.
        preprocessing: the bundle's.
    """

    images: NDArray[np.uint8]
    preprocessing: Preprocessing

    def __len__(self) -> int:
        return len(self.images)

    def write(self, place: int, session: CheckedSession, slot: Slot) -> None:
        """Write the image at `place` into a slot for one."""
        spec = session.inputs[0]
        Preprocessor(self.preprocessing, spec)(self.images[place], slot.inputs[spec.name][0])


@dataclass(frozen=True, eq=False)
class KnownTensors:
    """What a network is asked that takes no image.

    Attributes:
        tensors: input name -> float32 ``(n, …)``, real numbers.
    """

    tensors: Mapping[str, NDArray[np.float32]]

    def __len__(self) -> int:
        return min(map(len, self.tensors.values()), default=0)

    def write(self, place: int, session: CheckedSession, slot: Slot) -> None:
        """Write the tensors at `place` into a slot for one."""
        for spec in session.inputs:
            slot.inputs[spec.name][...] = spec.quantize(self.tensors[spec.name][place : place + 1])


KnownInputs = KnownImages | KnownTensors


@dataclass(frozen=True, eq=False)
class KnownAnswers:
    """Known answers of a bundle.

    Attributes:
        known_inputs: what the network is asked.
        outputs: artifact id -> output name -> float32 ``(n, …)``, dequantized.
    """

    known_inputs: KnownInputs
    outputs: Mapping[str, Outputs]


def write_selftest(selftest: KnownAnswers) -> bytes:
    """The content of ``selftest.npz``; artifact ids and the names of tensors hold no ``/``."""
    known_inputs = selftest.known_inputs
    arrays: dict[str, Any] = (
        {"images": known_inputs.images}
        if isinstance(known_inputs, KnownImages)
        else {f"inputs/{name}": values for name, values in known_inputs.tensors.items()}
    )
    for artifact, outputs in selftest.outputs.items():
        arrays.update({f"{artifact}/{name}": values for name, values in outputs.items()})
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def read_known_answers(content: bytes, preprocessing: Preprocessing | None, where: str) -> KnownAnswers:
    """Read the content of ``selftest.npz``.

    Args:
        content: of the file.
        preprocessing: the bundle's; `None` if its network takes no image.
        where: the file, for errors.

    Raises:
        BundleError: it is no such file.
    """
    outputs: dict[str, dict[str, NDArray[np.float32]]] = {}
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            for name in arrays.files:
                artifact, _, output = name.partition("/")
                if output:
                    outputs.setdefault(artifact, {})[output] = arrays[name]
            inputs = outputs.pop("inputs", {})
            if preprocessing is None:
                return KnownAnswers(KnownTensors(inputs), outputs)
            return KnownAnswers(KnownImages(arrays["images"], preprocessing), outputs)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise BundleError(f"{where}: is no self-test: {error}") from error


def compute_answers(session: CheckedSession, known_inputs: KnownInputs) -> Outputs:
    """What an artifact gives for the known_inputs of a self-test: output name -> float32 ``(n, …)``."""
    rows: dict[str, list[Array]] = {output.name: [] for output in session.outputs}
    for place in range(len(known_inputs)):
        with session.lease(1) as slot:
            known_inputs.write(place, session, slot)
            given = slot.run()
        for output in session.outputs:
            rows[output.name].append(output.dequantize(given[output.name]))
    return {name: np.concatenate(parts) for name, parts in rows.items()}


def check_known_answers(
    session: CheckedSession, selftest: KnownAnswers, artifact: str, precision: str
) -> float:
    """Run a bundle's self-test on the device in hand.

    Args:
        session: one artifact of the bundle, loaded.
        selftest: the bundle's known answers.
        artifact: the artifact's id.
        precision: the artifact's precision.

    Returns:
        The largest difference from a known answer, as a share of its tensor's range.

    Raises:
        BundleError: the self-test holds no answers of this artifact.
        InferenceError: an answer differs by more than the precision allows.
    """
    known = selftest.outputs.get(artifact, {})
    if set(known) != {spec.name for spec in session.outputs} or not _fits(selftest.known_inputs, session):
        raise BundleError(f"the self-test holds no answers of artifact '{artifact}'; convert again")
    given = compute_answers(session, selftest.known_inputs)
    difference = max(_difference(given[name], known[name]) for name in known)
    tolerance = TOLERANCE.get(precision, _TOLERANCE_OF_INTEGERS)
    if not difference <= tolerance:
        raise InferenceError(
            f"artifact '{artifact}' does not give its known answers on {session.backend} {session.device}: "
            f"off by {difference:.3g} of an output's range, allowed is {tolerance:.3g}; "
            f"do not use this device before the cause is found"
        )
    return difference


def _fits(known_inputs: KnownInputs, session: CheckedSession) -> bool:
    return isinstance(known_inputs, KnownImages) or set(known_inputs.tensors) == {
        s.name for s in session.inputs
    }


def _difference(given: Array, known: Array) -> float:
    span = float(np.ptp(known)) or 1.0
    if given.shape != known.shape or not np.isfinite(given).all():
        return math.inf
    return float(np.abs(given - known).max()) / span
