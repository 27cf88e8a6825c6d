"""A table of deliberate mistakes, each with words of the message that names it."""

from __future__ import annotations

from collections.abc import Callable


class Mistakes(dict[str, tuple[type, str]]):
    """Name of a class -> the class that makes a mistake, and a pattern for the message that names it."""

    def mistake(self, words: str) -> Callable[[type], type]:
        """A decorator that adds a class to the table."""

        def add(kind: type) -> type:
            self[kind.__name__] = kind, words
            return kind

        return add
