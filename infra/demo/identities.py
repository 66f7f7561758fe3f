"""Gives invented patients invented names, numbers and notes, for a centre's raw data alone."""

from collections.abc import Callable, Mapping

import numpy as np

from infra.demo.columns import Array, Columns
from infra.demo.parameters import read_toml


__all__ = ["IDENTIFYING", "identities"]

# The columns added here: none of them may ever be found outside the centre's own folder.
IDENTIFYING = ("local_id", "given", "family_name", "phone", "email", "national_id", "note")

BSN_WEIGHTS = np.array([9, 8, 7, 6, 5, 4, 3, 2])


def identities(rng: np.random.Generator, person: Columns, language: str, prefix: str) -> Columns:
    """Return `person` with the identifying columns; local ids are `prefix` and a number."""
    pool, size = read_toml("names.toml")[language], len(person)
    given = np.where(
        person["sex"] == "female",
        rng.choice(np.array(pool["female"], dtype=object), size),
        rng.choice(np.array(pool["male"], dtype=object), size),
    )
    family = rng.choice(np.array(pool["family"], dtype=object), size)[person["family"]]
    surname = [f"{name}-{pool['mark']}" for name in family]
    phone = [
        pool["phone"].format(a=a, b=b)
        for a, b in zip(rng.integers(100, size=size), rng.integers(100, size=size), strict=True)
    ]
    number = NATIONAL[language]
    national = [
        number(index, str(birth), sex)
        for index, (birth, sex) in enumerate(zip(person["birth"], person["sex"], strict=True))
    ]
    note = [
        pool["note"].format(given=a, family=b, phone=c)
        for a, b, c in zip(given, surname, phone, strict=True)
    ]
    order = rng.permutation(size)
    return person.put(
        local_id=_texts([f"{prefix}{1001 + index}" for index in order]),
        given=given,
        family_name=_texts(surname),
        phone=_texts(phone),
        email=_texts([f"patient{index}@example.org" for index in order]),
        national_id=_texts(national),
        note=_texts(note),
    )


def _nir(index: int, birth: str, sex: str) -> str:
    """Return a French NIR of 15 digits in department 99 (abroad), commune 990, with its key."""
    body = f"{2 if sex == 'female' else 1}{birth[2:4]}{birth[5:7]}99990{index % 1000:03d}"
    return f"{body}{97 - int(body) % 97:02d}"


def _kvnr(index: int, birth: str, sex: str) -> str:
    """Return a German insurance number: letter Z, eight digits, check digit mod 10."""
    body = f"26{99000000 + index:08d}"
    products = [int(digit) * (1 + place % 2) for place, digit in enumerate(body)]
    check = sum(value // 10 + value % 10 for value in products) % 10
    return f"Z{body[2:]}{check}"


def _bsn(index: int, birth: str, sex: str) -> str:
    """Return nine digits that satisfy the Dutch 11-test, from a range never given out."""
    stem = 99000000 + index * 10
    while True:
        digits = np.array([int(digit) for digit in f"{stem:08d}"])
        check = int(digits @ BSN_WEIGHTS) % 11
        if check < 10:
            return f"{stem:08d}{check}"
        stem += 1


def _codice_fiscale(index: int, birth: str, sex: str) -> str:
    """Return the form of an Italian tax code with the place Z999, which does not exist."""
    month = "ABCDEHLMPRST"[int(birth[5:7]) - 1]
    day = int(birth[8:10]) + (40 if sex == "female" else 0)
    letters = chr(65 + index // 26 % 26) + chr(65 + index % 26)
    return f"ZZZ{letters}X{birth[2:4]}{month}{day:02d}Z999{chr(65 + index % 26)}"


def _cpr(index: int, birth: str, sex: str) -> str:
    """Return a Danish CPR number: day, month, year and a serial number of the right parity."""
    serial = (index * 2) % 1000 + (0 if sex == "female" else 1)
    return f"{birth[8:10]}{birth[5:7]}{birth[2:4]}-{serial:04d}"


def _dni(index: int, birth: str, sex: str) -> str:
    """Return a Spanish DNI of a number that is not given out, with its letter."""
    number = 99990000 + index % 10000
    return f"{number}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}"


NATIONAL: Mapping[str, Callable[[int, str, str], str]] = {
    "fr": _nir,
    "de": _kvnr,
    "nl": _bsn,
    "it": _codice_fiscale,
    "da": _cpr,
    "es": _dni,
}


def _texts(items: list[str]) -> Array:
    """Return texts as an array of objects."""
    return np.array(items, dtype=object)
