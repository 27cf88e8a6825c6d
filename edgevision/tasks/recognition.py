"""The decoder of a detector without a manifest: named by the caller, or recognised by its outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgevision.decoder import Decoder, nms_applied, recognised
from edgevision.errors import MissingOptionError, OptionError
from edgevision.plugins import Registry
from edgevision.tasks.description import DetectTask
from edgevision.tensors import TensorSpec

_THRESHOLDS = ("score_threshold", "iou_threshold", "max_detections")


@dataclass(frozen=True)
class DecoderChoice:
    """A decoder, and its settings for one network.

    Attributes:
        decoder: the decoder.
        settings: those that it has recognised.
    """

    decoder: Decoder
    settings: Mapping[str, Any] = field(default_factory=dict)

    def task(self, settings: Mapping[str, Any], thresholds: Mapping[str, Any] | None = None) -> DetectTask:
        """The task of the detector.

        If the network applies NMS itself, it is not applied again, unless `thresholds` says so.

        Args:
            settings: the caller's decoder settings; they take precedence over the recognised ones.
            thresholds: ``score_threshold``, ``iou_threshold``, ``max_detections``; defaults where missing.

        Raises:
            OptionError: a threshold is unknown or out of range.
        """
        values = dict(thresholds or {})
        for name in values:
            if name not in _THRESHOLDS:
                raise OptionError(f"unknown threshold '{name}'; a detector has: {', '.join(_THRESHOLDS)}")
        if nms_applied(self.decoder):
            values.setdefault("iou_threshold", 1.0)
        return DetectTask(self.decoder.name, {**self.settings, **settings}, **values)

    def check_stated(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], settings: Mapping[str, Any]
    ) -> None:
        """Check that every setting that the decoder needs is recognised or stated.

        Args:
            outputs: for one image.
            input_size_wh: as for `choose_decoder`.
            settings: the caller's.

        Raises:
            MissingOptionError: names all that are missing.
            OptionError: as `edgevision.decoder.Decoder.prepare`.
        """
        self.decoder.prepare(outputs, input_size_wh, {**self.settings, **settings})


def choose_decoder(
    where: str,
    outputs: Sequence[TensorSpec],
    input_size_wh: tuple[int, int],
    plugins: Registry,
    name: str | None = None,
) -> DecoderChoice | None:
    """The decoder of a detector; `None` for a classifier.

    Args:
        where: the network, for errors.
        outputs: for one image: their shapes without the batch.
        input_size_wh: width and height of the network's input.
        plugins: provide the decoders.
        name: the decoder that the caller named, if any.

    Raises:
        PluginError: no plugin provides a decoder of that name.
        OptionError: the outputs are not those of a classifier, and not exactly one decoder recognises them.
    """
    if name is not None:
        decoder = plugins.decoder(name)
        return DecoderChoice(decoder, recognised(decoder, outputs, input_size_wh) or {})
    choice = recognised_decoder(outputs, input_size_wh, plugins)
    if choice is None and not are_scores(outputs):
        raise unrecognised(where, outputs, plugins.decoders())
    return choice


def recognised_decoder(
    outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], plugins: Registry
) -> DecoderChoice | None:
    """The only decoder that recognises the outputs; `None` if none or several do, or they are a vector.

    Args:
        outputs, input_size_wh, plugins: as for `choose_decoder`.
    """
    if len(outputs) == 1 and len(outputs[0].shape) == 1:
        return None  # a vector of scores
    return _recognise(outputs, input_size_wh, plugins)


def described_decoder(
    where: str,
    outputs: Sequence[TensorSpec],
    input_size_wh: tuple[int, int],
    plugins: Registry,
    stated: Mapping[str, Mapping[str, Any]],
    classes: int | None,
) -> DecoderChoice:
    """The decoder of a detector whose metadata says which ones it may be.

    Args:
        where: the network, for errors.
        outputs, input_size_wh, plugins: as in `choose_decoder`.
        stated: name of each decoder that the metadata allows -> its settings; the first that recognises the
            outputs is taken.
        classes: number of the network's classes, if known.

    Raises:
        PluginError: no plugin provides one of these decoders.
        OptionError: the outputs are those of none of them.
    """
    for name, settings in stated.items():
        decoder = plugins.decoder(name)
        found = recognised(decoder, outputs, input_size_wh, classes)
        if found is None or any(found.get(key, value) != value for key, value in settings.items()):
            continue
        return DecoderChoice(decoder, {**found, **settings})
    for_classes = "" if classes is None else f" for {classes} classes"
    raise OptionError(
        f"{where}: its metadata says that it is a detector{for_classes} with a head that decoder "
        f"{' or '.join(stated)} reads, which the outputs {_listed(outputs)} are not; if that is "
        f"wrong, pass --decoder {', '.join(sorted(plugins.decoders()))}, or, for a classifier, --output-name"
    )


def _recognise(
    outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], plugins: Registry
) -> DecoderChoice | None:
    """The only decoder that recognises a network by its outputs; `None` if none or several do.

    Args:
        outputs: for one image: their shapes without the batch.
        input_size_wh: width and height of the network's input.
        plugins: provide the decoders.
    """
    answers = plugins.answers(plugins.decoders(), lambda one: one.recognise(outputs, input_size_wh))
    choices = [DecoderChoice(decoder, settings) for decoder, settings in answers if settings is not None]
    return choices[0] if len(choices) == 1 else None


def unrecognised(
    where: str, outputs: Sequence[TensorSpec], decoders: Mapping[str, Decoder]
) -> MissingOptionError:
    """The error for outputs that no decoder, or more than one, recognises."""
    return MissingOptionError(
        where,
        f"cannot infer the task from the outputs {_listed(outputs)}; for a detector pass --decoder "
        f"{', '.join(sorted(decoders))}; for a classifier pass --output-name NAME",
    )


def _listed(outputs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"'{spec.name}' ({', '.join(map(str, spec.shape))})" for spec in outputs)


def are_scores(outputs: Sequence[TensorSpec]) -> bool:
    """True for a single output with one score per class."""
    return len(outputs) == 1 and all(size == 1 for size in outputs[0].shape[:-1])
