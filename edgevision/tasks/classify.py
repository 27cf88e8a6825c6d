"""Classification: which of its classes a network sees in an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InferenceError, OptionError
from edgevision.imaging.decode import ImageLike, as_pixels
from edgevision.imaging.preprocess import Preprocessing, Preprocessor
from edgevision.numeric import is_share, is_whole
from edgevision.session import CheckedSession
from edgevision.tasks.batches import is_batch, parts
from edgevision.tasks.labels import as_labels, check_label_count
from edgevision.tasks.score_calibration import SCORE_KINDS, OperatingPoint, ScoreCalibration
from edgevision.tensors import Array, TensorSpec, all_finite, dequantizer, is_always_finite

if TYPE_CHECKING:
    from edgevision.numeric import RealNumber, WholeNumber

Scores = NDArray[np.float32]

#: Up to so many classes Python sorts them as fast.
_FEW = 64


class ClassScore(NamedTuple):
    """One class, and how sure the network is of it.

    Attributes:
        label: the class's name.
        score: 0…1.
        class_id: the class's place among the labels.
    """

    label: str
    score: float
    class_id: int


@dataclass(frozen=True, eq=False)
class Classification:
    """What a network sees in one image.

    Iterating gives every `ClassScore`, the best first.

    Attributes:
        scores: float32 ``(classes,)``, each 0…1; they sum to 1 unless `multi_label`.
        labels: one name a class.
        multi_label: whether each class has a score of its own, so that several can be seen.
        operating_point: of the class of interest; `None` where there is none.
    """

    scores: Scores
    labels: tuple[str, ...]
    multi_label: bool = False
    operating_point: OperatingPoint | None = None

    @property
    def positive(self) -> bool | None:
        """Whether the class of interest is decided for at its operating point; `None` where there is none.

        It may be while another class has a higher score, and may not be while none has.
        """
        point = self.operating_point
        return None if point is None else bool(self.scores[point.class_id] >= point.threshold)

    def top(self, k: WholeNumber = 1) -> list[ClassScore]:
        """The `k` best classes, the best first; of equal scores the lower class first.

        Raises:
            OptionError: `k` is not a whole number above 0.
        """
        if not is_whole(k, 1):
            raise OptionError(f"top: expected 1 or more, got {k!r}")
        # numpy lets other threads run while it sorts ten numbers, and then waits for them: so Python does.
        if len(self.scores) <= _FEW:
            scores = self.scores.tolist()
            order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)[:k]
        else:
            order = np.argsort(-self.scores, kind="stable")[:k].tolist()
        return [ClassScore(self.labels[i], float(self.scores[i]), i) for i in order]

    def above(self, score_threshold: RealNumber) -> list[ClassScore]:
        """Every class with a score of `score_threshold` or more, the best first.

        Raises:
            OptionError: `score_threshold` is not in 0…1.
        """
        if not is_share(score_threshold):
            raise OptionError(f"score_threshold: expected 0 to 1, got {score_threshold!r}")
        least = float(score_threshold)
        return [found for found in self if found.score >= least]

    def to_dict(self, k: WholeNumber | None = None) -> dict[str, Any]:
        """For JSON: the `k` best classes, or all, and the decision on a class of interest, if any."""
        best = self.top(k or len(self.labels))
        told: dict[str, Any] = {
            "multi_label": self.multi_label,
            "classes": [{"label": c.label, "score": c.score, "class_id": c.class_id} for c in best],
        }
        point = self.operating_point
        if point is not None:
            told["operating_point"] = {
                "label": point.positive,
                "class_id": point.class_id,
                "score": float(self.scores[point.class_id]),
                "threshold": point.threshold,
                "positive": self.positive,
            }
        return told

    def __iter__(self) -> Iterator[ClassScore]:
        return iter(self.top(len(self.labels)))


class Classifier:
    """A network that classifies, ready to be called. Safe to share between threads.

    Args:
        session: the network.
        preprocessing: from an image to the network's input.
        labels: one name a class; two where the network gives a single score.
        score_kind: what the output holds: ``softmax``, ``sigmoid`` or ``logits``.
        output: name of the output with the scores.
        reading: temperature and operating point of the artifact, where it has them.

    Attributes:
        preprocess: writes an image into a slot of the network's input.
        multi_label: whether each class has a score of its own, so that several can be seen in one image.
        reading: as given.

    Raises:
        OptionError: the network's tensors, or the number of labels, do not fit.
    """

    def __init__(
        self,
        session: CheckedSession,
        preprocessing: Preprocessing,
        labels: Sequence[str],
        score_kind: str,
        output: str | None = None,
        reading: ScoreCalibration | None = None,
    ) -> None:
        self.session = session
        self.preprocessing = preprocessing
        self.score_kind = score_kind
        self.labels = as_labels(labels)
        self._input = _only_input(session)
        self._output = score_output(session.outputs, output)
        self.multi_label = score_kind == "sigmoid" and not _is_binary(self._output)
        check_label_count(self.labels, class_count(self._output))
        if score_kind not in SCORE_KINDS:
            raise OptionError(f"score kind: expected one of {', '.join(SCORE_KINDS)}, got '{score_kind}'")
        self.preprocess = Preprocessor(preprocessing, self._input)
        self.reading = reading or ScoreCalibration()
        self.reading.check_labels(self.labels)
        self._scores = _reader(self._output, score_kind, self.reading.temperature)

    @property
    def output(self) -> str:
        """The name of the output with the scores."""
        return self._output.name

    @overload
    def __call__(self, images: ImageLike, color: str = "rgb") -> Classification: ...
    @overload
    def __call__(self, images: list[Any] | tuple[Any, ...], color: str = "rgb") -> list[Classification]: ...

    def __call__(self, images: Any, color: str = "rgb") -> Classification | list[Classification]:
        """Classify one image, or each of a batch.

        Args:
            images: one image: an array uint8 ``(h, w, 3)`` or grey ``(h, w)``, a path, the bytes of
                an image file, or a PIL image; or a batch: a list or tuple of these, or an array
                uint8 ``(n, h, w, 3)``. A type checker cannot count the axes of an array and takes it
                for one image: where types matter, pass a batch as ``list(array)`` or to `classify_batch`.
            color: order of the channels of arrays: ``rgb`` or ``bgr``.

        Returns:
            A `Classification`, or a list of them for a batch, in its order.

        Raises:
            InputError: an image cannot be read or is of no form that is said above.
            InferenceError: the runtime failed.
        """
        if is_batch(images):
            return self.classify_batch(images, color)
        pixels, found = as_pixels(images, color)
        with self.session.lease() as slot:
            self.preprocess.fill(pixels, slot.inputs[self._input.name][0], found)
            outputs = slot.run()
        return self._result(self._scores(outputs[self._output.name])[0])

    def classify_batch(self, images: Sequence[ImageLike] | Array, color: str = "rgb") -> list[Classification]:
        """Classify each of several images; see `__call__`."""
        return [self._result(row) for row in self.scores(images, color)]

    def scores(self, images: Sequence[ImageLike] | Array, color: str = "rgb") -> Scores:
        """The scores of several images: float32 ``(images, classes)``, each 0…1."""
        if len(images) == 0:
            return np.zeros((0, len(self.labels)), np.float32)
        runs = parts(len(images), self.session.dynamic_batch)
        return np.concatenate([self._run(images[run], color) for run in runs])

    def read(self, outputs: Mapping[str, Array], sizes_wh: Sequence[tuple[int, int]]) -> list[Classification]:
        """What the network's outputs say of several images.

        Args:
            outputs: of one run, as `edgevision.backend.Slot.run` gives them.
            sizes_wh: of the images, one each.

        Raises:
            InferenceError: the outputs can be no scores.
        """
        return [self._result(row) for row in self._scores(outputs[self._output.name])]

    def __repr__(self) -> str:
        width, height = self.preprocessing.size_wh
        return f"<Classifier: {self.session}, input {width}x{height}, {len(self.labels)} classes>"

    def close(self) -> None:
        """Give back what the runtime holds."""
        self.session.close()

    def __enter__(self) -> Classifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, images: Sequence[ImageLike] | Array, color: str) -> Scores:
        with self.session.lease(len(images)) as slot:
            rows = slot.inputs[self._input.name]
            for row, image in zip(rows, images, strict=True):
                pixels, found = as_pixels(image, color)
                self.preprocess.fill(pixels, row, found)
            scores = self._scores(slot.run()[self._output.name])
        if len(scores) != len(images):
            raise InferenceError(f"the network gave {len(scores)} rows of scores for {len(images)} images")
        return scores

    def _result(self, scores: Scores) -> Classification:
        return Classification(scores, self.labels, self.multi_label, self.reading.operating_point)


def class_scores(values: Scores, score_kind: str) -> Scores:
    """Turn a network's output into scores of 0…1.

    Args:
        values: float32 ``(images, outputs)``. A single output is the score of the second of
            two classes.
        score_kind: ``softmax`` and ``sigmoid``: already scores; ``logits``: not yet.

    Returns:
        float32 ``(images, classes)``.

    Raises:
        InferenceError: an output is NaN or infinite: the network is broken, and no class is right.
    """
    if not all_finite(values):
        raise InferenceError("the network gave NaN or infinity; expected finite scores")
    if values.shape[1] == 1:
        # Of two classes the softmax of (0, logit) is the logistic function, without its overflow.
        negative = 0.0 * values if score_kind == "logits" else 1.0 - values
        values = np.concatenate([negative, values], axis=1).astype(np.float32, copy=False)
    if score_kind == "logits":
        exponent = np.exp(values - values.max(axis=1, keepdims=True))
        return np.asarray(exponent / exponent.sum(axis=1, keepdims=True), np.float32)
    return values


def class_count(output: TensorSpec) -> int:
    """How many classes an output has scores for: a single score tells two classes apart."""
    return 2 if _is_binary(output) else int(np.prod([size for size in output.shape[1:] if size]))


def score_output(outputs: Sequence[TensorSpec], name: str | None = None) -> TensorSpec:
    """The output that holds the scores: the one called `name`, or the only one.

    Raises:
        OptionError: there is none of that name, or there are several and none is named, or it
            is not ``(batch, classes)``.
    """
    found = [spec for spec in outputs if name in (None, spec.name)]
    if len(found) != 1:
        names = ", ".join(f"'{spec.name}'" for spec in outputs)
        raise OptionError(
            f"the network has outputs {names}; say which holds the scores with --output-name NAME"
        )
    spec = found[0]
    if len(spec.shape) < 2 or any(size != 1 for size in spec.shape[1:-1]) or spec.shape[-1] is None:
        raise OptionError(f"output '{spec.name}': expected (batch, classes), got {spec.describe()}")
    return spec


def _only_input(session: CheckedSession) -> TensorSpec:
    if len(session.inputs) != 1:
        names = ", ".join(f"'{spec.name}'" for spec in session.inputs)
        raise OptionError(f"the network has inputs {names}; a classifier has one, an image")
    return session.inputs[0]


def _reader(output: TensorSpec, score_kind: str, temperature: float | None) -> Callable[[Array], Scores]:
    """From an output's own numbers (images, …, outputs) to scores (images, classes)."""
    if temperature is None:
        real = dequantizer(output)
    else:
        from edgevision.tasks.temperature import scaled_reader

        real, score_kind = scaled_reader(output, score_kind, temperature)
    if is_always_finite(output) and score_kind != "logits" and not _is_binary(output):
        return lambda values: real(values).reshape(len(values), -1)
    return lambda values: class_scores(real(values).reshape(len(values), -1), score_kind)


def _is_binary(output: TensorSpec) -> bool:
    return output.shape[-1] == 1
