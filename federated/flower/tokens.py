"""Bearer tokens of analysts and operators: the file holds hashes, names and roles, no token.

The gateway looks at the file again whenever it changed, so that a token is taken back at once.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from federated.flower.layout import stamp
from transforms.errors import ConsortiumError


__all__ = [
    "NAME",
    "ROLES",
    "Person",
    "TokenFile",
    "Tokens",
    "fingerprint",
    "load_tokens",
]

NAME = re.compile(r"[a-z][a-z0-9._-]{0,40}")
"""What a person is called; also the name of the folder with that person's results."""

ROLES = frozenset({"analyst", "operator"})
"""analyst: asks queries and reads own results; operator: also sees which site is up and why."""


@dataclass(frozen=True)
class Person:
    """Who a token belongs to, and what that person may do."""

    name: str
    roles: frozenset[str]


@dataclass(frozen=True)
class Tokens:
    """The known people by the SHA-256 of their token."""

    people: Mapping[str, Person]

    def person(self, token: str) -> Person | None:
        """Return whose token this is, or None; takes the same time for every wrong token."""
        seen = fingerprint(token)
        found = None
        for known, person in self.people.items():
            if hmac.compare_digest(seen, known):
                found = person
        return found


def fingerprint(token: str) -> str:
    """Return the SHA-256 under which a token is stored; tokens are 256 random bits, so no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


class TokenFile:
    """The people in `tokens.json` as it stands now; raises ConsortiumError when it is malformed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = stamp(self._path)
        self._tokens = load_tokens(path)

    def person(self, token: str) -> Person | None:
        """Return whose token this is, or None; nobody gets in while the file is malformed."""
        state = stamp(self._path)
        if state != self._seen:
            self._tokens = load_tokens(self._path)
            self._seen = state
        return self._tokens.person(token)


def load_tokens(path: Path) -> Tokens:
    """Read `tokens.json`: {name: {"sha256": …, "roles": […]}}.

    Raises ConsortiumError when the file is missing or not of that form.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        people = {entry["sha256"]: _person(name, entry["roles"]) for name, entry in data.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ConsortiumError(
            f"{path}: not a file of analyst tokens; make one with `marmor consortium init`"
        ) from None
    return Tokens(people)


def _person(name: str, roles: list[str]) -> Person:
    if not NAME.fullmatch(name):
        raise ValueError(name)
    return Person(name, frozenset(roles) & ROLES)
