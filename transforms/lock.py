"""Who may work in a site's folder at the same time: many steps together, or one cleaner alone.

A step of a run (harmonize, publish, …) holds the lock with others; a withdrawal and the retention
hold it alone, because they take away what steps read. The lock ends with its process.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from transforms.site import Site


__all__ = ["BusyError", "alone", "at_work"]


class BusyError(Exception):
    """A step is at work in the site's folder."""


@contextmanager
def at_work(site: Site) -> Iterator[None]:
    """Be one of the steps at work; wait while a cleaner is there."""
    with _opened(site) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield


@contextmanager
def alone(site: Site, *, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Be the only one in the site's folder.

    With `on_wait` it is called when steps are at work, and then their end is awaited; without it
    BusyError is raised.
    """
    with _opened(site) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait is None:
                raise BusyError from None
            on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextmanager
def _opened(site: Site) -> Iterator[int]:
    """Open the site's lock file; closing it gives up the lock."""
    descriptor = os.open(site.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
