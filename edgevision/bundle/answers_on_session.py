"""The known answers of a bundle, and their check on a session of one of its artifacts."""

from __future__ import annotations

from edgevision.bundle.known_answers import KnownAnswers, check_known_answers, read_known_answers
from edgevision.bundle.manifest import ArtifactEntry
from edgevision.bundle.storage import Bundle
from edgevision.session import CheckedSession


def answers_of(bundle: Bundle) -> KnownAnswers:
    """The known inputs of a bundle, and the answers of each of its artifacts.

    Raises:
        BundleError: they are damaged.
    """
    manifest = bundle.manifest
    where = str(bundle.path / manifest.selftest.path)
    return read_known_answers(bundle.read(manifest.selftest), manifest.preprocessing, where)


def check_bundle_answers(session: CheckedSession, bundle: Bundle, entry: ArtifactEntry) -> float:
    """Check the known answers of an artifact; see `edgevision.bundle.known_answers.check_known_answers`."""
    return check_known_answers(session, answers_of(bundle), entry.id, entry.precision)


def check_unproved(session: CheckedSession, bundle: Bundle, entry: ArtifactEntry) -> None:
    """Check the known answers of an artifact that was compiled elsewhere, and not proved on its device yet.

    Raises:
        InferenceError: an answer differs.
    """
    if entry.unproved is not None:
        check_bundle_answers(session, bundle, entry)
