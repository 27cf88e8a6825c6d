"""Arguments of each call of a model in a stream, which may change while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


class CallArguments:
    """Arguments by name; workers read them for each frame anew.

    Args:
        arguments: at the start.
        check: raises OptionError for arguments that the model does not take.

    Raises:
        OptionError: of `check`.
    """

    def __init__(self, arguments: Mapping[str, Any], check: Callable[[Mapping[str, Any]], object]) -> None:
        check(arguments)
        self._check = check
        self._current = dict(arguments)

    @property
    def current(self) -> Mapping[str, Any]:
        """The present ones; not changed later: others take its place."""
        return self._current

    def change(self, arguments: Mapping[str, Any]) -> None:
        """Set some of them, and keep the others.

        Raises:
            OptionError: of `check`; nothing is changed.
        """
        changed = {**self._current, **arguments}
        self._check(changed)
        self._current = changed
