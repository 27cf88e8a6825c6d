"""Models that run their network once per image: a base for those of a plugin's task."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np

from edgevision.errors import InferenceError, OptionError
from edgevision.imaging.decode import as_batch, as_frame
from edgevision.imaging.frame import Frame
from edgevision.imaging.placement import Placement, placement_of
from edgevision.imaging.preprocess import Preprocessing, Preprocessor
from edgevision.observation import observers
from edgevision.session import CheckedSession
from edgevision.system.arguments import instance
from edgevision.tasks.base import image_input
from edgevision.tasks.batches import is_batch, parts
from edgevision.tasks.image_model import ImageModel
from edgevision.tasks.labels import as_labels
from edgevision.tensors import Array, TensorSpec, check_outputs, dequantizer

ResultT = TypeVar("ResultT")


@runtime_checkable
class SingleRun(Protocol):
    """A model whose answer about an image takes one run of the network, with stages that run alone.

    Attributes:
        preprocessing: from an image to its input.
        preprocess: writes an image into a row of that input.
    """

    preprocessing: Preprocessing
    preprocess: Preprocessor

    def __call__(self, images: Any, color: str = "rgb") -> Any:
        """The result of an image, or a list of them for a batch."""
        ...

    def read(self, outputs: Mapping[str, Array], sizes_wh: Sequence[tuple[int, int]]) -> Any:
        """The results of a run, from the network's outputs and the size of each image."""
        ...


class NetworkModel(ImageModel[ResultT], Generic[ResultT]):
    """A model with one network that takes one image: batches, observers and dequantization.

    Args:
        session: the network, with one input, an image.
        preprocessing: from an image to that input.
        labels: one name per class, or none.
        task: the task's description.

    Raises:
        OptionError: the network has another number of inputs, or an output without its batch.
    """

    def __init__(
        self, session: CheckedSession, preprocessing: Preprocessing, labels: Sequence[str], task: Any
    ) -> None:
        super().__init__(session)
        self.preprocessing = instance(preprocessing, Preprocessing, "preprocessing")
        self.labels = as_labels(labels)
        self.task = task
        self._input = image_input(session, task.name)
        for output in session.outputs:
            if output.shape[:1] != self._input.shape[:1]:
                raise OptionError(
                    f"output '{output.name}': expected the input's batch as its first dimension, "
                    f"got {output.describe()}; export the model with one row of outputs per image"
                )
        self._preprocess = Preprocessor(preprocessing, self._input)
        self._dequantize = [(spec.name, dequantizer(spec)) for spec in session.outputs]

    @abstractmethod
    def _run(self, images: Any, color: str, call: Mapping[str, Any]) -> list[ResultT]:
        """The results of a list of images that fill one run of the network."""

    def __call__(self, images: Any, color: str = "rgb", **call: Any) -> Any:
        """The result of one image, or a list of them for a batch.

        Args:
            images: one image, or a list or tuple of them, or an array uint8 ``(n, h, w, 3)``; each as
                `edgevision.Classifier` takes it.
            color: channel order of arrays: ``rgb`` or ``bgr``; or a YUV format.
            call: arguments that `_result` takes.

        Raises:
            InputError: an image cannot be read.
            InferenceError: the runtime failed, or its outputs are not valid.
        """
        if observers.listening and self.observed:
            from edgevision.tasks.observed import observed_call

            return observed_call(self, images, color, lambda model, given: model(given, **call))
        if not is_batch(images):
            return self._run([images], color, call)[0]
        images = as_batch(images)
        runs = parts(len(images), self.session.dynamic_batch)
        return [result for run in runs for result in self._run(images[run], color, call)]

    @property
    def call_arguments(self) -> tuple[str, ...]:
        """As `ImageModel.call_arguments`: those of `_result` that have defaults."""
        parameters = inspect.signature(type(self)._result).parameters.values()  # type: ignore[attr-defined]
        return tuple(one.name for one in parameters if one.default is not one.empty)

    def outputs_of(self, frame: Frame) -> dict[str, Array]:
        """The outputs of the network for one image, as `_rows` has them.

        Raises:
            InferenceError: the runtime failed.
        """
        with self.session.lease(1) as slot:
            self._preprocess.put(frame, slot.inputs[self._input.name][0])
            outputs = self._rows(slot.run(), 1)[0]
            return {name: values.copy() for name, values in outputs.items()}

    def _rows(self, outputs: Mapping[str, Array], count: int) -> list[dict[str, Array]]:
        """For each image of a run, output name -> float32 array without the batch dimension, dequantized.

        Raises:
            InferenceError: an output has another number of rows.
        """
        rows = {name: dequantize(outputs[name]) for name, dequantize in self._dequantize}
        for name, row in rows.items():
            if len(row) != count:
                raise InferenceError(
                    f"output '{name}' has {len(row)} rows for {count} images; expected one for each"
                )
        return [{name: np.asarray(row[place]) for name, row in rows.items()} for place in range(count)]

    def _details(self) -> tuple[str, ...]:
        width, height = self.preprocessing.size_wh
        classes = (f"{len(self.labels)} classes",) if self.labels else ()
        return (f"input {width}x{height}", *classes)


class SingleRunModel(NetworkModel[ResultT], Generic[ResultT]):
    """A model that runs its network once per image. Safe to share between threads.

    A subclass says what the outputs for one image mean (`_result`). Arguments and errors are those of
    `NetworkModel`.

    Attributes:
        preprocess: writes an image into a row of the network's input.
    """

    @property
    def preprocess(self) -> Preprocessor:
        """Writes an image into a row of the network's input."""
        return self._preprocess

    @abstractmethod
    def _result(
        self, outputs: Mapping[str, Array], size_wh: tuple[int, int], placement: Placement
    ) -> ResultT:
        """The result of one image.

        Args:
            outputs: output name -> float32 array without the batch dimension, dequantized. Not modified.
            size_wh: width and height of the image.
            placement: from coordinates in the network's input to those in the image.

        A subclass may take further arguments, by name and with defaults: those of its calls.

        Raises:
            InferenceError: the outputs are not valid.
        """

    def read(self, outputs: Mapping[str, Array], sizes_wh: Sequence[tuple[int, int]]) -> list[ResultT]:
        """The results of a run.

        Args:
            outputs: the outputs of one run, from `edgevision.backend.Slot.run`.
            sizes_wh: width and height of each image.

        Raises:
            InferenceError: the outputs are not valid.
        """
        check_outputs(self.session.outputs, outputs)
        return self._read(outputs, sizes_wh, {})

    def resized_result(self, frame: Frame, size_wh: tuple[int, int]) -> ResultT:
        """The result of one image that has been resized already.

        Args:
            frame: at the size of the network's input.
            size_wh: width and height of the image itself, whose coordinates the result has.

        Raises:
            InferenceError: the runtime failed, or its outputs are not valid.
        """
        placement = placement_of(self.preprocessing, size_wh)
        return self._result(self.outputs_of(frame), size_wh, placement)

    def _run(self, images: Any, color: str, call: Mapping[str, Any]) -> list[ResultT]:
        sizes_wh = []
        with self.session.lease(len(images)) as slot:
            for row, image in zip(slot.inputs[self._input.name], images, strict=True):
                frame = as_frame(image, color)
                self._preprocess.put(frame, row)
                sizes_wh.append(frame.size_wh)
            # A slot's outputs are overwritten by its next run: results copy what they keep of them.
            return self._read(slot.run(), sizes_wh, call)

    def _read(
        self, outputs: Mapping[str, Array], sizes_wh: Sequence[tuple[int, int]], call: Mapping[str, Any]
    ) -> list[ResultT]:
        rows = self._rows(outputs, len(sizes_wh))
        return [
            self._result(row, size_wh, placement_of(self.preprocessing, size_wh), **call)
            for row, size_wh in zip(rows, sizes_wh, strict=True)
        ]


def stated_output(outputs: Sequence[TensorSpec], name: str | None, what: str) -> TensorSpec:
    """The output that a task reads: the one called `name`, or the only one.

    Args:
        outputs: of the network.
        name: as stated; `None` takes the only one.
        what: it holds, for the error, such as ``the values``.

    Raises:
        OptionError: there is none of that name, or no name was given and there are several.
    """
    named = [spec for spec in outputs if spec.name == name or (name is None and len(outputs) == 1)]
    if not named:
        names = ", ".join(f"'{spec.name}'" for spec in outputs)
        raise OptionError(f"the network has the outputs {names}; pass --output-name with that of {what}")
    return named[0]
