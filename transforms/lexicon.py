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

# What stands in brackets is left out, but for a part of a word: 25(OH)D.
BRACKETED = re.compile(r"[(\[][^)\]]*[)\]](?![^\W_])")
# A column of this many words or fewer is looked up by the whole name alone: "ca", "p", "data".
LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "œ": "oe", "ı": "i", "°": " ",
                         "µ": "u", "μ": "u"})  # fmt: skip  # µg is not g
# Code lists whose words stand in a section of names of columns.
AS_COLUMNS = {"analyte": "analytes", "phenotype": "findings", "bmd_region": "regions"}
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

    @cached_property
    def same(self) -> dict[str, str]:
        """Plain word → the one that stands for it inside a name or a value."""
        return {_plain(word): one for one, words in self.data["same"].items() for word in words}

    @cached_property
    def small(self) -> frozenset[str]:
        """Plain words that say nothing about what is meant."""
        return frozenset(map(_plain, self.data["small"]["words"]))

    def parts(self, text: str, *, small: bool = False) -> frozenset[str]:
        """Return the words of a text, whatever their order and language; `small` ones too if asked.

        >>> sorted(LEXICON.parts("Fecha de la 1ª visita")), sorted(LEXICON.parts("OAR (TCIRG1)"))
        (['date', 'first', 'visita'], ['aro', 'tcirg1'])
        """
        words = _plain(text).split()
        telling = [word for word in words if small or word not in self.small] or words
        return frozenset(self.same.get(word, word) for word in telling)

    @cached_property
    def columns_by_parts(self) -> dict[frozenset[str], list[Word]]:
        """What a column may be whose name has these words, for names of more than one word."""
        found: dict[frozenset[str], list[Word]] = {}
        for word in self._words():
            parts = self.parts(normal(word.word))
            if len(parts) > 1:
                found.setdefault(parts, []).append(word)
        return found

    def codes(self, codelist: str) -> dict[str, str]:
        """Return plain word → code for a code list; empty when the lexicon has none for it.

        Analytes, findings and regions are called in a cell what they are called above a column.
        """
        listed = dict(self.data["codes"].get(codelist, {}))
        for code, languages in self.data.get(AS_COLUMNS.get(codelist, ""), {}).items():
            listed[code] = [
                *listed.get(code, ()),
                *(w for words in languages.values() for w in words),
            ]
        return {value_key(word): code for code, words in listed.items() for word in words}

    def codes_by_parts(self, codelist: str) -> frozenset[frozenset[str]]:
        """Return the parts of every word that the lexicon has for a code list."""
        if codelist not in self._by_parts:
            self._by_parts[codelist] = frozenset(map(self.parts, self.codes(codelist)))
        return self._by_parts[codelist]

    @cached_property
    def _by_parts(self) -> dict[str, frozenset[frozenset[str]]]:
        """What `codes_by_parts` found already: it is asked once for every column."""
        return {}

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
