"""Signs of life of a node whose answer takes long, so that it is not taken for a dead one.

A node hands in its answer when it is done; until then the gateway would hear nothing of it. Most
answers take milliseconds and cost no sign.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


__all__ = ["EVERY", "Pulse"]

EVERY = 1.0
"""Seconds of work before the first sign, and between signs."""


class Pulse:
    """Calls `tell` every second while a `with` block of `beat` runs; its errors do no harm."""

    def __init__(self, tell: Callable[[], None]) -> None:
        """Start the thread that tells."""
        self._tell = tell
        self._until = 0.0
        self._working, self._done = threading.Event(), threading.Event()
        threading.Thread(target=self._run, name="pulse", daemon=True).start()

    @contextmanager
    def beat(self, most: float) -> Iterator[None]:
        """Give signs while the block runs, at most for `most` seconds."""
        self._until = time.monotonic() + most
        self._done.clear()
        self._working.set()
        try:
            yield
        finally:
            self._working.clear()
            self._done.set()

    def _run(self) -> None:
        while self._working.wait():
            if not self._done.wait(EVERY) and time.monotonic() < self._until:
                with suppress(Exception):  # the exchange itself reports what is wrong
                    self._tell()
