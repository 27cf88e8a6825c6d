"""How an int8 artifact was quantized, and how it compares with what the plain converter makes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgevision.artifact import FROM_TRAINING, FloatOperation, QuantizationRecord

#: The recipe of the format's usual tool with its default settings; the other one is EdgeVision's.
PLAIN, OWN = "plain", "edgevision"

#: Most layers that a sentence names.
_MOST_NAMED = 5


@dataclass(frozen=True)
class RecipeComparison:
    """EdgeVision's int8 artifact and the plain converter's, run on calibration images that set no range.

    Attributes:
        images: number of these images; with fewer than 10 calibration images, all of them.
        measure: the unit of the errors, in words.
        error, plain_error: mean over the images; `None` for an artifact that could not be converted and run.
        verdict: the recipe that was written; ``plain`` only where EdgeVision's has a larger error beyond
            noise, or could not be converted and run.
        reason: why one of the two is missing; empty if both ran.
    """

    images: int
    measure: str
    error: float | None
    plain_error: float | None
    verdict: str
    reason: str = ""

    @property
    def text(self) -> str:
        """The result in one sentence."""
        if self.error is None:
            return f"EdgeVision's recipe failed, so the plain converter's artifact was written: {self.reason}"
        if self.plain_error is None:
            return f"not compared with the plain converter, which failed: {self.reason}"
        errors = f"error {self.error:.3g}, plain {self.plain_error:.3g}, on {self.images} held-out images"
        if self.verdict == PLAIN:
            return f"the plain converter was better, so its artifact was written ({errors})"
        return f"compared with the plain converter: {errors}"


@dataclass(frozen=True)
class QuantizationEvidence:
    """How an int8 artifact was quantized.

    Attributes:
        recipe, tool, range_rule, range_errors, float_operations: as in
            `edgevision.artifact.QuantizationRecord`.
        comparison: with the plain converter; `None` where the converter offers no plain artifact.
    """

    recipe: str
    tool: str = ""
    range_rule: str = ""
    range_errors: Mapping[str, float] = field(default_factory=dict)
    float_operations: tuple[FloatOperation, ...] = ()
    comparison: RecipeComparison | None = None

    @classmethod
    def of(
        cls, record: QuantizationRecord | None, comparison: RecipeComparison | None
    ) -> QuantizationEvidence | None:
        """The evidence of an artifact; `None` if neither its converter nor a comparison says anything."""
        if record is None:
            return None if comparison is None else cls(comparison.verdict, comparison=comparison)
        return cls(
            record.recipe,
            record.tool,
            record.range_rule,
            dict(record.range_errors),
            tuple(record.float_operations),
            comparison,
        )

    @property
    def notes(self) -> Iterator[str]:
        """Sentences for a reader of the table: ranges, operations in float, and whether plain was written."""
        if self.range_rule == FROM_TRAINING:
            yield "ranges: from training"
        if self.float_operations:
            yield f"{self.float_operations_text}: {named_operations(self.float_operations)}"
        if self.comparison is not None and (self.comparison.verdict == PLAIN or self.comparison.reason):
            yield self.comparison.text

    @property
    def float_operations_text(self) -> str:
        """The number of operations in float, in words."""
        count = len(self.float_operations)
        return f"{count} operation{' stays' if count == 1 else 's stay'} in float"


def quantization_from(row: Mapping[str, Any] | None) -> QuantizationEvidence | None:
    """The evidence from its JSON document."""
    if row is None:
        return None
    values = dict(row)
    comparison = values.pop("comparison")
    return QuantizationEvidence(
        float_operations=tuple(FloatOperation(**one) for one in values.pop("float_operations")),
        comparison=None if comparison is None else RecipeComparison(**comparison),
        **values,
    )


def named_operations(operations: Iterable[FloatOperation]) -> str:
    """The layers that the operations belong to with the reasons, in words, the first few of them.

    An operation of an unknown layer is named itself.
    """
    reasons: dict[str, dict[str, None]] = {}
    for one in operations:
        reasons.setdefault(f"'{one.layer}'" if one.layer else one.operation, {})[one.reason] = None
    names = [f"{name} ({', '.join(why)})" for name, why in reasons.items()]
    return ", ".join(names[:_MOST_NAMED]) + (", …" if len(names) > _MOST_NAMED else "")
