"""How long work says what it is at: a function that is told, and the one that nobody listens to."""

from collections.abc import Callable


__all__ = ["Say", "nothing"]

Say = Callable[[str], None]


def nothing(text: str) -> None:
    """Take no notice."""
