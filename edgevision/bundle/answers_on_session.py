"""The known answers of a bundle, and their check on a session of one of its artifacts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import cycle

from edgevision.bundle.expectations import Expectations, ModelPath, check_expectations, rounding_tolerances
from edgevision.bundle.known_answers import (
    TOLERANCE,
    KnownAnswers,
    KnownImages,
    KnownInputs,
    check_known_answer,
    check_known_answers,
    compute_answers,
    read_known_answers,
)
from edgevision.bundle.manifest import ArtifactEntry
from edgevision.bundle.storage import Bundle
from edgevision.plugins import registry
from edgevision.session import CheckedSession
from edgevision.tasks.score_calibration import ScoreCalibration

#: How often an artifact's response to a random step at its input is measured.
_DISTURBED = 2


@dataclass(frozen=True)
class OpenArtifact:
    """An artifact whose answers become known ones.

    Attributes:
        id, precision, score_calibration: as in its `ArtifactEntry`.
        session: it is open there.
    """

    id: str
    precision: str
    session: CheckedSession
    score_calibration: ScoreCalibration | None = None


def record_answers(path: ModelPath, inputs: KnownInputs, artifacts: Iterable[OpenArtifact]) -> KnownAnswers:
    """The answers of artifacts, which are known from now on, and everything else that must come out.

    Args:
        path: what stands before and after the artifacts.
        inputs: the known inputs.
        artifacts: open on the machine whose answers count.
    """
    outputs, tolerances, results = {}, {}, {}
    for one in artifacts:
        session = one.session
        outputs[one.id] = compute_answers(session, inputs)
        found = path.results(outputs[one.id], (session.inputs, session.outputs), one.score_calibration)
        if found is not None:
            results[one.id] = found
        if one.precision not in TOLERANCE:
            disturbed = [compute_answers(session, inputs.disturbed(seed)) for seed in range(_DISTURBED)]
            tolerances[one.id] = rounding_tolerances(outputs[one.id], disturbed, session.outputs)
    expected = Expectations(tuple(path.labels), *path.network_inputs(), tolerances, results)
    return KnownAnswers(inputs, outputs, expected)


def answers_of(bundle: Bundle) -> KnownAnswers:
    """The known inputs of a bundle, and the answers of each of its artifacts.

    Raises:
        BundleError: they are damaged.
    """
    manifest = bundle.manifest
    where = str(bundle.path / manifest.selftest.path)
    return read_known_answers(bundle.read(manifest.selftest), manifest.preprocessing, where)


def check_bundle_answers(session: CheckedSession, bundle: Bundle, entry: ArtifactEntry) -> float:
    """Check the known answers of an artifact, from the images to the results with their labels.

    Returns:
        The largest difference of an output from a known answer, as a share of that output's range.

    Raises:
        BundleError: there are no known answers for this artifact, or the labels are others.
        InferenceError: preprocessing, network or results differ by more than rounding.
    """
    known = answers_of(bundle)
    _check_surroundings(bundle, entry, known)
    return check_known_answers(session, known, entry.id, entry.precision)


def known_answer_check(session: CheckedSession, bundle: Bundle, entry: ArtifactEntry) -> Callable[[], None]:
    """A check of one known answer per call, one after the other; the first has all but the network, too.

    Raises:
        BundleError: the known answers are damaged.
    """
    known = answers_of(bundle)
    places = cycle(range(len(known.known_inputs)))

    def check() -> None:
        place = next(places)
        if place == 0:
            _check_surroundings(bundle, entry, known)
        check_known_answer(session, known, entry.id, entry.precision, place)

    return check


def _check_surroundings(bundle: Bundle, entry: ArtifactEntry, known: KnownAnswers) -> None:
    """Check everything of the known answers but the network itself."""
    if known.expected is None or entry.id not in known.outputs:
        return
    manifest = bundle.manifest
    images = known.known_inputs.images if isinstance(known.known_inputs, KnownImages) else None
    path = ModelPath(manifest.task, bundle.labels, manifest.preprocessing, images, registry())
    specs, outputs = (entry.inputs, entry.outputs), known.outputs[entry.id]
    results = partial(path.results, outputs, specs, entry.score_calibration)
    check_expectations(known.expected, path, entry.id, results, str(bundle.path))


def check_unproved(session: CheckedSession, bundle: Bundle, entry: ArtifactEntry) -> None:
    """Check the known answers of an artifact that was compiled elsewhere, and not proved on its device yet.

    Raises:
        InferenceError: an answer differs.
    """
    if entry.unproved is not None:
        check_bundle_answers(session, bundle, entry)
