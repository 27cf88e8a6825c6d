"""Candidate artifacts: compared with the source, and asked for the known answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgevision.artifact import Artifact
from edgevision.backend import Session
from edgevision.bundle.known_answers import KnownAnswers, compute_answers
from edgevision.conversion.plan import MeasurementBackend, PlannedArtifact
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.run import Examples
from edgevision.evidence.records import Measured
from edgevision.evidence.requirements import Budget
from edgevision.session import CheckedSession
from edgevision.tasks.score_calibration import ScoreCalibration

#: Known answers: so many images; where there are more classes, one for each, up to the second number.
_KNOWN_ANSWERS = 8, 64


#: Of the images of all known answers together, before they are compressed.
_KNOWN_ANSWERS_BYTES = 8_000_000


@dataclass(frozen=True)
class Candidate:
    """An artifact that was made, loaded where it is measured.

    Attributes:
        planned: what it was to be.
        artifact: what was made.
        measured_on, session: where it is measured.
        score_calibration: how its scores are to be read, of a classifier, where that was asked for.
    """

    planned: PlannedArtifact
    artifact: Artifact
    measured_on: MeasurementBackend
    session: CheckedSession
    score_calibration: ScoreCalibration | None = None


def judge(
    evaluator: Evaluator,
    candidate: Candidate,
    answers: Sequence[Any],
    source_answers: Sequence[Any],
    budget: Budget,
) -> Measured:
    """Hold one candidate's answers against the source's.

    Args:
        evaluator: the task's.
        candidate: the artifact.
        answers, source_answers: what `measure` gave.
        budget: what it may lose; what its targets allow is held against it elsewhere.
    """
    planned, session = candidate.planned, candidate.session
    comparison = evaluator.compare(source_answers, answers)
    requirements = budget.requirements(comparison, evaluator.least_agreement[planned.precision])
    return Measured(
        artifact=planned.id,
        sha256=candidate.artifact.sha256,
        size_bytes=candidate.artifact.size_bytes,
        backend=session.backend,
        version=candidate.measured_on.backend.version(),
        device=session.device,
        precision=session.precision,
        on_target=candidate.measured_on.on_target,
        comparison=comparison,
        requirements=requirements,
        float_layers=planned.float_layers,
    )


def known_answers(
    evaluator: Evaluator,
    source: Session,
    candidates: Sequence[Candidate],
    examples: Examples,
    source_answers: Sequence[Any],
) -> KnownAnswers:
    """What the network is asked for a few of the examples, and what each candidate answers.

    About an image for each class that the set has, 8 at least and 64 at most, or what 8 MB hold.

    Args:
        evaluator: the task's.
        source: as a session.
        candidates: the artifacts.
        examples: the evaluation set.
        source_answers: what `measure` gave.
    """
    places = evaluator.representative(source_answers, _count_of_known_answers(evaluator))
    known_inputs = evaluator.known_inputs(source, examples, places)
    return KnownAnswers(
        known_inputs, {one.planned.id: compute_answers(one.session, known_inputs) for one in candidates}
    )


def _count_of_known_answers(evaluator: Evaluator) -> int:
    least, most = _KNOWN_ANSWERS
    if evaluator.preprocessing is None:
        return least
    width, height = evaluator.preprocessing.size_wh
    return max(1, min(max(least, len(evaluator.labels)), most, _KNOWN_ANSWERS_BYTES // (width * height * 3)))
