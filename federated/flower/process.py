"""What gateway and node share as processes: their log, a clean end, a life tied to another's."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn


__all__ = ["leave", "prepare"]


def prepare(home: Path, *, lifeline: bool) -> None:
    """Set up this process before Flower starts.

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
    if lifeline:
        threading.Thread(target=_watch, name="lifeline", daemon=True).start()


def leave(main: Callable[[], int]) -> NoReturn:
    """Run `main` and end with its code at once: everything that must be closed is closed by then.

    Taking the interpreter apart would only add half a second to every stop.
    """
    code = 1
    try:
        code = main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
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
