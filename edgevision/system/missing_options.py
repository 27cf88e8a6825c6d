"""Options that a model makes necessary, collected over several steps: one message asks for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgevision.errors import MissingOptionError


class MissingOptions:
    """Collects `MissingOptionError` over the steps that need something stated.

    Args:
        where: the model's name, for the error.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._questions: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._questions)

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Keep a `MissingOptionError` of the block, which ends there; every other error passes."""
        try:
            yield
        except MissingOptionError as error:
            self._questions += [question for question in error.questions if question not in self._questions]

    def check(self) -> None:
        """Go on if nothing is missing.

        Raises:
            MissingOptionError: names everything that is, with its choices.
        """
        if self._questions:
            raise MissingOptionError(self._where, *self._questions)
