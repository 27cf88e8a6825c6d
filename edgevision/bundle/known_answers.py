"""Known answers: a few inputs, and the outputs that each artifact of a bundle must compute for them.

They are kept as the artifact's own output tensors, so that they serve every task. A driver, a
delegate or a processor that computes something else is caught on the device itself.
"""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.backend import Slot
from edgevision.bundle.expectations import Expectations, read_expectations
from edgevision.errors import BundleError, InferenceError
from edgevision.imaging.frame import Frame
from edgevision.imaging.preprocess import Preprocessing, Preprocessor
from edgevision.session import CheckedSession
from edgevision.system.array_files import read_npz
from edgevision.tensors import Array, TensorSpec

#: Largest difference of a value from the known one, as a share of the range of the tensor's known
#: answers: kernels for other processors sum in another order, and integer kernels may round a step
#: the other way. Where the bundle has a tolerance of the artifact's own, that counts.
TOLERANCE: Mapping[str, float] = {"float32": 0.001, "float16": 0.02}
_TOLERANCE_OF_INTEGERS = 0.1
#: Name before the expectations in the file, where that of an artifact stands before its outputs.
_EXPECTED = "expected"
#: Of all known inputs and answers, unpacked.
_MOST_BYTES = 1 << 30

Outputs = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class KnownImages:
    """Known inputs of a network that takes an image.

    Attributes:
        images: ``(n, height, width, 3)``, RGB, of the size of the network's input: uint8; or, where the
            preprocessing maps values of more bits, float32 from 0 for black to 1 for white.
        preprocessing: the bundle's.
    """

    images: NDArray[Any]
    preprocessing: Preprocessing

    def __len__(self) -> int:
        return len(self.images)

    def disturbed(self, seed: int) -> KnownImages:
        """These images with values that are off by up to one step of 255, at random."""
        random = np.random.default_rng(seed)
        steps = random.integers(-1, 2, self.images.shape)
        if self.images.dtype == np.uint8:
            images = np.clip(self.images + steps, 0, 255).astype(np.uint8)
        else:
            images = np.clip(self.images + steps / 255, 0, 1).astype(self.images.dtype)
        return KnownImages(images, self.preprocessing)

    def write(self, place: int, session: CheckedSession, slot: Slot) -> None:
        """Write the image at `place` into a slot with a batch of one."""
        spec = session.inputs[0]
        image = self.images[place]
        known = image if image.dtype == np.uint8 else Frame(image, levels=(0.0, 1.0))
        Preprocessor(self.preprocessing, spec)(known, slot.inputs[spec.name][0])


@dataclass(frozen=True, eq=False)
class KnownTensors:
    """Known inputs of a network that takes no image.

    Attributes:
        tensors: input name -> float32 ``(n, …)``, real numbers.
    """

    tensors: Mapping[str, NDArray[np.float32]]

    def __len__(self) -> int:
        return min(map(len, self.tensors.values()), default=0)

    def disturbed(self, seed: int) -> KnownTensors:
        """These tensors with values that are off by up to 1/255 of each tensor's range, at random."""
        random = np.random.default_rng(seed)
        return KnownTensors(
            {
                name: (values + random.uniform(-1, 1, values.shape) * np.ptp(values) / 255).astype(np.float32)
                for name, values in self.tensors.items()
            }
        )

    def write(self, place: int, session: CheckedSession, slot: Slot) -> None:
        """Write the tensors at `place` into a slot with a batch of one."""
        for spec in session.inputs:
            slot.inputs[spec.name][...] = spec.quantize(self.tensors[spec.name][place : place + 1])


KnownInputs = KnownImages | KnownTensors


@dataclass(frozen=True, eq=False)
class KnownAnswers:
    """The known answers of a bundle.

    Attributes:
        known_inputs: the inputs.
        outputs: artifact id -> output name -> float32 ``(n, …)``, dequantized.
        expected: what else must come out of the inputs; `None` in bundles of earlier releases.
    """

    known_inputs: KnownInputs
    outputs: Mapping[str, Outputs]
    expected: Expectations | None = None

    def only(self, artifacts: Collection[str]) -> KnownAnswers:
        """The known answers of these artifacts alone, by their ids."""
        outputs = {name: outputs for name, outputs in self.outputs.items() if name in artifacts}
        expected = None if self.expected is None else self.expected.only(artifacts)
        return KnownAnswers(self.known_inputs, outputs, expected)

    def tolerance(self, artifact: str, precision: str, output: str) -> float:
        """Largest difference of a value of an output from the known one, as a share of its range."""
        general = TOLERANCE.get(precision, _TOLERANCE_OF_INTEGERS)
        if self.expected is None:
            return general
        return self.expected.tolerances.get(artifact, {}).get(output, general)


def write_known_answers(known: KnownAnswers) -> bytes:
    """The content of ``selftest.npz``. Artifact ids must not contain a ``/``."""
    known_inputs = known.known_inputs
    arrays: dict[str, Any] = (
        {"images": known_inputs.images}
        if isinstance(known_inputs, KnownImages)
        else {f"inputs/{name}": values for name, values in known_inputs.tensors.items()}
    )
    for artifact, outputs in known.outputs.items():
        arrays.update({f"{artifact}/{name}": values for name, values in outputs.items()})
    if known.expected is not None:
        arrays.update({f"{_EXPECTED}/{name}": values for name, values in known.expected.arrays().items()})
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def read_known_answers(content: bytes, preprocessing: Preprocessing | None, where: str) -> KnownAnswers:
    """Read the content of ``selftest.npz``.

    Args:
        content: the file's content.
        preprocessing: the bundle's; `None` if its network takes no image.
        where: the file's name, for errors.

    Raises:
        BundleError: the content is not valid.
    """
    outputs: dict[str, dict[str, NDArray[np.float32]]] = {}
    try:
        arrays = read_npz(content, _MOST_BYTES)
        for name, values in arrays.items():
            artifact, _, output = name.partition("/")
            if output:
                outputs.setdefault(artifact, {})[output] = values
        inputs = outputs.pop("inputs", {})
        expected = read_expectations(outputs.pop(_EXPECTED, {}))
        if preprocessing is None:
            return KnownAnswers(KnownTensors(inputs), outputs, expected)
        return KnownAnswers(KnownImages(arrays["images"], preprocessing), outputs, expected)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{where}: is not a file of known answers: {error}") from error


def compute_answers(session: CheckedSession, known_inputs: KnownInputs) -> Outputs:
    """The outputs of an artifact for known inputs: output name -> float32 ``(n, …)``, dequantized."""
    rows: dict[str, list[Array]] = {output.name: [] for output in session.outputs}
    for place in range(len(known_inputs)):
        for output, values in _run_on(session, known_inputs, place).items():
            rows[output.name].append(output.dequantize(values))
    return {name: np.concatenate(parts) for name, parts in rows.items()}


def _run_on(session: CheckedSession, known_inputs: KnownInputs, place: int) -> dict[TensorSpec, Array]:
    with session.lease(1) as slot:
        known_inputs.write(place, session, slot)
        outputs = slot.run()
    return {spec: outputs[spec.name] for spec in session.outputs}


def check_known_answers(session: CheckedSession, known: KnownAnswers, artifact: str, precision: str) -> float:
    """Run an artifact on the known inputs, and compare its outputs with the known answers.

    Args:
        session: the artifact, opened on the device to check.
        known: the bundle's known answers.
        artifact: the artifact's id.
        precision: the artifact's precision.

    Returns:
        The largest difference from a known answer, as a share of its tensor's range.

    Raises:
        BundleError: there are no known answers for this artifact.
        InferenceError: an answer differs by more than the precision allows.
    """
    expected = _known_outputs(session, known, artifact)
    computed = compute_answers(session, known.known_inputs)
    return _largest_difference(session, known, artifact, precision, computed, expected)


def check_known_answer(
    session: CheckedSession, known: KnownAnswers, artifact: str, precision: str, place: int
) -> float:
    """As `check_known_answers`, with the one input at `place`: a single inference."""
    expected = _known_outputs(session, known, artifact)
    count = len(known.known_inputs)
    computed = {
        output.name: output.dequantize(values)
        for output, values in _run_on(session, known.known_inputs, place).items()
    }
    of_place = {
        name: values.reshape(count, -1, *values.shape[1:])[place] for name, values in expected.items()
    }
    return _largest_difference(session, known, artifact, precision, computed, expected, of_place)


def _known_outputs(session: CheckedSession, known: KnownAnswers, artifact: str) -> Outputs:
    expected = known.outputs.get(artifact, {})
    outputs = {spec.name for spec in session.outputs}
    if set(expected) != outputs or not _are_inputs_of(session, known.known_inputs):
        raise BundleError(f"the bundle has no known answers for artifact '{artifact}'; convert again")
    return expected


def _largest_difference(
    session: CheckedSession,
    known: KnownAnswers,
    artifact: str,
    precision: str,
    computed: Mapping[str, Array],
    expected: Outputs,
    of_place: Mapping[str, Array] | None = None,
) -> float:
    """The largest difference, as a share of the range of all known answers."""
    compared = expected if of_place is None else of_place
    differences = {
        name: _difference(computed[name], compared[name], float(np.ptp(expected[name]))) for name in expected
    }
    for name, difference in differences.items():
        tolerance = known.tolerance(artifact, precision, name)
        if not difference <= tolerance:
            raise InferenceError(
                f"artifact '{artifact}' does not give its known answers on {session.backend} "
                f"{session.device}: off by {difference:.3g} of an output's range (allowed: {tolerance:.3g}); "
                f"do not use this device until the cause is found"
            )
    return max(differences.values())


def _are_inputs_of(session: CheckedSession, known_inputs: KnownInputs) -> bool:
    if isinstance(known_inputs, KnownImages):
        return True
    return set(known_inputs.tensors) == {spec.name for spec in session.inputs}


def _difference(computed: Array, known: Array, span: float) -> float:
    if computed.shape != known.shape or not np.isfinite(computed).all():
        return math.inf
    return float(np.abs(computed - known).max()) / (span or 1.0)
