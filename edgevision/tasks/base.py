"""The base of all models: a session that is closed with them, and checks of its tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from weakref import finalize

from edgevision.errors import CopyError, OptionError
from edgevision.session import CheckedSession
from edgevision.system.arguments import instance
from edgevision.tensors import TensorSpec

if TYPE_CHECKING:  # who asks for no health does not wait for threads and clocks
    from edgevision.health import Check, Health, HealthChecks
    from edgevision.imaging.gate import InputGate
    from edgevision.system.clock import Clock
    from edgevision.tasks.score_calibration import ScoreCalibration

Model = TypeVar("Model", bound="TaskModel")


class TaskModel:
    """A network with its pre- and postprocessing; closing it closes its session.

    Attributes:
        session: the network.
        task: its task, as a manifest has it.
        bundle_digest: of the bundle that it was loaded from, to be recorded with results; `None` for a bare
            file.
        observed: False for a model whose answers are told to observers by its caller, such as a stream.

    Raises:
        OptionError: `session` is something else than a session.
    """

    task: Any
    bundle_digest: str | None = None
    observed: bool = True
    # Without their types here, which whoever evaluates annotations of a model would have to import.
    _input_gate: Any = None
    _known_check: Any = None
    _monitor: Any = None

    def __init__(self, session: CheckedSession) -> None:
        self.session = instance(session, CheckedSession, "session")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {', '.join((str(self.session), *self._details()))}>"

    @property
    def fitted_scores(self) -> ScoreCalibration | None:
        """Temperature and operating point that were fitted to this artifact, if there are any."""
        return None

    def close(self) -> None:
        """Release the runtime's resources. May be called twice."""
        self.session.close()
        if self._monitor is not None:
            self._monitor.stop()

    def health(self, check: bool | None = None) -> Health:
        """The health of this model by name, from a real inference whose answer is known.

        A model of a bundle must give the known answers of its bundle, one more of them at each check. One
        without known answers must answer the same noise as it did at the first check.

        Args:
            check: `True` runs the model on a known input now, in this thread, as long as that takes; `False`
                says what is known already; `None` checks unless a schedule does, see `health_every_s` of
                `edgevision.load`.

        Raises:
            ForkedSessionError: the model was loaded before this process was forked.
        """
        if self._monitor is None:
            from edgevision.health import SessionMonitor

            self._monitor = SessionMonitor(self.session, self._known_check, None, self.bundle_digest)
        health: Health = self._monitor.health(check)
        return health

    @property
    def is_watched(self) -> bool:
        """True if the health is checked by a schedule."""
        return self._monitor is not None and bool(self._monitor.scheduled)

    @property
    def input_gate(self) -> InputGate | None:
        """Limits beyond which frames of streams are not answered; `None` answers all. May be set."""
        gate: InputGate | None = self._input_gate
        return gate

    @input_gate.setter
    def input_gate(self, gate: InputGate | None) -> None:
        if gate is not None:
            from edgevision.imaging.gate import InputGate

            instance(gate, InputGate, "input_gate")
        self._input_gate = gate

    def check_by(self, prepare: Callable[[], Check]) -> None:
        """Check the health by known answers from now on, which `edgevision.load` has.

        Args:
            prepare: makes the check; called before the first one.
        """
        self._known_check = prepare

    def watch(self, checks: HealthChecks, clock: Clock | None = None) -> None:
        """Check the health by a schedule from now on, until the model is closed.

        A check is one inference in a thread of its own: a call that comes meanwhile waits for it at most.

        Args:
            checks: the schedule.
            clock: the time and its threads, for tests: `edgevision.testing.SimulatedClock`.
        """
        from edgevision.health import SessionMonitor

        if self.is_watched:
            raise OptionError("watch: this model is checked by a schedule already")
        monitor = SessionMonitor(self.session, self._known_check, checks, self.bundle_digest, clock)
        self._monitor = monitor
        finalize(self, monitor.stop)  # its threads hold the session, and never the model
        monitor.start()

    def unobserved(self: Model) -> Model:
        """The same model, over the same session, of whose answers observers are not told."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.observed = False
        return twin

    def over(self: Model, session: CheckedSession) -> Model:
        """The same model over a view of its own session; nothing is loaded or prepared again."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.session = session
        return twin

    def __reduce__(self) -> NoReturn:
        raise CopyError(
            f"{type(self).__name__}: a model belongs to the process that loaded it, and cannot be copied or "
            "pickled; share it between threads, or pass its path and call edgevision.load in that process"
        )

    def __enter__(self: Model) -> Model:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _details(self) -> tuple[str, ...]:
        """Further facts for `repr`."""
        return ()


def where_it_ran(session: CheckedSession) -> dict[str, str]:
    """Backend, device and precision, to be recorded with a result."""
    return {"backend": session.backend, "device": session.device, "precision": session.precision}


def image_input(session: CheckedSession, task: str) -> TensorSpec:
    """The only input of a network that takes an image.

    Args:
        session: the network.
        task: for the error, such as ``detection``.

    Raises:
        OptionError: there are several inputs, or none.
    """
    if len(session.inputs) != 1:
        names = ", ".join(f"'{spec.name}'" for spec in session.inputs) or "no inputs"
        raise OptionError(f"{task}: expected a network with one input, an image; it has {names}")
    return session.inputs[0]


def image_outputs(outputs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """The outputs for one image, without the batch dimension, as decoders expect them.

    Raises:
        OptionError: an output has no batch dimension.
    """
    for spec in outputs:
        if not spec.shape:
            raise OptionError(f"output '{spec.name}': expected a batch dimension, got a scalar")
    return tuple(replace(spec, shape=spec.shape[1:]) for spec in outputs)


def image_output(session: CheckedSession, name: str, color: str) -> TensorSpec:
    """The output that holds images.

    Raises:
        OptionError: no output of that name, or its shape is not ``(batch, height, width, channels)``
            with the channels of `color`.
    """
    spec = named(session.outputs, name, "output")
    channels = 1 if color == "gray" else 3
    if len(spec.shape) != 4 or None in spec.shape[1:] or spec.shape[3] != channels:
        raise OptionError(
            f"output '{name}': expected (batch, height, width, {channels}) for {color} images, "
            f"got {spec.describe()}"
        )
    return spec


def named(specs: tuple[TensorSpec, ...], name: str, what: str) -> TensorSpec:
    """The tensor with a name.

    Args:
        specs: the network's inputs or outputs.
        name: as in the manifest.
        what: ``input`` or ``output``, for the error.

    Raises:
        OptionError: no such tensor.
    """
    for spec in specs:
        if spec.name == name:
            return spec
    names = ", ".join(f"'{spec.name}'" for spec in specs)
    raise OptionError(f"the network has no {what} '{name}'; it has: {names}")


def check_inputs_known(session: CheckedSession, known: Sequence[TensorSpec]) -> None:
    """Refuse a network with an input that the task would leave unset.

    Raises:
        OptionError: there is one; names it.
    """
    for spec in session.inputs:
        if spec not in known:
            raise OptionError(f"input '{spec.name}': the task does not say what this input expects")
