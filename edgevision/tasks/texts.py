"""The words that reports and commands have for a kind of task."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskTexts:
    """The words for a kind of task; the defaults suit any.

    Attributes:
        errors: what images with an error are said to be, after their number: ``are misclassified``.
        support: what the support of a class counts, such as ``images`` or ``objects``.
        changes_title: heading of the images whose result changed.
        changes: which images these are; a sentence without its end, which a list of numbers follows.
        changes_legend: how to read their pictures; empty for nothing to say.
        agreement: what the agreement of an artifact with its source is.
        methods: (term, definition) of further metrics.
    """

    errors: str = "differ from the ground truth"
    support: str = "images"
    changes_title: str = "Changed results"
    changes: str = "Images whose result differs from that of the source, largest difference first"
    changes_legend: str = ""
    agreement: str = "Share of the source's results that the artifact reproduces."
    methods: tuple[tuple[str, str], ...] = ()
