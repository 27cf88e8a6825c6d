"""The border that a backend implements, and the slots that make its sessions safe to share.

A plugin gives a `Backend`. Its `open` loads one artifact from bytes on one device and gives a
`Session`. The core (`edgevision.session`) checks every tensor before a session sees it, so that
the same wrong input gives the same words on every backend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from edgevision.artifact import Artifact
from edgevision.errors import OptionError, OutputError
from edgevision.tensors import Array, TensorSpec


class DeviceInfo(NamedTuple):
    """A device that a backend can run on here.

    Attributes:
        name: what `SessionSettings.device` takes, such as ``cpu``, ``gpu`` or ``cuda:0``.
        description: what the maker calls it.
    """

    name: str
    description: str


@dataclass(frozen=True)
class SessionSettings:
    """How an artifact is to be run. What is asked for here is what runs, or `open` raises.

    Attributes:
        device: one of the backend's device names; ``None`` is the backend's default device.
        precision: in which the float parts are computed: ``float32``, ``float16`` or
            ``bfloat16``. ``None`` is the artifact's own: a float32 artifact never runs lower.
        threads: CPU threads for one call; ``None`` leaves the choice to the runtime.
        cache_dir: where a runtime may keep compiled models; ``None`` keeps none.
        options: what only this backend knows; unknown names are refused.
    """

    device: str | None = None
    precision: str | None = None
    threads: int | None = None
    cache_dir: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise OptionError(f"threads: expected 1 or more, got {self.threads}")

    def check_options(self, backend: str, known: Sequence[str]) -> None:
        """Refuse options that `backend` does not know.

        Raises:
            OptionError: names the unknown option and the known ones.
        """
        for name in self.options:
            if name not in known:
                raise OptionError(
                    f"backend '{backend}' has no option '{name}'; it has: {', '.join(known) or 'none'}"
                )

    def cache_folder(self, *parts: str) -> Path | None:
        """The folder for compiled models, or a part of it, made if it is not there yet.

        Raises:
            OutputError: it cannot be made.
        """
        if self.cache_dir is None:
            return None
        folder = self.cache_dir.joinpath(*parts)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cache_dir {folder}: cannot be made: {error.strerror or error}; name another folder, or none"
            ) from error
        return folder


class Session(Protocol):
    """One artifact, loaded by one backend on one device. Safe to share between threads.

    Attributes:
        inputs: what `run` takes. Only the batch may be open.
        outputs: what `run` gives.
        device: where it really runs, such as ``cpu`` or ``cuda:0``.
        precision: what the float parts are really computed in, or ``int8`` if there are none.
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
            InferenceError: the runtime failed. The next call starts afresh.
        """
        ...

    def close(self) -> None:
        """Give back what the runtime holds. May be called twice."""
        ...


class Slot(Protocol):
    """One interpreter or request, with its input memory, for one thread at a time.

    Attributes:
        inputs: name -> array that the runtime reads from: write into it, never replace it. What stands
            in it stays there from one run to the next.
    """

    @property
    def inputs(self) -> Mapping[str, Array]: ...

    def run(self) -> dict[str, Array]:
        """Run on what `inputs` hold now; as `Session.run` in all else."""
        ...


@runtime_checkable
class StagedSlot(Slot, Protocol):
    """A slot whose `run` can be timed in its parts. They raise what the runtime raises, unwrapped."""

    def feed(self) -> None:
        """Bring `inputs` to where the runtime reads them; nothing where it reads them in place."""
        ...

    def invoke(self) -> None:
        """The runtime's own call, on what was fed last."""
        ...

    def fetch(self) -> dict[str, Array]:
        """The outputs of the last call, as `run` gives them."""
        ...


@runtime_checkable
class LeasingSession(Protocol):
    """A session that offers its input memory, so that preprocessing writes straight into it."""

    def lease(self, batch: int = 1) -> AbstractContextManager[Slot]:
        """Lend a slot to the calling thread for one batch size."""
        ...


class Backend(Protocol):
    """A runtime, as a plugin offers it.

    Attributes:
        name: also the name of the extra that installs it: ``tflite``, ``openvino``, ``cuda``.
        formats: of the artifacts that it loads, its own first.
        options: names that `SessionSettings.options` may have.
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
        """What it can run on here, its default first.

        Raises:
            MissingRuntimeError: the runtime is not installed.
            DeviceError: it is, and finds no device that it can run on; says why.
        """
        ...

    def open(self, artifact: Artifact, settings: SessionSettings) -> Session:
        """Load an artifact from its bytes.

        Raises:
            MissingRuntimeError: the runtime is not installed.
            DeviceError: the device or precision asked for cannot be had.
            ArtifactError: the runtime refuses the artifact.
            OptionError: an option is unknown or has a wrong value.
        """
        ...


@dataclass(frozen=True)
class ArtifactDescription:
    """What an artifact says of itself; ``None`` where it says nothing.

    Attributes:
        labels: one name a class.
        value_range, mean, scale: what its image input takes, as in
            `edgevision.imaging.preprocess.Preprocessing`: all three, or none.
        score_kind: ``softmax``, ``sigmoid`` or ``logits``: what its output holds.
        task: ``classify`` or ``detect``.
        decoder: name of the decoder that reads a detector's outputs.
        output_places: setting of that decoder -> place, among the outputs, of the one that it names.
    """

    labels: tuple[str, ...] | None = None
    value_range: tuple[float, float] | None = None
    mean: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None
    score_kind: str | None = None
    task: str | None = None
    decoder: str | None = None
    output_places: Mapping[str, int] = field(default_factory=dict)


@runtime_checkable
class DescribingBackend(Protocol):
    """A backend that can tell what an artifact says of itself, without loading it."""

    def describe(self, artifact: Artifact) -> ArtifactDescription:
        """Read what is in the artifact; the runtime is not needed.

        Raises:
            ArtifactError: the artifact is damaged.
        """
        ...


@runtime_checkable
class DoubtingBackend(Protocol):
    """A backend that knows of processors on which its runtime may compute something else."""

    def doubt(self, precision: str, device: str) -> str:
        """Why an artifact of this precision may not compute here what was measured; empty if nothing says so.

        `edgevision.load` then checks the bundle's known answers, whether it was asked to or not.
        """
        ...
