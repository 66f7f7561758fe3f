"""Words that centres use for columns and values, from `lexicon.toml`, in a form to compare.

>>> normal("Calcémie (mg/L)")
'calcemie'
>>> LEXICON.columns["date de naissance"][0].target
'person.birth_date'
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any


__all__ = ["LEXICON", "Lexicon", "Word", "normal", "value_key", "words_for"]

BRACKETED = re.compile(r"[(\[][^)\]]*[)\]]")
# A column of this many words or fewer is looked up by the whole name alone: "ca", "p", "data".
LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "œ": "oe", "ı": "i", "°": " "})
# What stands for itself in a value: a sign may be the whole word.
SIGNS = ("-", "+", "?", "--", ".")


def normal(text: str) -> str:
    """Return a column's name in plain small letters, without what stands in brackets."""
    shorn = BRACKETED.sub(" ", text).strip() or text
    return _plain(shorn)


def value_key(text: str) -> str:
    """Return a value in plain small letters; a sign alone stays a sign.

    >>> value_key(" Décédé "), value_key("-")
    ('decede', '-')
    """
    trimmed = text.replace("\u00a0", " ").strip()
    return trimmed if trimmed in SIGNS else _plain(trimmed) or trimmed.lower()


def _plain(text: str) -> str:
    """Return small letters and digits with single blanks, accents taken off."""
    decomposed = unicodedata.normalize("NFKD", text.casefold().translate(LETTERS))
    letters = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join(re.sub(r"[^a-z0-9+<>%]+", " ", letters).split())


@dataclass(frozen=True)
class Word:
    """A word that may name `target`, such as `person.birth_date` or `lab_measurement.value[pth]`.

    `generic` words mean it only in a table of that kind; `word` is as the lexicon spells it.
    """

    target: str
    language: str
    word: str
    generic: bool = False


@dataclass(frozen=True)
class Lexicon:
    """The lexicon as it stands in the file, and looked up by plain words."""

    data: Mapping[str, Any]

    @cached_property
    def columns(self) -> dict[str, list[Word]]:
        """Plain name → what a column of that name may be, in the order of the file."""
        found: dict[str, list[Word]] = {}
        for word in self._words():
            found.setdefault(normal(word.word), []).append(word)
        return found

    def _words(self) -> Iterator[Word]:
        """Yield every word for a column."""
        for name in ("person_id", "identifiers", "free_text", "derived", "unit_column"):
            yield from _each(name, self.data[name])
        for target, languages in self.data["fields"].items():
            yield from _each(target, languages)
        for section, pattern in (
            ("analytes", "lab_measurement.value[{}]"),
            ("findings", "complication.status[{}]"),
            ("regions", "region[{}]"),
        ):
            for code, languages in self.data[section].items():
                yield from _each(pattern.format(code), languages)

    @cached_property
    def tables(self) -> dict[str, str]:
        """Plain name of a sheet or file → the kind of table it mostly is."""
        return {
            normal(word): table for table, words in self.data["tables"].items() for word in words
        }

    @cached_property
    def regions(self) -> dict[str, str]:
        """Plain name of a region of the body → its code."""
        return {
            normal(word): code
            for code, languages in self.data["regions"].items()
            for words in languages.values()
            for word in words
        }

    @cached_property
    def answers(self) -> dict[str, str]:
        """Plain word → yes, no or unknown."""
        return {
            value_key(word): answer
            for answer, words in self.data["answers"].items()
            for word in words
        }

    @cached_property
    def missing(self) -> frozenset[str]:
        """Plain texts that may stand for no value."""
        return frozenset(map(value_key, self.data["missing"]["tokens"]))

    @cached_property
    def totals(self) -> frozenset[str]:
        """Plain words that begin a row which sums up others."""
        return frozenset(
            value_key(word) for words in self.data["totals"].values() for word in words
        )

    @cached_property
    def doubts(self) -> dict[str, str]:
        """Plain word → why it may mean something else."""
        return {value_key(word): text for word, text in self.data["doubts"].items()}

    def codes(self, codelist: str) -> dict[str, str]:
        """Return plain word → code for a code list; empty when the lexicon has none for it."""
        return {
            value_key(word): code
            for code, words in self.data["codes"].get(codelist, {}).items()
            for word in words
        }

    def sexes(self, country: str) -> dict[str, str]:
        """Return plain word → code of sex in a country; empty for one that is not listed."""
        return {
            value_key(word): code
            for code, words in self.data["sex"].get(country.upper(), {}).items()
            for word in words
        }


def _each(target: str, languages: Mapping[str, list[str]]) -> Iterator[Word]:
    """Yield the words of one target."""
    for language, words in languages.items():
        for word in words:
            yield Word(target, language, word, generic=language == "generic")


def words_for(name: str) -> list[Word]:
    """Return what a column may be that is called exactly as a word of the lexicon."""
    return LEXICON.columns.get(normal(name), [])


LEXICON = Lexicon(
    tomllib.loads(Path(__file__).with_name("lexicon.toml").read_text(encoding="utf-8"))
)
