"""Requirements on a loaded model on this machine: all of them hold, or loading fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgevision.errors import OptionError, RequirementsError
from edgevision.session import CheckedSession
from edgevision.system.arguments import flag, optional_text, real_number
from edgevision.system.timing import interleave

if TYPE_CHECKING:
    from edgevision.tasks.model_types import Model

#: Width and height of the frame that is timed, as in `edgevision.bench`.
_FRAME_WH = (640, 480)
#: Seconds of timing; a slow model is called ten times.
_SECONDS = 0.5
#: Nodes that a message names.
_MOST_NAMED = 10


@dataclass(frozen=True)
class Requirements:
    """Requirements on a loaded model: all hold, or `edgevision.load` raises `RequirementsError`.

    The choice does not follow them: pass `backend` and `device` to `load` as well to ask for them.

    Attributes:
        backend: name of the backend that runs it, such as ``onnx``; `None` for any.
        device: name of the device that runs it, such as ``cuda:0``.
        precision: in which it is computed, as ``model.session.precision`` says: ``float32``, ``float16``,
            ``bfloat16``, or ``int8`` if no operation is computed in float.
        fully_accelerated: whether a device other than the CPU must run every node of the network. A runtime
            that does not report which nodes the device runs does not meet it.
        max_latency_ms: milliseconds that 95 % of calls may take at most, wall time, from a frame of 640x480
            pixels to the result; from a seed for a model that takes no frame. Measured in half a second,
            with what else this machine does at the time.

    Raises:
        OptionError: a field has an invalid value; names it.
    """

    backend: str | None = None
    device: str | None = None
    precision: str | None = None
    fully_accelerated: bool = False
    max_latency_ms: float | None = None

    def __post_init__(self) -> None:
        for name in ("backend", "device", "precision"):
            object.__setattr__(self, name, optional_text(getattr(self, name), name))
        object.__setattr__(self, "fully_accelerated", flag(self.fully_accelerated, "fully_accelerated"))
        if self.max_latency_ms is not None:
            limit = real_number(self.max_latency_ms, "max_latency_ms")
            if limit <= 0:
                raise OptionError(f"max_latency_ms: expected milliseconds above 0, got {limit:g}")
            object.__setattr__(self, "max_latency_ms", limit)


class UnmetRequirement(NamedTuple):
    """A requirement that does not hold for a loaded model.

    Attributes:
        field: its name in `Requirements`.
        required: what must hold.
        found: what does.
    """

    field: str
    required: str
    found: str


def check_requirements(model: Model, required: Requirements, where: str) -> None:
    """Check a model; its latency is measured last, and only if all else holds.

    Args:
        model: the model.
        required: what must hold.
        where: names the model in errors.

    Raises:
        RequirementsError: names every requirement that does not hold, and what was found instead.
        InferenceError: the runtime failed.
    """
    unmet = _unmet_by(model.session, required)
    if not unmet and required.max_latency_ms is not None:
        latency_ms = _latency_ms(model)
        if not latency_ms <= required.max_latency_ms:
            found = f"{latency_ms:.3g} (95th percentile)"
            unmet.append(UnmetRequirement("max_latency_ms", f"{required.max_latency_ms:g}", found))
    if unmet:
        said = "; ".join(f"{one.field}: required {one.required}, found {one.found}" for one in unmet)
        raise RequirementsError(
            f"{where}: {said}; pass another backend, device or precision to edgevision.load, or require less",
            tuple(unmet),
        )


def _unmet_by(session: CheckedSession, required: Requirements) -> list[UnmetRequirement]:
    unmet = [
        UnmetRequirement(name, wanted, getattr(session, name))
        for name in ("backend", "device", "precision")
        if (wanted := getattr(required, name)) not in (None, getattr(session, name))
    ]
    if required.fully_accelerated and (found := _not_accelerated(session)):
        unmet.append(UnmetRequirement("fully_accelerated", "every node on an accelerator", found))
    return unmet


def _not_accelerated(session: CheckedSession) -> str:
    """Why not every node is known to run on an accelerator; empty if it is."""
    if session.device.partition(":")[0] == "cpu":
        return "the whole network on the CPU"
    if nodes := session.fallback_nodes:
        more = f" and {len(nodes) - _MOST_NAMED} more" if len(nodes) > _MOST_NAMED else ""
        return f"{len(nodes)} nodes on the CPU: {', '.join(nodes[:_MOST_NAMED])}{more}"
    if not session.reports_placement:
        return f"backend '{session.backend}' does not report which nodes run on {session.device}"
    return ""


def _latency_ms(model: Any) -> float:
    from edgevision.tasks.image_model import ImageModel

    takes_frame: bool = isinstance(model, ImageModel)
    if takes_frame:
        width, height = _FRAME_WH
        rows, columns = np.arange(height)[:, None], np.arange(width)
        frame = np.stack(np.broadcast_arrays(rows % 256, columns % 256, (rows + columns) % 256), -1)
        frame = frame.astype(np.uint8)
        times = interleave({"call": lambda: model(frame)}, _SECONDS)
    else:
        times = interleave({"call": lambda: model.sample(seed=0)}, _SECONDS)
    return float(np.percentile(times["call"].wall_ns, 95)) / 1e6
