"""Which decoder a bare network needs: said by the caller or the file, recognised, and never guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgevision.decoder import Decoder
from edgevision.errors import OptionError
from edgevision.tensors import TensorSpec


@dataclass(frozen=True)
class DecoderChoice:
    """A decoder, and what it is to know.

    Attributes:
        decoder: it.
        settings: what it has recognised.
    """

    decoder: Decoder
    settings: Mapping[str, Any] = field(default_factory=dict)


def recognise_decoder(
    outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], decoders: Mapping[str, Decoder]
) -> DecoderChoice | None:
    """The one decoder that knows a network by its outputs, or ``None`` if none does or several do.

    Args:
        outputs: for one image: their shapes without the batch.
        input_size_wh: width and height of the network's input.
        decoders: name -> decoder, all that there are.
    """
    found = []
    for decoder in decoders.values():
        settings = decoder.recognise(outputs, input_size_wh)
        if settings is not None:
            found.append(DecoderChoice(decoder, settings))
    return found[0] if len(found) == 1 else None


def unrecognised(where: str, outputs: Sequence[TensorSpec], decoders: Mapping[str, Decoder]) -> OptionError:
    """The error that says which option is missing."""
    names = ", ".join(f"'{spec.name}' ({', '.join(map(str, spec.shape))})" for spec in outputs)
    return OptionError(
        f"{where}: nothing tells how its outputs {names} are to be read; if it detects, type --decoder "
        f"{', '.join(sorted(decoders))}; if it classifies, --output-name NAME"
    )
