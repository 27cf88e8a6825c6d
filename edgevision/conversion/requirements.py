"""The last check of a conversion: every artifact meets every requirement, or nothing is written."""

from __future__ import annotations

from edgevision.conversion.device_limits import DEVICE_UNITS
from edgevision.errors import AgreementError
from edgevision.evidence.records import Evidence, Measured
from edgevision.evidence.requirements import Requirement


def require_passed(evidence: Evidence) -> None:
    """Check that every artifact meets every requirement.

    Raises:
        AgreementError: one does not; carries the evidence.
    """
    for result in evidence.results:
        for requirement in result.requirements:
            if not requirement.passed:
                raise AgreementError(_failure(result, requirement), evidence)


def _failure(result: Measured, requirement: Requirement) -> str:
    measured, limit = requirement.measured_text, requirement.limit_text
    images = f"{result.comparison.images} images"
    advice = "calibrate on more images like those in use, choose another --precision, or"
    if requirement.what == "agreement":
        return (
            f"{result.artifact}: agreement with the source is {measured} (required: {limit}); nothing was "
            f"written; measured on {images}; {advice} lower --min-agreement"
        )
    if requirement.at_least:
        return (
            f"{result.artifact}: the {requirement.what} is {measured} on the evaluation images "
            f"(required: {limit}); nothing was written; calibrate on more images like those in use, which "
            f"the model was not trained on, choose another --precision, or require less"
        )
    if requirement.unit in DEVICE_UNITS:
        return (
            f"{result.artifact}: {requirement.what} is {measured} (its target allows {limit}); "
            f"nothing was written"
        )
    return (
        f"{result.artifact}: the {requirement.what} on {images} may be up to {measured} "
        f"(allowed: {limit}); nothing was written; {advice} raise --max-drop"
    )
