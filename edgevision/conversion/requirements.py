"""The last check of a conversion: every artifact is shown to meet every requirement, or nothing is written.

With `ConversionSettings.keep_passing`, those that are shown to are written nevertheless; with
`ConversionSettings.accept_not_shown` also those of which the images show neither.
"""

from __future__ import annotations

from dataclasses import replace

from edgevision.artifact import FROM_TRAINING
from edgevision.conversion.device_limits import DEVICE_UNITS
from edgevision.datasets.image_sets import SetFacts
from edgevision.errors import AgreementError, IncompleteConversionError, NotShownError
from edgevision.evidence.records import Evidence, Measured
from edgevision.evidence.requirements import ATTENTION_DRIFT, NOT_SHOWN, Requirement
from edgevision.evidence.sample_texts import images_text, set_text
from edgevision.metrics.formatting import level

_NOTHING_WRITTEN = "nothing was written"


def is_acceptable(result: Measured, accept_not_shown: bool) -> bool:
    """True if an artifact may be written: it passed, or what is not shown of it is accepted."""
    return result.passed or (accept_not_shown and result.status == NOT_SHOWN)


def require_passed(evidence: Evidence, keep_passing: bool, accept_not_shown: bool = False) -> Evidence:
    """The evidence of the artifacts to write: all that were asked for, or, if allowed, those that passed.

    Args:
        evidence: of all artifacts that were measured; its `missing` lists what cannot be written.
        keep_passing: True to go on with those that passed.
        accept_not_shown: True to write those, too, that are not shown to meet their requirements.

    Raises:
        NotShownError: no artifact is shown to meet its requirements, and one of them may; carries the
            evidence.
        AgreementError: every artifact misses a requirement; carries the evidence.
        IncompleteConversionError: some passed, and others did not; carries the evidence.
    """
    written = tuple(
        replace(result, accepted_not_shown=not result.passed)
        for result in evidence.results
        if is_acceptable(result, accept_not_shown)
    )
    if not written:
        not_shown = next((result for result in evidence.results if result.status == NOT_SHOWN), None)
        if not_shown is not None:
            reason = missed_requirement(not_shown, evidence.evaluation, _NOTHING_WRITTEN)
            raise NotShownError(reason, evidence)
        first = evidence.results[0]
        raise AgreementError(missed_requirement(first, evidence.evaluation, _NOTHING_WRITTEN), evidence)
    if not evidence.missing or keep_passing:
        return replace(evidence, results=written)
    raise IncompleteConversionError(
        f"{len(written)} of {len(written) + len(evidence.missing)} artifacts passed; {_NOTHING_WRITTEN}; "
        f"pass --keep-passing to write {', '.join(result.artifact for result in written)}; missing: "
        + "; ".join(dict.fromkeys(one.reason for one in evidence.missing)),
        evidence,
    )


def missed_requirement(result: Measured, data: SetFacts, consequence: str = "") -> str:
    """The worst requirement of an artifact that did not pass, with the measured value and the next step.

    Args:
        result: an artifact that did not pass.
        data: the evaluation set.
        consequence: what happened because of it.
    """
    requirement = next(one for one in result.requirements if one.status == result.status)
    not_shown = requirement.status == NOT_SHOWN
    told = _not_shown(result, data, requirement) if not_shown else _failed(result, requirement)
    value, clauses = told
    parts = value, consequence, beyond_rounding(result), *clauses
    return f"{result.artifact}: " + "; ".join(filter(None, parts))


def beyond_rounding(result: Measured) -> str:
    """Why an artifact in float is judged by its agreement, in words; empty if it is not."""
    error = result.output_error
    if error is None or error.passed:
        return ""
    return (
        f"its outputs differ from the source's by {error.measured_text} of their size, more than rounding "
        f"explains (up to {error.limit_text}), so its agreement is judged"
    )


def _not_shown(result: Measured, data: SetFacts, requirement: Requirement) -> tuple[str, tuple[str, ...]]:
    """The requirement that is not shown, and how many images would show it."""
    if requirement.measured is None or requirement.bound is None:
        reason = "nothing on them gives a confidence interval"
    elif requirement.one_sided:
        reason = f"its one-sided {level(requirement.confidence)} limit is {requirement.bound_text}"
    else:
        reason = f"its {level(requirement.confidence)} confidence interval reaches {requirement.bound_text}"
    if requirement.what == ATTENTION_DRIFT:
        wanted = requirement.images_needed
        more = f"--attention {wanted}, or" if wanted else "a larger --attention, or"
        return (
            f"the attention drift is {requirement.measured_text} on the images of its sample, which do not "
            f"show that it is {requirement.required_text}: {reason}",
            (f"pass {more} --accept-not-shown",),
        )
    needed = images_text(requirement.images_needed, data)
    more = f"{needed} like these, which would show it," if needed else "more images"
    point = result.operating_point
    of_point = point is not None and point.requirement.what == requirement.what
    groups = None if data.groups is None else data.groups.groups
    counted = f"{point.counted} of " if point is not None and of_point else ""
    images = f"{counted}{set_text(data.images, groups)}"
    return (
        f"the {requirement.what} is {requirement.measured_text} on {images}, which do not show that it is "
        f"{requirement.required_text}: {reason}",
        (f"pass --evaluation with {more} or pass --accept-not-shown",),
    )


def _failed(result: Measured, requirement: Requirement) -> tuple[str, tuple[str, ...]]:
    """The measured value and the limit; how it was measured, and the next step."""
    measured, limit = requirement.measured_text, requirement.limit_text
    images = set_text(result.comparison.images, None)
    advice = f"calibrate on more images like those in use, {_training(result)}choose another --precision, or"
    if requirement.unit in DEVICE_UNITS:
        return f"{requirement.what} is {measured} (its target allows {limit})", ()
    if requirement.what == ATTENTION_DRIFT:
        return f"the attention drift is {measured} (allowed: {limit})", (
            f"{advice} raise --max-attention-drift",
        )
    if requirement.what == "agreement":
        return f"agreement with the source is {measured} (required: {limit})", (
            f"measured on {images}",
            f"{advice} lower --min-agreement",
        )
    if requirement.at_least:
        return f"the {requirement.what} is {measured} on the evaluation images (required: {limit})", (
            "calibrate on more images like those in use, which the model was not trained on, "
            f"{_training(result)}choose another --precision, or require less",
        )
    return f"the {requirement.what} on {images} is {measured} (allowed: {limit})", (
        f"{advice} raise --max-drop",
    )


def _training(result: Measured) -> str:
    """The advice to train for int8, for an artifact whose source was not."""
    how = result.quantization
    if how is None or how.range_rule == FROM_TRAINING:
        return ""
    return (
        "train the model for int8 with edgevision.quantization_aware(model, targets=[…]) (docs/training.md), "
    )
