"""Messages and descriptors over a socket between a process and the one that runs its runtime."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from edgevision.execution.messages import Message, incoming
from edgevision.tensors import Quantization, TensorSpec

#: What a channel of a slot carries: `RUN` there, and back the beginning of an answer.
RUN = b"r"
#: The outputs are in the shared memory.
DONE = b"d"
#: As `DONE`, and the process has more memory in use than its limit.
DONE_AND_LARGE = b"l"
#: The outputs follow in a message: their shapes are others than the specs say.
OTHER_SHAPES = b"o"
#: An error follows in a message.
FAILED = b"f"

#: The most bytes of the arrays of one message.
_MOST_BYTES = 1 << 32
_MOST_DESCRIPTORS = 2
_CHUNK = 1 << 20


def send(channel: socket.socket, message: Message, descriptors: Sequence[int] = ()) -> None:
    """Send a message, and descriptors that the receiver gets copies of.

    Raises:
        OSError: the receiver has ended.
    """
    # In front of the message, because descriptors travel with the first byte that they are sent with.
    socket.send_fds(channel, [b"m"], descriptors)
    for part in message.parts():
        channel.sendall(part)


def receive(channel: socket.socket, until: float | None = None) -> tuple[Message, list[int]] | None:
    """Receive a message and its descriptors, which the caller closes; `None` if the sender has ended.

    Args:
        channel: the socket.
        until: on the monotonic clock, in seconds; `None` waits as long as the socket says.

    Raises:
        TimeoutError: the time is over.
        InferenceError: something else than a message came.
    """
    _set_timeout(channel, until)
    try:
        first, descriptors, _, _ = socket.recv_fds(channel, 1, _MOST_DESCRIPTORS)
        if not first:
            return None
        message = receive_message(channel, until)
    except ConnectionResetError:
        return None
    return None if message is None else (message, descriptors)


def receive_message(channel: socket.socket, until: float | None = None) -> Message | None:
    """Receive a message alone, without the byte in front of it; as `receive`."""
    reader = incoming(_MOST_BYTES)
    wanted = next(reader)
    while not isinstance(wanted, Message):
        content = bytearray(wanted)
        view = memoryview(content)
        while view:
            _set_timeout(channel, until)
            size = channel.recv_into(view[:_CHUNK])
            if not size:
                return None
            view = view[size:]
        wanted = reader.send(content)
    return wanted


def spec_fields(specs: Sequence[TensorSpec]) -> list[dict[str, Any]]:
    """Specs of tensors as JSON values."""
    return [asdict(spec) for spec in specs]


def specs_of(rows: Sequence[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    """The specs that `spec_fields` describes."""
    return tuple(
        TensorSpec(
            row["name"],
            tuple(row["shape"]),
            row["dtype"],
            None if row["quantization"] is None else Quantization(**row["quantization"]),
        )
        for row in rows
    )


def _set_timeout(channel: socket.socket, until: float | None) -> None:
    if until is None:
        return
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    channel.settimeout(left)
