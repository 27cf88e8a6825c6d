"""Checks of a network's output against the kind of scores that it is said to hold.

A classifier that reads logits as probabilities is sure of everything, and one that applies softmax to scores
is sure of nothing: both give the right top class, so that no accuracy shows it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InferenceError
from edgevision.tensors import TensorSpec

Scores = NDArray[np.float32]

#: Deviation of a score from 0…1, and of the sum of a softmax from 1, that half precision explains.
_TOLERANCE = 0.02
#: The coarsest step of a score in 8 bits, which runtimes may dequantize within the network.
_COARSEST_STEP = 1 / 250
#: Up to this many scores, Python computes their sum faster than numpy.
_FEW = 64
#: Deviation of the sum of a softmax from 1, up to which a row of logits is suspected to be one.
_SUM_OF_LOGITS = {"float32": 1e-4, "float16": 4e-3}
#: Rows of such logits in succession that are no coincidence.
_ROWS = 3
#: From this many values on, and within this tolerance of their sum, one row is none.
_MANY, _CLOSE = 8, 0.05


def score_check(output: TensorSpec, score_kind: str) -> Callable[[Scores], Scores]:
    """A function that checks the values of an output and returns them.

    The values are float32 ``(images, outputs)``, finite. Scores that rounding has moved out of 0…1 are
    clipped. The function raises `InferenceError` if a softmax or sigmoid has values that are no scores, if
    a softmax does not sum to 1, or if logits are a softmax already: of few classes, on several images in
    succession. What the rounding of a quantized output explains is accepted.

    Args:
        output: the output with the scores.
        score_kind: ``softmax``, ``sigmoid`` or ``logits``.
    """
    single = output.shape[-1] == 1
    if score_kind == "logits":
        return (lambda values: values) if single else _LogitsCheck(output)
    return _ScoresCheck(output, score_kind, sums=score_kind == "softmax" and not single)


class _ScoresCheck:
    """Scores are in 0…1, and those of a softmax sum to 1."""

    def __init__(self, output: TensorSpec, score_kind: str, sums: bool) -> None:
        self._name, self._kind, self._sums = output.name, score_kind, sums
        self._step = None if output.quantization is None else abs(output.quantization.scale)

    def __call__(self, values: Scores) -> Scores:
        return values if self._are_exact(values) else self._rounded(values)

    def _are_exact(self, values: Scores) -> bool:
        if values.size <= _FEW and len(values) == 1:
            numbers = values[0].tolist()
            inside = min(numbers) >= 0 and max(numbers) <= 1
            return inside and (not self._sums or abs(sum(numbers) - 1) <= _TOLERANCE)
        if values.min() < 0 or values.max() > 1:
            return False
        return not self._sums or bool(np.abs(values.sum(axis=1) - 1).max() <= _TOLERANCE)

    def _rounded(self, values: Scores) -> Scores:
        """The values without what rounding explains."""
        tolerance = _TOLERANCE + (self._step or 0) / 2
        low, high = float(values.min()), float(values.max())
        if low < -tolerance or high > 1 + tolerance:
            raise InferenceError(
                f"output '{self._name}' has values of {low:.4g} to {high:.4g}, expected 0…1 for the score "
                f"kind '{self._kind}'; if these are logits, {_next_step('logits')}"
            )
        values = values.clip(0, 1)
        if self._sums:
            for row in values:
                self._check_sum(row)
        return values

    def _check_sum(self, row: NDArray[np.float32]) -> None:
        step = self._step
        if step is None:
            # Zero is one of the values of a quantized score, so a step is no larger than the next one.
            step = min(float(row[row > 0].min(initial=1.0)), _COARSEST_STEP)
        total = float(row.sum(dtype=np.float64))
        if abs(total - 1) > _TOLERANCE + len(row) * step / 2:
            raise InferenceError(
                f"output '{self._name}': the scores of an image sum to {total:.4g}, expected 1 for the score "
                f"kind 'softmax'; if each class has a score of its own, {_next_step('sigmoid')}"
            )


class _LogitsCheck:
    """The first rows of logits are not all scores that sum to 1 already.

    One other row ends the check, so that it costs nothing from then on.
    """

    def __init__(self, output: TensorSpec) -> None:
        self._name = output.name
        self._suspected = 0
        step = None if output.quantization is None else abs(output.quantization.scale)
        self._tolerance = (
            _SUM_OF_LOGITS.get(output.dtype, 0.0)
            if step is None
            else _SUM_OF_LOGITS["float32"] + (output.shape[-1] or 1) * step / 2
        )
        certain = (output.shape[-1] or 1) >= _MANY and self._tolerance <= _CLOSE
        self._rows = 1 if certain else _ROWS
        # With coarser steps, 8 bits reach far beyond 1, as those of a softmax do not.
        self._done = self._tolerance == 0.0 or (step is not None and step > _COARSEST_STEP)

    def __call__(self, values: Scores) -> Scores:
        if self._done:
            return values
        for row in values:
            if row.min() < 0 or row.max() > 1 or abs(float(row.sum()) - 1) > self._tolerance:
                self._done = True
                return values
            self._suspected += 1
        if self._suspected >= self._rows:
            images = "an image" if self._suspected == 1 else f"each of {self._suspected} images"
            raise InferenceError(
                f"output '{self._name}': the values of {images} are in 0…1 and sum to 1, so "
                f"they are the scores of a softmax, and the score kind 'logits' would flatten them "
                f"by a second one; {_next_step('softmax')}"
            )
        return values


def _next_step(score_kind: str) -> str:
    return f"pass --scores {score_kind} (score_kind='{score_kind}'), for a bundle to edgevision convert"
