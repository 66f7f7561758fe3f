"""What calamine raises on a damaged workbook, as one refusal in words.

Its Rust code may panic, which is no Exception to Python, or miss bytes, an OSError without number.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from transforms.errors import SourceError


__all__ = ["refusing"]

PANIC = "PanicException"  # its class cannot be imported


@contextmanager
def refusing(name: str, what: str) -> Iterator[None]:
    """Refuse a workbook on which calamine fails: `what` says which and how, `name` is its file.

    Raises SourceError; an error of the system itself, such as no memory, passes.
    """
    from python_calamine import CalamineError, PasswordError

    try:
        yield
    except PasswordError:
        raise SourceError(
            f"{name}: the workbook is protected by a password; save it without one"
        ) from None
    except BaseException as error:
        short = isinstance(error, OSError) and error.errno is None
        if short or isinstance(error, CalamineError) or type(error).__name__ == PANIC:
            raise SourceError(f"{what}; open it in Excel and save it again as .xlsx") from None
        raise
