"""The interface that a backend implements.

A plugin provides a `Backend`. Its `open` loads one artifact from bytes on one device and returns a
`Session`. The core (`edgevision.session`) checks every tensor before a session sees it, so that the
same wrong input raises the same error on every backend.

A session may also lend slots (`LeasingSession`): a `Slot` is one interpreter or request with its input
memory, for one thread at a time. Preprocessing then writes straight into the memory that the runtime
reads. `edgevision.slots` has the pool and the session that do so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from edgevision.artifact import Artifact
from edgevision.errors import ArtifactError, DeviceError, OpenSizeError, OptionError, OutputError
from edgevision.system.arguments import (
    mapping,
    one_of,
    optional_path,
    optional_text,
    real_number,
    sequence,
    text,
    whole_number,
    whole_numbers,
)
from edgevision.system.numeric import plain
from edgevision.system.shown import shown
from edgevision.tensors import MAX_SIDE, Array, TensorSpec

#: Runtimes start threads for any number, and fail in their own words where it exceeds 32 bits.
_MOST_THREADS = 1024


class DeviceInfo(NamedTuple):
    """A device of this machine that a backend can run on.

    Attributes:
        name: the value for `SessionSettings.device`, such as ``cpu``, ``gpu`` or ``cuda:0``.
        description: the vendor's name for it.
    """

    name: str
    description: str


@dataclass(frozen=True)
class SessionSettings:
    """How to run an artifact. `open` does exactly what is requested here, or raises.

    Attributes:
        device: one of the backend's device names; ``None`` is the backend's default device.
        precision: in which the float parts are computed: ``float32``, ``float16``, ``bfloat16``, or a
            word of the backend's own. ``None`` is the artifact's own: a float32 artifact never runs lower.
        threads: CPU threads for one call; ``None`` leaves the choice to the runtime.
        cache_dir: folder in which a runtime may keep compiled models; ``None`` keeps none.
        options: options of the backend's own; unknown names are refused.
        image_size_wh: width and height of the image input, for an artifact that leaves them open.
    """

    device: str | None = None
    precision: str | None = None
    threads: int | None = None
    cache_dir: str | Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    image_size_wh: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name in ("device", "precision"):
            object.__setattr__(self, name, optional_text(getattr(self, name), name))
        if self.image_size_wh is not None:
            sizes = whole_numbers(self.image_size_wh, "image_size_wh", least=1)
            if len(sizes) != 2 or max(sizes) > MAX_SIDE:
                raise OptionError(
                    f"image_size_wh: expected (width, height), got {shown(self.image_size_wh, 100)}"
                )
            object.__setattr__(self, "image_size_wh", tuple(sizes))
        if self.threads is not None:
            threads = whole_number(self.threads, "threads", least=1)
            if threads > _MOST_THREADS:
                raise OptionError(f"threads: expected {_MOST_THREADS} at most, got {threads}")
            object.__setattr__(self, "threads", threads)
        object.__setattr__(self, "cache_dir", optional_path(self.cache_dir, "cache_dir"))
        object.__setattr__(self, "options", plain(mapping(self.options, "options")))

    def check_options(self, backend: str, known: Sequence[str]) -> None:
        """Refuse options that `backend` does not have.

        Raises:
            OptionError: names the unknown option and the known ones.
        """
        for name in self.options:
            if name not in known:
                raise OptionError(
                    f"backend '{backend}' has no option '{name}'; it has: {', '.join(known) or 'none'}"
                )

    def check_device(self, backend: str, known: Sequence[str], hint: str = "") -> None:
        """Refuse a device that `backend` does not have; ``None``, its default, passes.

        Args:
            backend: name of the backend.
            known: names of its devices.
            hint: next step for a caller who wants another device.

        Raises:
            DeviceError: names the requested device and the known ones.
        """
        if self.device is not None and self.device not in known:
            raise DeviceError(
                f"backend '{backend}' has no device '{self.device}'; it has: {', '.join(known)}"
                + (f"; {hint}" if hint else "")
            )

    def cache_folder(self, *parts: str) -> Path | None:
        """The folder for compiled models, or a folder below it, created if missing; `None` without one.

        Raises:
            OutputError: it cannot be created.
        """
        if self.cache_dir is None:
            return None
        folder = Path(self.cache_dir, *(text(part, "parts") for part in parts))
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cache_dir {folder}: cannot be created: {error.strerror or error}; choose another folder"
            ) from error
        return folder


class Session(Protocol):
    """One artifact, loaded by one backend on one device. Safe to share between threads.

    Attributes:
        inputs: specs of the inputs. Only the batch size may be open.
        outputs: specs of the outputs.
        device: where it actually runs, such as ``cpu`` or ``cuda:0``.
        precision: in which the float parts are actually computed, or ``int8`` if there are none.
    """

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...
    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...
    @property
    def device(self) -> str: ...
    @property
    def precision(self) -> str: ...

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run once, on tensors that the core has checked.

        Args:
            inputs: name -> array of the input's dtype and shape, all with the same batch;
                C-contiguous, only read, and not kept.

        Returns:
            name -> array, for every output. The caller owns the arrays: no later call
            changes them.

        Raises:
            InferenceError: the runtime failed. The next call is not affected.
        """
        ...

    def close(self) -> None:
        """Release the runtime's resources. May be called twice."""
        ...


class Slot(Protocol):
    """One interpreter or request, with its input memory, for one thread at a time.

    A session leases its slots: the thread that holds the lease writes the inputs and runs, and no
    other thread uses the slot until the lease ends.

    Attributes:
        inputs: name -> array that the runtime reads from: write into it, never replace it. Its
            content stays from one run to the next.
    """

    @property
    def inputs(self) -> Mapping[str, Array]: ...

    def run(self) -> dict[str, Array]:
        """Run on the current content of `inputs`; otherwise as `Session.run`."""
        ...


@runtime_checkable
class StagedSlot(Slot, Protocol):
    """A slot whose `run` can be timed stage by stage. The stages raise the runtime's own exceptions."""

    def feed(self) -> None:
        """Copy `inputs` to where the runtime reads them; nothing where it reads them in place."""
        ...

    def invoke(self) -> None:
        """The runtime's own call, on the inputs fed last."""
        ...

    def fetch(self) -> dict[str, Array]:
        """The outputs of the last call, as `run` returns them."""
        ...


@runtime_checkable
class LeasingSession(Protocol):
    """A session that offers its input memory, so that preprocessing writes straight into it."""

    def lease(self, batch: int = 1) -> AbstractContextManager[Slot]:
        """Lend a slot for a batch size to the calling thread, until the block ends."""
        ...


class Backend(Protocol):
    """A runtime, as a plugin provides it.

    Attributes:
        name: also the name of the extra that installs it: ``tflite``, ``openvino``, ``cuda``.
        formats: formats of the artifacts that it loads, its native format first.
        options: names that `SessionSettings.options` may contain.

    A backend may also have an attribute ``file_formats``: a `edgevision.artifact.FileFormat` for each of its
    formats that comes in other files than those named ``.FORMAT``. Bare files are recognised by these. A
    true attribute ``symmetric_int8`` says that its int8 kernels take only activations without a zero point:
    conversions make artifacts for it in that form (`edgevision.converter.SymmetricConverter`). An attribute
    ``compute_precisions`` maps words for `SessionSettings.precision` besides the three to what each means,
    such as ``{"fp8": "E4M3 products, summed in float32"}``.
    """

    @property
    def name(self) -> str: ...
    @property
    def formats(self) -> tuple[str, ...]: ...
    @property
    def options(self) -> tuple[str, ...]: ...

    def version(self) -> str:
        """The runtime's name and version, such as ``ai-edge-litert 2.3.0``.

        Raises:
            MissingRuntimeError: it is not installed.
        """
        ...

    def devices(self) -> Sequence[DeviceInfo]:
        """The devices of this machine that it can run on, its default first.

        Raises:
            MissingRuntimeError: the runtime is not installed.
            DeviceError: it is installed and finds no device that it can run on; says why.
        """
        ...

    def open(self, artifact: Artifact, settings: SessionSettings) -> Session:
        """Load an artifact from its bytes.

        Raises:
            MissingRuntimeError: the runtime is not installed.
            DeviceError: the requested device or precision is not available.
            ArtifactError: the runtime refuses the artifact.
            OptionError: an option is unknown or has an invalid value.
        """
        ...


@dataclass(frozen=True)
class UnsupportedMetadata:
    """A statement in an artifact's metadata that EdgeVision does not support, or that contradicts another.

    The artifact is refused, unless the caller states the field instead.

    Attributes:
        field: which of the caller's statements overrides it: ``values``, ``color``, ``resize``,
            ``interpolation``, ``size``, ``labels``, ``scores``, ``decoder``; ``kind``: of its outputs, by
            either of the last two; or ``task``: none does.
        said: the statement and where it stands, such as ``model_info/resize_type 'fold'``.
        reason: why it cannot be obeyed, such as ``expected one of standard, crop``.
    """

    field: str
    said: str
    reason: str


@dataclass(frozen=True)
class ArtifactDescription:
    """Metadata that an artifact carries; ``None`` where it carries none.

    Attributes:
        labels: one name per class.
        first_label: name of the class that precedes `labels` where the network has one class more than
            these; empty if such a network is refused.
        value_range, mean, scale: normalization of its image input, as in
            `edgevision.imaging.preprocess.Preprocessing`: all three, or none.
        integers_as_pixels: an integer input takes the pixel values as they are, whatever the normalization.
        color: channel order of its image input: ``rgb``, ``bgr`` or ``gray``.
        resize, interpolation, pad_value: as in `edgevision.imaging.preprocess.Preprocessing`.
        size_wh: width and height of its image input.
        score_kind: type of its output: ``softmax``, ``sigmoid`` or ``logits``.
        side_outputs: names of outputs that hold no scores, where there are several.
        score_sigmoids: calibration of each class's score; ``None`` without one.
        task: ``classify``, ``detect``, or another word, such as ``pose``.
        decoders: name of each decoder that a detector's outputs may be for -> its settings, the likeliest
            first; the outputs' shapes decide.
        output_places: setting of the first decoder -> index of the output that the setting names.
        thresholds: ``score_threshold``, ``iou_threshold``, ``max_detections``, where the metadata has them.
        unsupported: statements that cannot be obeyed.
    """

    labels: tuple[str, ...] | None = None
    first_label: str = ""
    value_range: tuple[float, float] | None = None
    mean: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None
    integers_as_pixels: bool = False
    color: str | None = None
    resize: str | None = None
    interpolation: str | None = None
    pad_value: int | None = None
    size_wh: tuple[int, int] | None = None
    score_kind: str | None = None
    side_outputs: tuple[str, ...] = ()
    score_sigmoids: ScoreSigmoids | None = None
    task: str | None = None
    decoders: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    output_places: Mapping[str, int] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    unsupported: tuple[UnsupportedMetadata, ...] = ()


@dataclass(frozen=True)
class ScoreSigmoids:
    """Calibration of scores by a sigmoid for each class, as in TFLite Metadata's ``ScoreCalibrationOptions``.

    A score s becomes ``scale / (1 + exp(-(slope * g(s) + offset)))``.

    Attributes:
        transformation: g: ``identity``; ``log``; or ``inverse-logistic``, log(s) - log(1 - s).
        parameters: scale, slope, offset and the lowest score (or -infinity) of each class; `None` for a class
            without a sigmoid.
        default_score: of a class without a sigmoid, and of scores below the lowest.

    Raises:
        OptionError: a field has an invalid value; names it.
    """

    transformation: str
    parameters: tuple[tuple[float, float, float, float] | None, ...]
    default_score: float = 0.0

    def __post_init__(self) -> None:
        one_of(self.transformation, ("identity", "log", "inverse-logistic"), "transformation")
        rows = []
        for row in sequence(self.parameters, "parameters", "sigmoids"):
            numbers = None if row is None else tuple(sequence(row, "parameters", "numbers"))
            if numbers is not None:
                numbers = tuple(real_number(number, "parameters", finite=False) for number in numbers)
                if len(numbers) != 4 or not all(map(math.isfinite, numbers[:3])) or math.isnan(numbers[3]):
                    raise OptionError(
                        f"parameters: expected scale, slope, offset and the lowest score, got {shown(row)}"
                    )
            rows.append(numbers)
        object.__setattr__(self, "parameters", tuple(rows))
        object.__setattr__(self, "default_score", real_number(self.default_score, "default_score"))


@runtime_checkable
class DescribingBackend(Protocol):
    """A backend that can read an artifact's metadata without loading it."""

    def describe(self, artifact: Artifact) -> ArtifactDescription:
        """Read the metadata in the artifact; the runtime is not needed.

        Raises:
            ArtifactError: the artifact is damaged.
        """
        ...


class Companion(NamedTuple):
    """A file that belongs to an artifact and lies beside its first file.

    Attributes:
        name: relative to that file's folder, with ``/``; never absolute, never leading out of it.
        required: whether the artifact is incomplete without it.
        alone: whether it can belong to this artifact only where its folder holds no other file with the
            suffix of the artifact's first file.
    """

    name: str
    required: bool = True
    alone: bool = False


@runtime_checkable
class CompanionBackend(Protocol):
    """A backend whose formats may have further files beside the first one."""

    def companions(self, artifact: Artifact) -> Sequence[Companion]:
        """The files that belong to an artifact of one of the backend's formats; the runtime is not needed.

        Args:
            artifact: a bare artifact, with the files that its suffix implies.

        Raises:
            ArtifactError: the artifact is damaged, or names a file outside its folder.
        """
        ...


@runtime_checkable
class DoubtingBackend(Protocol):
    """A backend that knows of processors on which its runtime may compute other results."""

    def doubt(self, precision: str, device: str) -> str:
        """Why an artifact of this precision may compute other results on this machine; empty for no reason.

        With a reason, `edgevision.load` always checks the bundle's known answers.
        """
        ...


def check_open_sizes(artifact: Artifact, inputs: Sequence[TensorSpec]) -> None:
    """Refuse an artifact with an input whose open sizes are more than the batch.

    Raises:
        OpenSizeError: names the input and its sizes.
    """
    for spec in inputs:
        if None in spec.shape[1:]:
            raise OpenSizeError(
                f"{artifact.name}: input '{spec.name}': only the batch size may be open, "
                f"got {spec.describe()}; convert the model with a fixed image size, or pass --input-size WxH"
            )


def fixed_image_shape(
    artifact: Artifact, name: str, shape: Sequence[int | None], size_wh: tuple[int, int] | None
) -> tuple[int | None, ...]:
    """The shape of an input with its open width and height fixed; unchanged if it leaves neither open.

    Args:
        artifact: the artifact, for errors.
        name: of the input.
        shape: its sizes; `None` for an open one.
        size_wh: `SessionSettings.image_size_wh`; `None` fixes nothing.

    Raises:
        ArtifactError: the number of channels is open as well, or one of the two sizes is fixed to another.
    """
    sizes = tuple(shape)
    if size_wh is None or len(sizes) != 4 or None not in sizes[1:]:
        return sizes
    if sizes[3] in (1, 3) and sizes[1] not in (1, 3):
        rows, columns = 1, 2
    elif sizes[1] in (1, 3):
        rows, columns = 2, 3
    else:
        raise ArtifactError(
            f"{artifact.name}: input '{name}': the number of channels is open, so its layout is unknown; "
            "convert the model with a fixed image size"
        )
    width, height = size_wh
    fixed = list(sizes)
    for place, size in ((rows, height), (columns, width)):
        if sizes[place] not in (None, size):
            raise ArtifactError(
                f"{artifact.name}: input '{name}': expected a size of {width}x{height}, but the model fixes "
                f"{'height' if place == rows else 'width'} to {sizes[place]}; pass another --input-size"
            )
        fixed[place] = size
    return tuple(fixed)
