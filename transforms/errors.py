"""Errors that a person caused and can mend: shown without a traceback, one exit code per kind.

    UserError
    ├── SourceError       10  a file cannot be read, or is not what its mapping says
    ├── MappingError      11  the mapping names a column, field, code or unit that is not there
    ├── DictionaryError   12  the data dictionary contradicts itself
    ├── ReleaseError      13  a release is missing, incomplete or was changed
    ├── ReviewError       14  a run waits for a decision, or cannot take the one given
    ├── RequestError      20  a request names an unknown analysis, variable, level or parameter
    ├── RefusedError      21  a rule of the disclosure policy refuses the request
    ├── SiteDownError     22  too few sites answered
    ├── ConsortiumError   23  keys, roster, certificates, or a gateway that cannot be reached
    └── SetupError        30  environments, ports, processes

    AbsentError is the SourceError of a file that is sound and has no such sheet, form or table.

A message says what was wrong, where, what was expected and what to do. It never holds a value
from a patient's record: file names, column names, codes of the dictionary and counts only.
"""

from collections.abc import Sequence
from typing import ClassVar


__all__ = [
    "AbsentError",
    "ConsortiumError",
    "DictionaryError",
    "MappingError",
    "RefusedError",
    "ReleaseError",
    "RequestError",
    "ReviewError",
    "SetupError",
    "SiteDownError",
    "SourceError",
    "UserError",
    "raise_all",
]


class UserError(Exception):
    """What was wrong, where, what was expected, what to do; one line per problem."""

    exit_code: ClassVar[int] = 1


class SourceError(UserError):
    """A source file cannot be read, or is not of the declared format."""

    exit_code = 10


class AbsentError(SourceError):
    """The files are sound and have no such sheet, instrument or table."""


class MappingError(UserError):
    """A mapping names something that the source or the dictionary does not have."""

    exit_code = 11


class DictionaryError(UserError):
    """The data dictionary contradicts itself."""

    exit_code = 12


class ReleaseError(UserError):
    """A release is missing, incomplete or was changed after publication."""

    exit_code = 13


class ReviewError(UserError):
    """A run waits for a reviewer's decision, or cannot take the decision given."""

    exit_code = 14


class RequestError(UserError):
    """A request names an analysis, variable, level or parameter that does not exist."""

    exit_code = 20


class RefusedError(UserError):
    """A rule of the disclosure policy refuses the request; the message never tells a count."""

    exit_code = 21


class SiteDownError(UserError):
    """Fewer sites answered than the request or the policy needs."""

    exit_code = 22


class ConsortiumError(UserError):
    """Keys, roster or certificates are missing or do not fit, or the gateway is unreachable."""

    exit_code = 23


class SetupError(UserError):
    """An environment, port or process is not as the command needs it."""

    exit_code = 30


def raise_all(error: type[UserError], problems: Sequence[str]) -> None:
    """Raise one `error` that lists all `problems`, one per line; do nothing when there is none."""
    if problems:
        raise error("\n".join(problems))
