"""What gateway and node share as processes: log, clean end, a life tied to another's, a keeper."""

import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from transforms import sandbox


__all__ = ["keep", "leave", "prepare"]

PAUSES = (0.2, 1.0, 5.0, 15.0)
"""Seconds before a process that died is started again; the last one repeats."""

SETTLED = 60.0
"""Seconds of life after which a death is the first one again."""

BROKEN = 1
"""Exit code of a process that ended by a defect, not by a user's mistake."""

_log = logging.getLogger("marmor")


def prepare(home: Path, *, lifeline: bool, kept: bool = False) -> None:
    """Set up this process before Flower starts, as a child of a keeper when it is to be `kept`.

    Flower's own files go to `home`. SIGTERM and SIGINT raise SystemExit, so that `finally` blocks
    run. With `lifeline` the process also ends when its standard input is closed, that is when
    whoever started it has gone, however it went.
    """
    os.umask(0o077)
    os.environ["FLWR_HOME"] = str(home)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    for noisy in ("flwr", "httpx", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    if kept:
        keep(lifeline=lifeline)
    elif lifeline:
        threading.Thread(target=_watch, name="lifeline", daemon=True).start()


def keep(*, lifeline: bool) -> None:
    """Go on as a child; the parent starts another whenever one dies, until it is told to stop.

    A child that ends by itself, whether well or with an error to mend, is not started again: only
    one that was killed or broke. It ends with its parent, however that ends; with `lifeline` the
    parent ends when its standard input closes. Call it before the process has a connection.
    """
    deaths = 0
    while True:
        started, parent = time.monotonic(), os.getpid()
        child = os.fork()
        if child == 0:
            sandbox.tie_to(parent)
            return
        status = _await(child, lifeline=lifeline)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) != BROKEN:
            logging.shutdown()
            os._exit(os.WEXITSTATUS(status))
        deaths = 0 if time.monotonic() - started > SETTLED else deaths
        pause = PAUSES[min(deaths, len(PAUSES) - 1)]
        _log.error("process %d died; starting another in %.1f s", child, pause)
        time.sleep(pause)
        deaths += 1


def _await(child: int, *, lifeline: bool) -> int:
    """Return how `child` ended; when we are told to stop, or the lifeline is cut, stop with it."""
    end = os.pidfd_open(child)
    watched = [end, *([sys.stdin.fileno()] if lifeline else [])]
    try:
        while end not in (ready := select.select(watched, [], [])[0]):
            if ready and not os.read(ready[0], 1024):
                sys.exit(0)
        return os.waitpid(child, 0)[1]
    except SystemExit:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        raise
    finally:
        os.close(end)


def leave(main: Callable[[], int]) -> NoReturn:
    """Run `main` and end with its code at once: everything that must be closed is closed by then.

    Taking the interpreter apart would only add half a second to every stop.
    """
    code = BROKEN
    try:
        code = main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else BROKEN
    except BaseException:
        logging.getLogger("marmor").exception("ended by an error")
    logging.shutdown()
    os._exit(code)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def _is_news(record: logging.LogRecord) -> bool:
    """Leave out that held calls were cancelled at the end: they always are."""
    return not record.getMessage().startswith("Cancel ")


def _watch() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
