"""Models without a runtime and without a bundle, for tests of applications.

Each function returns a real `Classifier`, `Detector` or generator: preprocessing, batches, thresholds,
results and errors are those of the library. Only the network is replaced, by fixed or computed answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgevision.errors import OptionError
from edgevision.imaging.preprocess import Preprocessing
from edgevision.session import CheckedSession, open_session
from edgevision.tasks.classify import Classifier
from edgevision.tasks.decoders.boxes_scores import BoxesScores
from edgevision.tasks.description import DetectTask, GenerateTask
from edgevision.tasks.detect import Detector
from edgevision.tasks.generation.image_to_image import ImageToImage
from edgevision.tasks.generation.latent import LatentGenerator
from edgevision.tasks.generation_settings import Condition, ImageToImageSettings, LatentSettings
from edgevision.tasks.score_calibration import OperatingPoint, ScoreCalibration
from edgevision.tensors import Array, TensorSpec
from edgevision.testing.fake import FakeBackend

Pixels = NDArray[np.uint8]
#: Label, score (0…1) and box (left, top, right, bottom) of an object.
FakeObject = tuple[str, float, tuple[float, float, float, float]]

Answers = Callable[[Mapping[str, Array]], Mapping[str, Any]]

#: Output of the fake detector -> its shape for one object.
_OBJECT: dict[str, tuple[int, ...]] = {"boxes": (4,), "scores": (), "classes": ()}
_MAX_OBJECTS = 100
_VECTOR_SIZE = 8


def fake_classifier(
    labels: Sequence[str],
    scores: ArrayLike | Callable[[Pixels], ArrayLike],
    *,
    size_wh: tuple[int, int] = (32, 32),
    multi_label: bool = False,
    operating_point: OperatingPoint | None = None,
) -> Classifier:
    """A `Classifier` that answers with these scores.

    Args:
        labels: one name per class; two or more.
        scores: one per class, 0…1; or a function from the image to these. The image is uint8
            ``(height, width, 3)`` RGB, resized to `size_wh`. The function may raise, as a network may.
        size_wh: width and height of the network's input.
        multi_label: whether the classes are independent.
        operating_point: for the class of interest, if there is one.

    Raises:
        OptionError: there is not one score, a number, per label.

    Example::

        >>> model = fake_classifier(["cat", "dog"], [0.25, 0.75])
        >>> model(np.zeros((480, 640, 3), np.uint8)).top(1)
        [ClassScore(label='dog', score=0.75, class_id=1)]
        >>> model = fake_classifier(["dark", "bright"], lambda image: [0, 1] if image.max() > 99 else [1, 0])
        >>> model(np.full((480, 640, 3), 200, np.uint8)).top(1)[0].label
        'bright'
    """

    def rows(values: ArrayLike) -> dict[str, Array]:
        try:
            array = np.asarray(values, np.float32)
        except (TypeError, ValueError) as error:
            raise OptionError(f"scores: expected one number per label, got {values!r}") from error
        if array.shape != (len(labels),):
            raise OptionError(f"scores: expected one per label ({len(labels)}), got {array.tolist()}")
        return {"scores": array}

    session = _image_session(size_wh, {"scores": (len(labels),)}, _answers(scores, rows))
    kind = "sigmoid" if multi_label else "softmax"
    calibration = ScoreCalibration(operating_point=operating_point)
    return Classifier(session, _preprocessing(size_wh), labels, kind, "scores", calibration)


def fake_detector(
    labels: Sequence[str],
    objects: Sequence[FakeObject] | Callable[[Pixels], Sequence[FakeObject]],
    *,
    size_wh: tuple[int, int] = (640, 480),
) -> Detector:
    """A `Detector` that answers with these objects, whatever their score and overlap.

    Thresholds of the call hold as for any detector.

    Args:
        labels: one name per class.
        objects: ``(label, score, (left, top, right, bottom))`` of each, up to 100, boxes in pixels of an
            image of `size_wh` (in an image of another size they move in proportion); or a function from
            the image to these. The image is uint8 ``(height, width, 3)`` RGB, resized to `size_wh`. The
            function may raise, as a network may.
        size_wh: width and height of the network's input.

    Raises:
        OptionError: an object's label is not in `labels`, or there are too many objects.

    Example::

        >>> model = fake_detector(["person", "car"], [("person", 0.9, (10, 20, 110, 220))])
        >>> [(found.label, found.box) for found in model(np.zeros((480, 640, 3), np.uint8))]
        [('person', (10.0, 20.0, 110.0, 220.0))]
        >>> len(model(np.zeros((480, 640, 3), np.uint8), score_threshold=0.95))
        0
    """

    def rows(values: Sequence[FakeObject]) -> dict[str, Array]:
        if len(values) > _MAX_OBJECTS:
            raise OptionError(f"objects: expected up to {_MAX_OBJECTS}, got {len(values)}")
        # Rows without an object have an empty box, which no detector returns.
        outputs = {name: np.zeros((_MAX_OBJECTS, *shape), np.float32) for name, shape in _OBJECT.items()}
        for place, (label, score, box) in enumerate(values):
            outputs["boxes"][place] = box
            outputs["scores"][place] = score
            outputs["classes"][place] = _class_id(label, labels)
        return outputs

    answers = _answers(objects, rows)
    shapes = {name: (_MAX_OBJECTS, *shape) for name, shape in _OBJECT.items()}
    settings = {name: name for name in _OBJECT} | {"box_format": "xyxy", "box_unit": "pixels"}
    decoder = BoxesScores()
    task = DetectTask(
        decoder.name, settings, score_threshold=0.0, iou_threshold=1.0, max_detections=_MAX_OBJECTS
    )
    session = _image_session(size_wh, shapes, answers)
    return Detector(session, _preprocessing(size_wh), labels, task, decoder)


def fake_generator(
    image: Pixels | Callable[[NDArray[np.float32], str | None], Pixels],
    *,
    labels: Sequence[str] = (),
    size_wh: tuple[int, int] = (32, 32),
    color: str = "rgb",
) -> LatentGenerator:
    """A generator whose `sample` answers with this image.

    Args:
        image: uint8 ``(height, width, channels)``; or a function from a seed's random vector, float32
            ``(8,)``, and the requested label (`None` without one) to such an image.
        labels: classes that a caller may ask for; empty for an unconditional network.
        size_wh: width and height of the images.
        color: ``rgb``, or ``gray`` for one channel.

    Raises:
        OptionError: the image has another size.

    Example::

        >>> model = fake_generator(np.full((32, 32, 3), 7, np.uint8), labels=["cat", "dog"])
        >>> images = model.sample(2, seed=5, condition="cat")
        >>> images.images.shape, images.seeds, int(images[0].max())
        ((2, 32, 32, 3), (5, 6), 7)
    """
    shape = (size_wh[1], size_wh[0], 1 if color == "gray" else 3)
    inputs = [TensorSpec("vector", (None, _VECTOR_SIZE), "float32")]
    condition = None
    if labels:
        inputs.append(TensorSpec("class", (None,), "int64"))
        condition = Condition("class", "class-id", len(labels), null_class=len(labels))

    if not callable(image):
        _checked_image(image, shape)

    def answers(tensors: Mapping[str, Array]) -> dict[str, Array]:
        vectors = tensors["vector"]
        names = [*labels, None]
        wanted = [names[number] for number in tensors["class"]] if labels else [None] * len(vectors)
        pairs = zip(vectors, wanted, strict=True)
        images = [image(vector.copy(), label) if callable(image) else image for vector, label in pairs]
        return {"images": np.stack([_checked_image(each, shape) for each in images])}

    session = _session(inputs, [TensorSpec("images", (None, *shape), "float32")], answers)
    settings = LatentSettings("vector", condition=condition)
    return LatentGenerator(session, GenerateTask("latent", "images", (0, 255), color, settings), labels)


def fake_image_to_image(
    change: Callable[[Pixels], Pixels], *, size_wh: tuple[int, int] = (32, 32), scale: int = 1
) -> ImageToImage:
    """An `ImageToImage` that answers with a function of the image.

    Args:
        change: from an image, uint8 ``(height, width, 3)`` RGB, resized to `size_wh`, to one `scale` times
            as large. It may raise, as a network may.
        size_wh: width and height of the network's input.
        scale: pixels of the output per pixel of the input, across and down.

    Raises:
        OptionError: an image that `change` returns has another size.

    Example::

        >>> model = fake_image_to_image(lambda image: 255 - image)
        >>> int(model(np.full((480, 640, 3), 200, np.uint8))[0].max())
        55
    """
    shape = (size_wh[1] * scale, size_wh[0] * scale, 3)
    answers = _for_each_image(lambda image: {"images": _checked_image(change(image), shape)})
    session = _image_session(size_wh, {"images": shape}, answers)
    task = GenerateTask("image-to-image", "images", (0, 255), "rgb", ImageToImageSettings(fit="resize"))
    return ImageToImage(session, task, _preprocessing(size_wh))


def _answers(value: Any, outputs_of: Callable[[Any], Mapping[str, Array]]) -> Answers:
    """Answers for a value, or for a function from an image to one; `outputs_of` turns it into outputs."""
    if callable(value):
        return _for_each_image(lambda image: outputs_of(value(image)))
    fixed = outputs_of(value)  # checked now, and not in the first call
    return _for_each_image(lambda image: fixed)


def _for_each_image(answer: Callable[[Pixels], Mapping[str, Array]]) -> Answers:
    def answers(inputs: Mapping[str, Array]) -> dict[str, Array]:
        rows = [answer(image.copy()) for image in inputs["image"]]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    return answers


def _image_session(
    size_wh: tuple[int, int], outputs: Mapping[str, tuple[int, ...]], answers: Answers
) -> CheckedSession:
    width, height = size_wh
    image = TensorSpec("image", (None, height, width, 3), "uint8")
    specs = [TensorSpec(name, (None, *shape), "float32") for name, shape in outputs.items()]
    return _session([image], specs, answers)


def _session(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], answers: Answers) -> CheckedSession:
    return open_session(FakeBackend(answers), FakeBackend.artifact(inputs, outputs))


def _preprocessing(size_wh: tuple[int, int]) -> Preprocessing:
    """Pixels as they are."""
    return Preprocessing(size_wh, value_range=(0.0, 255.0))


def _class_id(label: str, labels: Sequence[str]) -> int:
    if label not in labels:
        raise OptionError(f"objects: '{label}' is not in the label list ({', '.join(labels)})")
    return list(labels).index(label)


def _checked_image(image: Pixels, shape: tuple[int, ...]) -> Pixels:
    if image.shape != shape or image.dtype != np.uint8:
        raise OptionError(f"image: expected {shape} uint8, got {image.shape} {image.dtype.name}")
    return image
