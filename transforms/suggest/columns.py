"""What a column may be: every target of the dictionary that its name, label or kind speaks for."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rapidfuzz import fuzz, process

from transforms.dictionary import DICTIONARY, Dictionary, Field
from transforms.lexicon import BRACKETED, LEXICON, Word, normal
from transforms.scan.model import ColumnScan


__all__ = ["LEAVE", "Candidate", "Target", "candidates"]

EXACT, LABEL, ABBREVIATED, ALIKE = 0.95, 0.85, 0.8, 0.65
BY_VALUES = 0.6
PARTS = 0.9
KNOWN_SHARE = 0.3  # of a column's words that are words of one code list
SIMILAR = 88  # of 100; below, words of other meanings come in: gewicht and gesicht
SHORTEST = 5  # letters; shorter words are compared as they stand
SHORTEST_PART = 3  # letters of the longest part of an abbreviation
PART = re.compile(r"[^\W_]+[.]?")
DOUBTFUL = 0.45
# Targets that are no field: the column is left behind for this reason.
LEAVE: Mapping[str, str] = {
    "identifiers": "identifier", "free_text": "free_text", "derived": "derived",
}  # fmt: skip
# How well the kind of a column goes with the type of a field; 1 where nothing is said.
FITS: Mapping[tuple[str, str], float] = {
    ("date", "number"): 0.4, ("date", "code"): 0.3, ("date", "text"): 0.4, ("date", "id"): 0.2,
    ("date", "free_text"): 0.3, ("date", "identifier"): 0.2,
    ("number", "date"): 0.2, ("number", "text"): 0.4, ("number", "free_text"): 0.3,
    ("integer", "date"): 0.2, ("integer", "free_text"): 0.3,
    ("code", "date"): 0.2, ("code", "number"): 0.4, ("code", "free_text"): 0.5,
    ("boolean", "date"): 0.2, ("boolean", "number"): 0.3, ("boolean", "free_text"): 0.3,
    ("boolean", "text"): 0.4, ("codes", "date"): 0.2, ("codes", "number"): 0.3,
    ("string", "date"): 0.5, ("string", "free_text"): 0.6,
}  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A field of the dictionary, with the bracket of its table's discriminator where it has one."""

    table: str
    field: str
    bracket: str | None = None

    @property
    def written(self) -> str:
        """The field as the sheet `fields` writes it."""
        return self.field if self.bracket is None else f"{self.field}[{self.bracket}]"

    def of(self, dictionary: Dictionary = DICTIONARY) -> Field:
        """Return the field's definition."""
        return dictionary.tables[self.table].field(self.field)


@dataclass(frozen=True)
class Candidate:
    """One thing that a column may be, how sure that is, and why."""

    column: str
    target: Target | None
    leave: str
    confidence: float
    why: str
    generic: bool = False
    role: str = ""


def candidates(column: ColumnScan, dictionary: Dictionary = DICTIONARY) -> list[Candidate]:
    """Return what a column may be, the likeliest first."""
    found: dict[object, Candidate] = {}
    for word, score, why in _words(column):
        for one in _candidates(column, word, score, why, dictionary):
            key = (one.target, one.leave, one.role)
            if key not in found or found[key].confidence < one.confidence:
                found[key] = one
    for one in _by_values(column, dictionary):
        if not any(other.target == one.target for other in found.values()):
            found[one.target, "", ""] = one
    return sorted(found.values(), key=lambda one: -one.confidence)


def _by_values(column: ColumnScan, dictionary: Dictionary) -> Iterator[Candidate]:
    """Yield fields whose codes the words of a column are, whatever its name is.

    Only code lists with words of their own count: yes and no say nothing about the field. They
    mean it only in a table of that kind.
    """
    if column.kind != "code" or len(column.values) < 2:
        return
    keys = set(map(LEXICON.parts, column.values))
    for table in dictionary.tables.values():
        for field in table.fields:
            words = LEXICON.codes_by_parts(field.codelist) if field.codelist else frozenset()
            known = keys & words
            if len(known) >= 2 and len(known) >= KNOWN_SHARE * len(keys):
                why = f"{len(known)} of {len(keys)} words of '{column.name}' are words for it"
                target = Target(table.name, field.name)
                yield Candidate(column.name, target, "", BY_VALUES, why, generic=True)


def _words(column: ColumnScan) -> Iterator[tuple[Word, float, str]]:
    """Yield the words of the lexicon that a column's names come near, with the reason."""
    names = [(column.name, EXACT, "")]
    if column.unit and column.name.endswith(f" {column.unit}"):
        names.append((column.name.removesuffix(column.unit), EXACT, "without its unit "))
    if column.label:
        names.append((column.label.text, LABEL, "its label "))
    if column.group:
        names += [(f"{column.group} {column.name}", EXACT, "with its heading "),
                  (f"{column.name} {column.group}", EXACT, "with its heading ")]  # fmt: skip
    for name, best, what in names:
        yield from _exact(name, best, what)
        yield from _by_parts(name, best, what)
        yield from _inside(name, best, what)
        yield from _abbreviated(name, best, what)
        yield from _alike(name, best, what)


def _exact(name: str, best: float, what: str) -> Iterator[tuple[Word, float, str]]:
    """Yield words that are the whole name; a number behind it does not count."""
    plain = normal(name)
    for text, score in ((plain, best), (plain.rstrip("0123456789 "), best - 0.05)):
        for word in LEXICON.columns.get(text, ()):
            yield word, score, f"{what}'{name}' is '{word.word}' ({word.language})"


def _inside(name: str, best: float, what: str) -> Iterator[tuple[Word, float, str]]:
    """Yield words that stand in the name as whole words, the surer the more of it they are."""
    parts = normal(name).split()
    for start in range(len(parts)):
        for end in range(start + 1, len(parts) + 1):
            text = " ".join(parts[start:end])
            if end - start == len(parts) or (len(text) < SHORTEST and text not in SHORT):
                continue
            share = len(text) / len(" ".join(parts))
            for word in LEXICON.columns.get(text, ()):
                score = best * (0.5 + 0.4 * share)
                yield word, score, f"{what}'{name}' holds '{word.word}' ({word.language})"


SHORT = ("sex", "dob", "hb", "hgb", "plt", "pth", "alp", "pal", "ldh", "dxa", "bmd", "dmo", "gen",
         "gene", "ls", "lws", "lwk", "hsct", "szt", "kmt", "tph", "tcse", "tmo", "sct", "side",
         "cote", "os", "igg", "ctx", "asat", "alat")  # fmt: skip


def _by_parts(name: str, best: float, what: str) -> Iterator[tuple[Word, float, str]]:
    """Yield words of the same parts in any order, small words and languages of a part aside."""
    plain = normal(name)
    for word in LEXICON.columns_by_parts.get(LEXICON.parts(plain), ()):
        if normal(word.word) != plain:
            why = f"{what}'{name}' is put together like '{word.word}' ({word.language})"
            yield word, best * PARTS, why


def _abbreviated(name: str, best: float, what: str) -> Iterator[tuple[Word, float, str]]:
    """Yield words of which the name is a shorter form, part by part: insuff. médullaire."""
    parts = [part for part in PART.findall(BRACKETED.sub(" ", name)) if normal(part)]
    telling = [part for part in parts if normal(part) not in LEXICON.small] or parts
    short = [(normal(part), part.endswith(".")) for part in telling]
    least = SHORTEST_PART if len(short) > 1 else SHORTEST
    if max(len(part) for part, _ in short) < least:
        return
    for whole, words in LONG_NAMES.get(len(short), ()):
        if [part for part, _ in short] != whole and _shortened(short, whole):
            for word in words:
                why = f"{what}'{name}' is short for '{word.word}' ({word.language})"
                yield word, best * ABBREVIATED, why


def _shortened(short: list[tuple[str, bool]], whole: list[str]) -> bool:
    """Tell whether each part is how the word in its place begins.

    A part with a point behind it may be as short as one letter; any other has at least four, or is
    the word itself.
    """
    return all(
        LEXICON.same.get(part, part) == LEXICON.same.get(word, word)
        or (word.startswith(part) and (dotted or len(part) >= SHORTEST - 1))
        for (part, dotted), word in zip(short, whole, strict=True)
    )


def _long_names() -> dict[int, list[tuple[list[str], list[Word]]]]:
    """Return the lexicon's names of columns without small words, by how many words they have."""
    found: dict[int, list[tuple[list[str], list[Word]]]] = {}
    for text, words in LEXICON.columns.items():
        whole = [part for part in text.split() if part not in LEXICON.small]
        found.setdefault(len(whole), []).append((whole, words))
    return found


LONG_NAMES = _long_names()


def _alike(name: str, best: float, what: str) -> Iterator[tuple[Word, float, str]]:
    """Yield words that are spelled nearly like the name."""
    plain = normal(name)
    if len(plain) < SHORTEST or plain in LEXICON.columns:
        return
    near = process.extract(plain, LONG_WORDS, scorer=fuzz.ratio, score_cutoff=SIMILAR, limit=5)
    for text, score, _ in near:
        for word in LEXICON.columns[text]:
            sure = best * ALIKE * score / 100
            yield word, sure, f"{what}'{name}' is spelled like '{word.word}' ({word.language})"


LONG_WORDS = [text for text in LEXICON.columns if len(text) >= SHORTEST]


def _candidates(
    column: ColumnScan, word: Word, score: float, why: str, dictionary: Dictionary
) -> Iterator[Candidate]:
    """Yield what a word makes of a column, weighed by the kind of its values."""
    if word.target in LEAVE:
        yield Candidate(column.name, None, LEAVE[word.target], score, why)
        return
    if word.target in ("person_id", "unit_column"):
        yield Candidate(column.name, None, "", score, why, role=word.target)
        return
    for target in _targets(word, column):
        if target.table not in dictionary.tables:
            continue
        if target.field not in dictionary.tables[target.table].field_names:
            continue
        kind = target.of(dictionary).type
        fitting = FITS.get((kind, column.kind), 1.0)
        if kind == "date" and any("Excel" in note for note in column.notes):
            fitting = 1.0
        reason = why if fitting == 1 else f"{why}; but a {kind} is not what it seems to hold"
        if normal(column.name) in LEXICON.doubts:
            score, reason = min(score, DOUBTFUL), f"{reason}. {LEXICON.doubts[normal(column.name)]}"
        yield Candidate(column.name, target, "", score * fitting, reason, word.generic)


def _targets(word: Word, column: ColumnScan) -> Iterator[Target]:
    """Yield the fields that a word names; a measure of bones takes its region from the name."""
    table, _, rest = word.target.partition(".")
    name, _, bracket = rest.rstrip("]").partition("[")
    if table.startswith("region"):
        return
    if table == "imaging_bmd" and name in ("z_score", "t_score", "bmd_g_cm2"):
        region = _region(f"{column.name} {column.group}")
        yield Target(table, name, region)
        return
    yield Target(table, name, bracket or None)


def _region(name: str) -> str | None:
    """Return the region of the body that a name mentions; the longest word counts."""
    padded = f" {normal(name)} "
    found = [word for word in LEXICON.regions if f" {word} " in padded]
    return LEXICON.regions[max(found, key=len)] if found else None
