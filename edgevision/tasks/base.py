"""What every network that is ready to be called has in common: it holds a session, and gives it back."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TypeVar

from edgevision.errors import OptionError
from edgevision.session import CheckedSession
from edgevision.tensors import TensorSpec

Model = TypeVar("Model", bound="TaskModel")


class TaskModel:
    """Closes its session when it is closed itself.

    Attributes:
        session: the network.
    """

    def __init__(self, session: CheckedSession) -> None:
        self.session = session

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.session}>"

    def close(self) -> None:
        """Give back what the runtime holds. May be called twice."""
        self.session.close()

    def __enter__(self: Model) -> Model:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def where_it_ran(session: CheckedSession) -> dict[str, str]:
    """Backend, device and precision, for the settings of a result."""
    return {"backend": session.backend, "device": session.device, "precision": session.precision}


def image_output(session: CheckedSession, name: str, color: str) -> TensorSpec:
    """The output that holds images.

    Raises:
        OptionError: there is none of that name, or it is not ``(batch, height, width, channels)``
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
    """The tensor of a name.

    Args:
        specs: the network's inputs or outputs.
        name: as a manifest has it.
        what: ``input`` or ``output``, for the error.

    Raises:
        OptionError: there is none.
    """
    for spec in specs:
        if spec.name == name:
            return spec
    there = ", ".join(f"'{spec.name}'" for spec in specs)
    raise OptionError(f"the network has no {what} '{name}'; it has: {there}")


def check_inputs_known(session: CheckedSession, known: Sequence[TensorSpec]) -> None:
    """Refuse a network with an input that nothing would be written to.

    Raises:
        OptionError: there is one; names it.
    """
    for spec in session.inputs:
        if spec not in known:
            raise OptionError(f"input '{spec.name}': the task does not say what it takes")
