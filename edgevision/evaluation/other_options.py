"""Options and ground truth that only one task has, refused by the others: they would change nothing."""

from __future__ import annotations

from edgevision.errors import OptionError
from edgevision.evaluation.ground_truth import GroundTruthPaths
from edgevision.evaluation.source_model import SourceModel


def refuse_generation_options(model: SourceModel, noun: str) -> None:
    """Refuse the options of models that generate images.

    Args:
        model: the trained model with the caller's options.
        noun: what it is read as, such as ``classifier``.

    Raises:
        OptionError: one was passed.
    """
    options = model.options
    if options.output_range is not None or options.truth is not None or options.overlap is not None:
        raise OptionError(
            f"{model.where}: output range, truth and overlap are for models that generate images, and this "
            f"model is read as a {noun}; remove them"
        )


def refuse_truth(paths: GroundTruthPaths) -> None:
    """Refuse a set of expected outputs; raises OptionError."""
    if paths.truth is not None:
        raise OptionError(f"--truth {paths.truth}: only for models that generate images; remove it")
