"""Known answers beside the network's outputs: the way into the network, the way out of it, and rounding.

The network's own outputs differ a little from device to device. Everything before and after it must not: the
values that the preprocessing makes of the known images, the labels, and the results that the task makes of
the known outputs. They are recorded when a bundle is converted, and computed again where it is checked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import BundleError, InferenceError
from edgevision.imaging.frame import Frame
from edgevision.imaging.preprocess import Preprocessing, Preprocessor
from edgevision.plugins import Registry
from edgevision.session import CheckedSession
from edgevision.system.strict_json import read_json
from edgevision.tasks.description import Task
from edgevision.tasks.detections import Detections
from edgevision.tasks.kind import ModelParts, ResultReplayer, kind_of
from edgevision.tasks.score_calibration import ScoreCalibration
from edgevision.tensors import Array, TensorSpec

Floats = NDArray[np.float32]

#: Number of values of a network input that are recorded, evenly spread, and of images with results.
_SAMPLES, _MOST_RESULTS = 97, 8
#: How often the known images stand beside and below each other in the one that is resized.
_REPEATS = (2, 3)
#: Largest difference of preprocessed values, as a share of their range: builds of OpenCV resize with other
#: instructions, whose results differ by a step or two of 255.
_INPUT_TOLERANCE, _RESIZED_TOLERANCE = 0.002, 0.02
#: Largest difference of a score; two boxes are of the same object if they share this part of their union.
_SCORE_TOLERANCE, _SAME_BOX = 0.002, 0.4
#: Number of objects in an image that are compared, the best ones.
_BEST = 10
#: Difference from a known output that is always allowed, as a share of its range; and the factor of the
#: network's own response to a step at its input.
_LEAST_TOLERANCE, _MARGIN = 0.01, 1.5


@dataclass(frozen=True, eq=False)
class Expectations:
    """Values beside the outputs that must come out of a bundle's known inputs; earlier releases wrote none.

    Attributes:
        labels: one name per class.
        inputs: float32 ``(n,)``, values of the network input for the first known image, evenly spread.
        resized: the same for an image that must be resized; both are empty for a network that takes no image.
        tolerances: artifact id -> output name -> largest difference of a value from the known one, as a share
            of the range of that output's known answers; those of integer artifacts, measured on themselves.
        results: artifact id -> float32 ``(n, classes)``, the scores of a classifier; or ``(n, 7)``, the
            objects of a detector: number of the image, class, score, left, top, right, bottom; of other
            tasks, what `edgevision.tasks.kind.ResultReplayer` says.
    """

    labels: tuple[str, ...]
    inputs: Floats
    resized: Floats
    tolerances: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    results: Mapping[str, Floats] = field(default_factory=dict)

    def only(self, artifacts: Collection[str]) -> Expectations:
        """The expectations of these artifacts alone, by their ids."""
        tolerances = {name: one for name, one in self.tolerances.items() if name in artifacts}
        results = {name: one for name, one in self.results.items() if name in artifacts}
        return replace(self, tolerances=tolerances, results=results)

    def arrays(self) -> dict[str, Array]:
        """The arrays of ``selftest.npz`` that `read_expectations` reads."""
        document = {"labels": list(self.labels), "tolerances": self.tolerances}
        arrays: dict[str, Array] = {"about": np.frombuffer(json.dumps(document).encode(), np.uint8)}
        arrays |= {"inputs": self.inputs, "resized": self.resized}
        return arrays | {f"results/{name}": values for name, values in self.results.items()}


def read_expectations(arrays: Mapping[str, Array]) -> Expectations | None:
    """The expectations in the arrays of `Expectations.arrays`; `None` if there are none.

    Raises:
        ValueError, KeyError, TypeError: they are not valid.
    """
    if not arrays:
        return None
    document = read_json(arrays["about"].tobytes())
    return Expectations(
        tuple(map(str, document["labels"])),
        arrays["inputs"],
        arrays["resized"],
        {
            str(artifact): {str(name): float(share) for name, share in outputs.items()}
            for artifact, outputs in document["tolerances"].items()
        },
        {
            name.removeprefix("results/"): values
            for name, values in arrays.items()
            if name.startswith("results/")
        },
    )


@dataclass(frozen=True, eq=False)
class ModelPath:
    """Everything of a bundle that stands before and after its networks.

    Attributes:
        task, labels, preprocessing: as the manifest has them.
        images: the known images; `None` for a network that takes no image.
        plugins: provide the decoder.
    """

    task: Task
    labels: Sequence[str]
    preprocessing: Preprocessing | None
    images: NDArray[Any] | None
    plugins: Registry

    def network_inputs(self) -> tuple[Floats, Floats]:
        """Values as `Expectations.inputs` and `Expectations.resized`."""
        if self.preprocessing is None or self.images is None or not len(self.images):
            return np.zeros(0, np.float32), np.zeros(0, np.float32)
        image = self.images[0]
        large = np.tile(image, (*_REPEATS, 1))
        return self._values(image), self._values(large)

    def results(
        self,
        outputs: Mapping[str, Floats],
        specs: tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]],
        score_calibration: ScoreCalibration | None,
    ) -> Floats | None:
        """The task's results for a network's outputs, as `Expectations.results`; `None` for generated images.

        Args:
            outputs: output name -> float32 ``(n, …)``, for the known images.
            specs: the inputs and the outputs of the artifact.
            score_calibration: of the artifact.
        """
        kind = kind_of(self.task)
        if not isinstance(kind, ResultReplayer) or self.images is None:
            return None
        session = CheckedSession(_Replay(specs, outputs, len(self.images)), "known answers")
        parts = ModelParts(self.preprocessing, self.labels, score_calibration, self.plugins)
        with kind.model(session, self.task, parts) as model:
            shown = self.images[:_MOST_RESULTS]
            rows = [kind.known_rows(place, model(_frame(image))) for place, image in enumerate(shown)]
        return np.concatenate(rows).astype(np.float32) if rows else None

    def gives(self, found: Floats, known: Floats) -> bool:
        """True if two results are the same."""
        kind = kind_of(self.task)
        return not isinstance(kind, ResultReplayer) or kind.same_results(found, known, self.task)

    def _values(self, image: NDArray[Any]) -> Floats:
        assert self.preprocessing is not None  # noqa: S101 (its caller has looked)
        spec = TensorSpec("image", (1, *self.preprocessing.image_shape), "float32")
        tensor = np.zeros(self.preprocessing.image_shape, np.float32)
        Preprocessor(self.preprocessing, spec)(_frame(image), tensor)
        places = np.linspace(0, tensor.size - 1, min(tensor.size, _SAMPLES)).astype(int)
        return np.asarray(tensor.reshape(-1)[places])


def check_expectations(
    expected: Expectations,
    path: ModelPath,
    artifact: str,
    results: Callable[[], Floats | None],
    where: str,
) -> None:
    """Check what stands before and after the network.

    Args:
        expected: of the bundle.
        path: the bundle's own, as it is now.
        artifact: id of the artifact.
        results: computes what its known outputs mean now.
        where: the bundle, for errors.

    Raises:
        BundleError: the labels are others.
        InferenceError: the preprocessing gives other values, or the results are others.
    """
    for number, (known, label) in enumerate(zip(expected.labels, path.labels, strict=False)):
        if known != label:
            raise BundleError(
                f"{where}: class {number} is called '{label}', and was called '{known}' when the bundle was "
                "converted: its labels were changed; copy the bundle again, or convert again"
            )
    if len(expected.labels) != len(path.labels):
        raise BundleError(
            f"{where}: has {len(path.labels)} labels, and had {len(expected.labels)} when it was converted; "
            "copy the bundle again, or convert again"
        )
    inputs, resized = path.network_inputs()
    for values, recorded, tolerance in (
        (inputs, expected.inputs, _INPUT_TOLERANCE),
        (resized, expected.resized, _RESIZED_TOLERANCE),
    ):
        difference = _share(values, recorded)
        if not difference <= tolerance:
            raise InferenceError(
                f"{where}: its preprocessing makes other values of a known image than when it was converted: "
                f"off by {difference:.3g} of their range (allowed: {tolerance:g}); the manifest was changed, "
                "or OpenCV computes something else here: copy the bundle again, or install another build"
            )
    known_results = expected.results.get(artifact)
    if known_results is None:
        return
    found = results()
    if found is None or not path.gives(found, known_results):
        raise InferenceError(
            f"{where}: the known outputs of '{artifact}' mean something else than when it was converted: its "
            "decoder, thresholds or score calibration were changed; copy the bundle again, or convert again"
        )


def rounding_tolerances(
    outputs: Mapping[str, Floats],
    disturbed: Sequence[Mapping[str, Floats]],
    specs: Sequence[TensorSpec],
) -> dict[str, float]:
    """The tolerances of an integer artifact, as in `Expectations`.

    Integer kernels differ where they round. How much of a rounding step arrives at an output depends on the
    network: so its own response to a random step at its input is taken. In 27 comparisons of
    LiteRT's kernels, OpenVINO's and ONNX Runtime's, up to 9 % apart, it was never less than the difference,
    but for one in which OpenVINO was wrong by 92 %.

    Args:
        outputs: output name -> float32 ``(n, …)``, the known answers.
        disturbed: the same for inputs that are off by up to one step.
        specs: the outputs' specs: one step of an output's own is always allowed.
    """
    tolerances = {}
    for spec in specs:
        known = outputs[spec.name]
        span = float(np.ptp(known)) or 1.0
        response = max((_share(other[spec.name], known) for other in disturbed), default=0.0)
        step = 0.0 if spec.quantization is None else spec.quantization.scale / span
        tolerances[spec.name] = _LEAST_TOLERANCE + step + _MARGIN * response
    return tolerances


def _frame(image: NDArray[Any]) -> NDArray[Any] | Frame:
    return image if image.dtype == np.uint8 else Frame(image, levels=(0.0, 1.0))


def same_values(found: Floats, known: Floats, tolerance: float = _SCORE_TOLERANCE) -> bool:
    """True if two arrays have the same shape, and no value differs by more than `tolerance`."""
    return found.shape == known.shape and bool(np.abs(found - known).max(initial=0.0) <= tolerance)


def same_objects(found: Floats, known: Floats, score_threshold: float) -> bool:
    """True if the best objects of each are among the other's; see `object_rows`."""
    return _has_best_of(known, found, score_threshold) and _has_best_of(found, known, score_threshold)


def object_rows(place: int, found: Detections) -> Floats:
    """Objects as float32 ``(n, 7)``: number of the image, class, score, left, top, right, bottom."""
    columns = [np.full(len(found), place), found.class_ids, found.scores]
    return np.concatenate([np.stack(columns, axis=1), found.boxes_xyxy], axis=1).astype(np.float32)


def _share(values: Array, known: Array) -> float:
    """The largest difference, as a share of the range of the known values; infinite for another shape."""
    if values.shape != known.shape or not np.isfinite(values).all():
        return float("inf")
    span = float(np.ptp(known)) if known.size else 0.0
    return float(np.abs(values - known).max(initial=0.0)) / (span or 1.0)


def _has_best_of(objects: Floats, others: Floats, threshold: float) -> bool:
    """True if the best of the other objects in each image are among these.

    Of objects with equal scores, sorting decides which one suppresses the others or comes too late, and
    numpy's differs from processor to processor; so the box need not be the same. One at the very threshold
    may be missing.
    """
    for place in np.unique(others[:, 0]):
        best = others[others[:, 0] == place]
        for one in best[np.argsort(-best[:, 2], kind="stable")][:_BEST]:
            same = objects[(objects[:, :2] == one[:2]).all(axis=1)]
            same = same[np.abs(same[:, 2] - one[2]) <= _SCORE_TOLERANCE]
            if abs(one[2] - threshold) > _SCORE_TOLERANCE and not _is_among(one, same):
                return False
    return True


def _is_among(one: Floats, others: Floats) -> bool:
    return any(_overlap(one[3:], other[3:]) >= _SAME_BOX for other in others)


def _overlap(one: Floats, other: Floats) -> float:
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = float(np.prod(np.maximum(sides, 0.0)))
    areas = [float(np.prod(box[2:] - box[:2])) for box in (one, other)]
    whole = sum(areas) - shared
    return shared / whole if whole > 0 else float(np.array_equal(one, other))


class _Replay:
    """A session that returns known outputs, one image after the other."""

    device = "cpu"
    precision = "float32"

    def __init__(
        self,
        specs: tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]],
        outputs: Mapping[str, Floats],
        images: int,
    ) -> None:
        self.inputs, self.outputs = specs
        self._known = {
            name: values.reshape(images, -1, *values.shape[1:]) for name, values in outputs.items()
        }
        self._place = 0

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        place = self._place
        self._place += 1
        return {spec.name: spec.quantize(self._known[spec.name][place]) for spec in self.outputs}

    def close(self) -> None:
        """Nothing is open."""
