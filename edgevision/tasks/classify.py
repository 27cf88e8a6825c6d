"""Classification: a score per class for an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast, overload

import numpy as np
from numpy.typing import NDArray

from edgevision.backend import ScoreSigmoids
from edgevision.errors import InferenceError, OptionError
from edgevision.imaging.decode import ImageLike, as_batch, as_frame
from edgevision.imaging.preprocess import Preprocessing, Preprocessor
from edgevision.observation import observers
from edgevision.session import CheckedSession
from edgevision.system.arguments import instance, one_of, optional_text
from edgevision.system.numeric import is_share, is_whole
from edgevision.system.shown import shown
from edgevision.tasks.base import image_input
from edgevision.tasks.batches import is_batch, parts
from edgevision.tasks.explainable_model import ExplainableModel
from edgevision.tasks.labels import as_labels, check_label_count
from edgevision.tasks.score_calibration import SCORE_KINDS, OperatingPoint, ScoreCalibration
from edgevision.tasks.score_checks import score_check
from edgevision.tensors import Array, TensorSpec, all_finite, check_outputs, dequantizer, is_always_finite

if TYPE_CHECKING:
    from edgevision.imaging.frame import Frame
    from edgevision.system.numeric import RealNumber, WholeNumber
    from edgevision.tasks.description import ClassifyTask
    from edgevision.tasks.explained import Aim
    from edgevision.tasks.prediction_sets import PredictionSets

Scores = NDArray[np.float32]
#: Distance of two rows, then of two columns, in mm.
Spacing = tuple[float, float]

#: Up to this many classes, Python sorts as fast as numpy.
_FEW = 64


class ClassScore(NamedTuple):
    """One class and its score.

    Attributes:
        label: the name of the class.
        score: 0…1.
        class_id: the index of the class in the labels.
    """

    label: str
    score: float
    class_id: int


@dataclass(frozen=True, eq=False)
class Classification:
    """The classification of one image.

    Iterating gives every `ClassScore`, the best first.

    Attributes:
        scores: float32 ``(classes,)``, each 0…1; they sum to 1 unless `multi_label`.
        labels: one name per class.
        multi_label: whether the scores are independent, so that an image can have several classes.
        operating_point: the threshold of the class of interest; `None` without one.
        sets: how `prediction_set` is formed; `None` without one.
        abstain_below: whether a score below the operating point is an abstention instead of a decision.
        score_threshold: the lowest score of a class that is given, 0…1, where the model's metadata
            recommends one; `scores` has them all.
        pixel_spacing_mm: distance of two rows, then of two columns of the image, in mm, as its DICOM file
            states it; `None` if unknown.
    """

    scores: Scores
    labels: tuple[str, ...]
    multi_label: bool = False
    operating_point: OperatingPoint | None = None
    score_threshold: float = 0.0
    pixel_spacing_mm: Spacing | None = None
    sets: PredictionSets | None = None
    abstain_below: bool = False

    @property
    def prediction_set(self) -> tuple[str, ...] | None:
        """The classes that the image may have, the best first, with the coverage of `sets`; `None` without.

        Empty where no class is plausible: the image is unlike those that the model was calibrated on.
        """
        if self.sets is None:
            return None
        inside = self.sets.contains(self.scores)
        order = np.argsort(-self.scores, kind="stable").tolist()
        return tuple(self.labels[place] for place in order if inside[place])

    @property
    def abstention(self) -> str:
        """Why the answer should not be acted on; empty if it may be.

        That is where `prediction_set` is not a single class, if the sets were made to abstain; and where the
        class of interest is below its operating point, if `abstain_below`.
        """
        if self.abstain_below and self.operating_point is not None and not self.positive:
            return f"below the operating point of '{self.operating_point.positive}'"
        if self.sets is None or not self.sets.abstain:
            return ""
        found = self.prediction_set or ()
        if len(found) == 1:
            return ""
        return f"{len(found)} classes are plausible" if found else "no class is plausible"

    @property
    def positive(self) -> bool | None:
        """True if the class of interest is predicted at its operating point; `None` without one.

        That is independent of the top class: its score may reach the threshold while another class
        scores higher, and may miss it while none does.
        """
        point = self.operating_point
        return None if point is None else bool(self.scores[point.class_id] >= point.threshold)

    def top(self, k: WholeNumber = 1) -> list[ClassScore]:
        """The `k` best classes, the best first; of equal scores, the lower class id first.

        Fewer, or none, where the model's metadata recommends a `score_threshold` that they miss.

        Raises:
            OptionError: `k` is not a whole number above 0.
        """
        if not is_whole(k, 1):
            raise OptionError(f"top: expected 1 or more, got {shown(k)}")
        # In Python: numpy releases the GIL even to sort ten numbers, and then waits to get it back.
        if len(self.scores) <= _FEW:
            scores = self.scores.tolist()
            order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)[:k]
        else:
            order = np.argsort(-self.scores, kind="stable")[:k].tolist()
        best = [ClassScore(self.labels[i], float(self.scores[i]), i) for i in order]
        least = self.score_threshold
        return best if least <= 0 else [each for each in best if each.score >= least]

    def above(self, score_threshold: RealNumber) -> list[ClassScore]:
        """Every class with a score of `score_threshold` or more, the best first.

        Raises:
            OptionError: `score_threshold` is not in 0…1.
        """
        if not is_share(score_threshold):
            raise OptionError(f"score_threshold: expected 0 to 1, got {shown(score_threshold)}")
        least = float(score_threshold)
        return [best for best in self if best.score >= least]

    def to_dict(self, k: WholeNumber | None = None) -> dict[str, Any]:
        """JSON values: the `k` best classes, or all, and the decision on the class of interest, if any.

        Raises:
            OptionError: as `top`.
        """
        best = self.top(len(self.labels) if k is None else k)
        document: dict[str, Any] = {
            "multi_label": self.multi_label,
            "classes": [{"label": c.label, "score": c.score, "class_id": c.class_id} for c in best],
        }
        point = self.operating_point
        if point is not None:
            document["operating_point"] = {
                "label": point.positive,
                "class_id": point.class_id,
                "score": float(self.scores[point.class_id]),
                "threshold": point.threshold,
                "positive": self.positive,
            }
        if self.sets is not None:
            document["prediction_set"] = {
                "labels": list(self.prediction_set or ()),
                "coverage": self.sets.coverage,
                "method": self.sets.method,
            }
        if self.pixel_spacing_mm is not None:
            document["pixel_spacing_mm"] = list(self.pixel_spacing_mm)
        return document

    def __iter__(self) -> Iterator[ClassScore]:
        return iter(self.top(len(self.labels)))


class Classifier(ExplainableModel[Classification]):
    """An image classifier. Safe to share between threads.

    Args:
        session: the network.
        preprocessing: from an image to the network's input.
        labels: one name per class; two for a network with a single score.
        score_kind: of the output: ``softmax``, ``sigmoid`` or ``logits``.
        output: name of the output with the scores.
        score_calibration: temperature and operating point of the artifact, if it has them.
        score_sigmoids: a calibration of the scores in the artifact's metadata, if it has one; its scores
            are independent.
        score_threshold: as in `Classification`.

    Attributes:
        preprocess: writes an image into a row of the network's input.
        multi_label: whether the scores are independent, so that an image can have several classes.
        score_calibration: as passed, or one that changes nothing.
        abstain_below_operating_point: whether a score below the operating point is an abstention, in streams
            and `Classification.abstention`; off unless it is set, since it is a decision, too.

    Raises:
        OptionError: the network's tensors or the number of labels are wrong for a classifier.
    """

    abstain_below_operating_point: bool = False
    answering_methods = (*ExplainableModel.answering_methods, "classify_batch", "scores")

    def __init__(
        self,
        session: CheckedSession,
        preprocessing: Preprocessing,
        labels: Sequence[str],
        score_kind: str,
        output: str | None = None,
        score_calibration: ScoreCalibration | None = None,
        score_sigmoids: ScoreSigmoids | None = None,
        score_threshold: RealNumber = 0.0,
    ) -> None:
        super().__init__(session)
        preprocessing = instance(preprocessing, Preprocessing, "preprocessing")
        self.preprocessing = preprocessing
        self.score_kind = score_kind = one_of(score_kind, SCORE_KINDS, "score_kind")
        self.labels = as_labels(labels)
        self._input = image_input(session, "classification")
        self._output = score_output(session.outputs, optional_text(output, "output"))
        self.multi_label = score_kind == "sigmoid" and not _is_binary(self._output)
        check_label_count(self.labels, class_count(self._output))
        self.preprocess = Preprocessor(preprocessing, self._input)
        if score_calibration is not None:
            instance(score_calibration, ScoreCalibration, "score_calibration")
        if score_sigmoids is not None:
            instance(score_sigmoids, ScoreSigmoids, "score_sigmoids")
        self.score_calibration = score_calibration or ScoreCalibration()
        self.score_calibration.check_labels(self.labels)
        self._scores = _reader(self._output, score_kind, self.score_calibration.temperature)
        if score_sigmoids is not None:
            from edgevision.tasks.score_sigmoids import calibrator

            if _is_binary(self._output):
                raise OptionError(
                    f"output '{self._output.name}': a score calibration per class, but the network has a "
                    "single score for two classes; remove the calibration from the model's metadata"
                )
            calibrated = calibrator(score_sigmoids, len(self.labels))
            # Their authors fitted them to the network's own numbers, logits included.
            read = _number_reader(self._output) if score_kind == "logits" else self._scores
            self._scores = lambda values: calibrated(read(values))
            self.multi_label = True
        if not is_share(score_threshold):
            raise OptionError(f"score_threshold: expected 0 to 1, got {shown(score_threshold)}")
        self.score_threshold = float(score_threshold)

    @property
    def output(self) -> str:
        """The name of the output with the scores."""
        return self._output.name

    @property
    def task(self) -> ClassifyTask:
        """The task, as a manifest has it."""
        from edgevision.tasks.description import ClassifyTask

        return ClassifyTask(self._output.name, self.score_kind)

    @property
    def fitted_scores(self) -> ScoreCalibration | None:
        """As `TaskModel.fitted_scores`."""
        return self.score_calibration.or_none()

    @overload
    def __call__(
        self, images: ImageLike, color: str = "rgb", *, operating_threshold: RealNumber | None = None
    ) -> Classification: ...
    @overload
    def __call__(
        self,
        images: list[Any] | tuple[Any, ...],
        color: str = "rgb",
        *,
        operating_threshold: RealNumber | None = None,
    ) -> list[Classification]: ...

    def __call__(
        self, images: Any, color: str = "rgb", *, operating_threshold: RealNumber | None = None
    ) -> Classification | list[Classification]:
        """Classify one image, or each of a batch.

        Args:
            images: one image: an array uint8 ``(h, w, 3)`` or grey ``(h, w)`` (or with more bits, where the
                preprocessing says how they map), a path, the bytes of an image file, a PIL image, or a
                `YuvFrame`; or a batch: a list or tuple of these, or an array uint8 ``(n, h, w, 3)``. A type
                checker cannot count the axes of an array and takes it for one image: where types matter,
                pass a batch as ``list(array)`` or to `classify_batch`.
            color: channel order of arrays: ``rgb`` or ``bgr``; or a YUV format, such as ``nv12`` or ``yuyv``.
            operating_threshold: score from which the class of interest is predicted, 0…1, for this call;
                `None` for that of the operating point, which alone was evaluated.

        Returns:
            A `Classification`, or a list of them for a batch, in its order.

        Raises:
            InputError: an image cannot be read, or has none of the forms above.
            InferenceError: the runtime failed, or the network gave NaN or infinity, or values that are not
                of the stated score kind.
            OptionError: `operating_threshold` is out of range, or the model has no operating point.
        """
        if operating_threshold is not None:
            return cast("Classification", self._with_threshold(operating_threshold)(images, color))
        if observers.listening and self.observed:
            return cast("Classification | list[Classification]", self._observed(images, color))
        if is_batch(images):
            return self.classify_batch(images, color)
        frame = as_frame(images, color)
        with self.session.lease() as slot:
            self.preprocess.put(frame, slot.inputs[self._input.name][0])
            outputs = slot.run()
        return self._result(self._scores(outputs[self._output.name])[0], frame.pixel_spacing_mm)

    def classify_batch(self, images: Sequence[ImageLike] | Array, color: str = "rgb") -> list[Classification]:
        """Classify each of several images; see `__call__`."""
        if observers.listening and self.observed:
            return cast("list[Classification]", self._observed(list(as_batch(images)), color))
        scores, spacings = self._scores_and_spacings(images, color)
        return [self._result(row, spacing) for row, spacing in zip(scores, spacings, strict=True)]

    def scores(self, images: Sequence[ImageLike] | Array, color: str = "rgb") -> Scores:
        """The scores of several images: float32 ``(images, classes)``, each 0…1."""
        return self._scores_and_spacings(images, color)[0]

    def _scores_and_spacings(
        self, images: Sequence[ImageLike] | Array, color: str
    ) -> tuple[Scores, list[Spacing | None]]:
        images = as_batch(images)
        spacings: list[Spacing | None] = []
        if len(images) == 0:
            return np.zeros((0, len(self.labels)), np.float32), spacings
        runs = parts(len(images), self.session.dynamic_batch)
        return np.concatenate([self._run(images[run], color, spacings) for run in runs]), spacings

    def _aim(self, frame: Frame, target: Any) -> Aim:
        from edgevision.tasks.explained import Aim, class_of

        if target is None:
            class_id = int(self.scores([frame])[0].argmax())
        else:
            class_id = class_of(target, self.labels, len(self.labels))

        def score_of(outputs: Mapping[str, Array]) -> NDArray[np.float64]:
            return self._scores(outputs[self._output.name])[:, class_id].astype(np.float64)

        return Aim(self.labels[class_id], class_id, score_of, self.preprocess)

    def read(self, outputs: Mapping[str, Array], sizes_wh: Sequence[tuple[int, int]]) -> list[Classification]:
        """Classifications from the network's outputs.

        Args:
            outputs: the outputs of one run, from `edgevision.backend.Slot.run`.
            sizes_wh: width and height of each image.

        Raises:
            InferenceError: the outputs are not valid scores.
        """
        check_outputs([self._output], outputs)
        return [self._result(row) for row in self._scores(outputs[self._output.name])]

    def _check_call(self, arguments: Mapping[str, Any]) -> None:
        super()._check_call(arguments)
        if (threshold := arguments.get("operating_threshold")) is not None:
            self._with_threshold(threshold)

    def _with_threshold(self, threshold: Any) -> Classifier:
        """This model with another threshold of its operating point."""
        point = self.score_calibration.operating_point
        if point is None:
            raise OptionError("operating_threshold: this model has no operating point; remove it")
        if not is_share(threshold):
            raise OptionError(f"operating_threshold: expected 0 to 1, got {shown(threshold)}")
        twin = self.over(self.session)
        twin.score_calibration = replace(
            self.score_calibration, operating_point=replace(point, threshold=float(threshold))
        )
        return twin

    def _observed(self, images: Any, color: str) -> Any:
        from edgevision.tasks.observed import observed_call

        return observed_call(self, images, color, lambda model, given: model(given))

    def _details(self) -> tuple[str, ...]:
        width, height = self.preprocessing.size_wh
        return f"input {width}x{height}", f"{len(self.labels)} classes"

    def _run(self, images: Sequence[ImageLike] | Array, color: str, spacings: list[Spacing | None]) -> Scores:
        with self.session.lease(len(images)) as slot:
            rows = slot.inputs[self._input.name]
            for row, image in zip(rows, images, strict=True):
                frame = as_frame(image, color)
                self.preprocess.put(frame, row)
                spacings.append(frame.pixel_spacing_mm)
            scores = self._scores(slot.run()[self._output.name])
        if len(scores) != len(images):
            raise InferenceError(f"the network gave {len(scores)} rows of scores for {len(images)} images")
        return scores

    def _result(self, scores: Scores, pixel_spacing_mm: Spacing | None = None) -> Classification:
        calibration = self.score_calibration
        return Classification(
            *(scores, self.labels, self.multi_label, calibration.operating_point),
            score_threshold=self.score_threshold,
            pixel_spacing_mm=pixel_spacing_mm,
            sets=calibration.prediction_sets,
            abstain_below=self.abstain_below_operating_point,
        )


def class_scores(values: Scores, score_kind: str) -> Scores:
    """Scores in 0…1 from a network's output.

    Args:
        values: float32 ``(images, outputs)``. A single output is the score of the second of
            two classes.
        score_kind: ``softmax`` and ``sigmoid`` are scores already, ``logits`` are not.

    Returns:
        float32 ``(images, classes)``.

    Raises:
        InferenceError: an output is NaN or infinite: the network is broken, and any class would be wrong.
    """
    _check_finite(values)
    return _as_scores(values, score_kind)


def _check_finite(values: Scores) -> None:
    if not all_finite(values):
        raise InferenceError("the network gave NaN or infinity; expected finite scores")


def _as_scores(values: Scores, score_kind: str) -> Scores:
    if values.shape[1] == 1:
        # The softmax of (0, logit) is the logistic function, without its overflow.
        negative = 0.0 * values if score_kind == "logits" else 1.0 - values
        values = np.concatenate([negative, values], axis=1).astype(np.float32, copy=False)
    if score_kind == "logits":
        exponent = np.exp(values - values.max(axis=1, keepdims=True))
        return np.asarray(exponent / exponent.sum(axis=1, keepdims=True), np.float32)
    return values


def class_count(output: TensorSpec) -> int:
    """The number of classes of an output: a single score distinguishes two."""
    return 2 if _is_binary(output) else int(np.prod([size for size in output.shape[1:] if size]))


def score_output(outputs: Sequence[TensorSpec], name: str | None = None) -> TensorSpec:
    """The output with the scores: the one called `name`, or the only one.

    Raises:
        OptionError: no output of that name, several without a name, or a shape other than
            ``(batch, classes)``.
    """
    matching = [spec for spec in outputs if name in (None, spec.name)]
    if len(matching) != 1:
        names = ", ".join(f"'{spec.name}'" for spec in outputs)
        raise OptionError(
            f"the network has outputs {names}"
            + ("" if name is None else f", and none called '{name}'")
            + "; select the one with the scores with --output-name NAME"
        )
    spec = matching[0]
    if len(spec.shape) < 2 or any(size != 1 for size in spec.shape[1:-1]) or spec.shape[-1] is None:
        raise OptionError(f"output '{spec.name}': expected (batch, classes), got {spec.describe()}")
    return spec


def _reader(output: TensorSpec, score_kind: str, temperature: float | None) -> Callable[[Array], Scores]:
    """A function from an output's own numbers (images, …, outputs) to scores (images, classes)."""
    real, check = dequantizer(output), score_check(output, score_kind)
    always_finite = is_always_finite(output)

    def checked(values: Array) -> Scores:
        numbers = real(values).reshape(len(values), -1)
        if not always_finite:
            _check_finite(numbers)
        return check(numbers)

    if temperature is not None:
        from edgevision.tasks.temperature import scaled_reader

        scaled, kind = scaled_reader(output, score_kind, temperature)

        def read_scaled(values: Array) -> Scores:
            checked(values)
            return _as_scores(scaled(values).reshape(len(values), -1), kind)

        return read_scaled
    if score_kind != "logits" and not _is_binary(output):
        return checked
    return lambda values: _as_scores(checked(values), score_kind)


def _number_reader(output: TensorSpec) -> Callable[[Array], Scores]:
    """A function from an output's own numbers to real numbers (images, classes)."""
    real = dequantizer(output)

    def read(values: Array) -> Scores:
        numbers = real(values).reshape(len(values), -1)
        _check_finite(numbers)
        return numbers

    return read


def _is_binary(output: TensorSpec) -> bool:
    return output.shape[-1] == 1
