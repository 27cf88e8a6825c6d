"""quantization_aware(): a model that is trained with the rounding of its int8 artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgevision.artifact import is_calibrated
from edgevision.conversion.plan import symmetric_targets
from edgevision.converter import TrainingReader
from edgevision.errors import OptionError
from edgevision.plugins import registry
from edgevision.system.arguments import names, paths
from edgevision.target import find_target, load_targets


def quantization_aware(
    model: Any, targets: Sequence[str], *, targets_files: Sequence[str | Path] = ()
) -> Any:
    """A model that computes as its int8 artifacts will, to be trained for one to three epochs.

    Where int8 without training loses too much accuracy, this can get it back: the network learns weights that
    bear the rounding, and its ranges. Batch normalizations are folded into the weights before them with their
    moving statistics, which are frozen. Compile and train the model as any other, with about the first
    learning rate of the original training, falling to zero, or a tenth of it where little is lost; save it
    with ``save("NAME.keras")``. `convert` then needs no calibration set for int8, and gives every artifact
    the ranges of the training.

    Weights have a symmetric scale per output; gradients pass the rounding (Jacob et al., Quantization and
    Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, 2018); ranges of activations
    are trained too (Esser et al., Learned Step Size Quantization, 2020).

    Args:
        model: a trained functional or sequential Keras 3 model, on the TensorFlow or JAX backend of Keras;
            models in it may be either, too. It is not changed.
        targets: names of the device profiles that the model is trained for, one or more. Where the backend of
            one takes no activations with a zero point, those of the model have none.
        targets_files: TOML files with more targets.

    Returns:
        A functional `keras.Model` with copies of the weights, not compiled, whose inputs and outputs have the
        same names. ``docs/training.md`` says what another process imports before Keras loads its file.

    Raises:
        OptionError: a target is unknown or runs no int8; or the model, a layer, or the backend of Keras is
            not supported; names them.
        PluginError: no plugin provides the backend of a target.
        MissingRuntimeError: Keras is not installed.
    """
    plugins = registry()
    known = load_targets(paths(targets_files, "targets_files"), plugins)
    found = [find_target(name, known) for name in names(targets, "targets")]
    if not found:
        raise OptionError("targets: expected one or more names (run: edgevision targets)")
    for target in found:
        if not any(is_calibrated(precision) for precision in target.precisions):
            supported = ", ".join(target.precisions)
            raise OptionError(f"target '{target.name}' runs no int8 artifacts ({supported}); remove it")
    readers = [each for each in plugins.readers().values() if isinstance(each, TrainingReader)]
    for reader, trains in plugins.answers(
        {each.name: each for each in readers}, lambda each: each.trains(model)
    ):
        if trains:
            return reader.quantization_aware(model, symmetric=bool(symmetric_targets(found, plugins)))
    raise OptionError(f"model: expected a Keras 3 model, got {type(model).__name__}")
