"""The last check of a conversion: every artifact meets every requirement, or nothing is written.

With `ConversionSettings.keep_passing`, those that do are written nevertheless.
"""

from __future__ import annotations

from dataclasses import replace

from edgevision.conversion.device_limits import DEVICE_UNITS
from edgevision.errors import AgreementError, IncompleteConversionError
from edgevision.evidence.records import Evidence, Measured
from edgevision.evidence.requirements import Requirement

_NOTHING_WRITTEN = "nothing was written"


def require_passed(evidence: Evidence, keep_passing: bool) -> Evidence:
    """The evidence of the artifacts to write: all that were asked for, or, if allowed, those that passed.

    Args:
        evidence: of all artifacts that were measured; its `missing` lists what cannot be written.
        keep_passing: True to go on with those that passed.

    Raises:
        AgreementError: no artifact passed; carries the evidence.
        IncompleteConversionError: some passed, and others did not; carries the evidence.
    """
    passed = tuple(result for result in evidence.results if result.passed)
    if not passed:
        raise AgreementError(missed_requirement(evidence.results[0], _NOTHING_WRITTEN), evidence)
    if not evidence.missing or keep_passing:
        return replace(evidence, results=passed)
    raise IncompleteConversionError(
        f"{len(passed)} of {len(passed) + len(evidence.missing)} artifacts passed; {_NOTHING_WRITTEN}; pass "
        f"--keep-passing to write {', '.join(result.artifact for result in passed)}; missing: "
        + "; ".join(dict.fromkeys(one.reason for one in evidence.missing)),
        evidence,
    )


def missed_requirement(result: Measured, consequence: str = "") -> str:
    """The first requirement that an artifact misses, with the measured value and the next step, in words.

    Args:
        result: an artifact that did not pass.
        consequence: what happened because of it.
    """
    requirement = next(one for one in result.requirements if not one.passed)
    measured, limit = requirement.measured_text, requirement.limit_text
    clauses = _clauses(result, requirement)
    if requirement.what == "agreement":
        value = f"agreement with the source is {measured} (required: {limit})"
    elif requirement.at_least:
        value = f"the {requirement.what} is {measured} on the evaluation images (required: {limit})"
    elif requirement.unit in DEVICE_UNITS:
        value = f"{requirement.what} is {measured} (its target allows {limit})"
    else:
        images = f"{result.comparison.images} images"
        value = f"the {requirement.what} on {images} may be up to {measured} (allowed: {limit})"
    return f"{result.artifact}: " + "; ".join(filter(None, (value, consequence, *clauses)))


def _clauses(result: Measured, requirement: Requirement) -> tuple[str, ...]:
    """How it was measured, and the next step."""
    advice = "calibrate on more images like those in use, choose another --precision, or"
    if requirement.what == "agreement":
        return f"measured on {result.comparison.images} images", f"{advice} lower --min-agreement"
    if requirement.at_least:
        return (
            "calibrate on more images like those in use, which the model was not trained on, choose another "
            "--precision, or require less",
        )
    return () if requirement.unit in DEVICE_UNITS else (f"{advice} raise --max-drop",)
