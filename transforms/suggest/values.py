"""Which code each word of a column stands for, how sure that is, and why."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from rapidfuzz import fuzz, process

from transforms.dictionary import DICTIONARY, Dictionary, Field
from transforms.lexicon import LEXICON, value_key
from transforms.mapping import MISSING
from transforms.scan.model import ColumnScan


__all__ = ["Meaning", "meanings", "unlisted"]

SURE, PARTS, LIKE, INSIDE, COUNTRY, NOTHING = 0.9, 0.75, 0.55, 0.5, 0.5, 0.0
SIMILAR = 86
SHORTEST = 4
SHORT_PART = 3
ABBREVIATION = re.compile(r"([^\W_]+)[.]")
NEGATIONS = frozenset(
    ("no", "non", "not", "nicht", "kein", "keine", "ohne", "sans", "pas", "sin", "senza", "geen",
     "niet", "zonder", "ikke", "uden", "noch", "nog")
)  # fmt: skip
# What yes, no and unknown are in each kind of field.
ANSWERS: Mapping[str, Mapping[str, str]] = {
    "status": {"yes": "present", "no": "excluded", "unknown": "unknown"},
    "yes_no_unknown": {"yes": "yes", "no": "no", "unknown": "unknown"},
    "boolean": {"yes": "true", "no": "false", "unknown": MISSING},
}


@dataclass(frozen=True)
class Meaning:
    """A word and its likeliest code; an empty code when there is none."""

    word: str
    code: str
    confidence: float
    why: str


def meanings(
    column: ColumnScan,
    field: Field,
    country: str,
    *,
    rare: bool = False,
    dictionary: Dictionary = DICTIONARY,
) -> list[Meaning]:
    """Return a meaning for each word of a column that may be written into the mapping.

    A word of fewer than five persons that the lexicon does not know is written only when `rare`
    asks for it: it may be one person's own.
    """
    known = _known(field, country, dictionary)
    found = [_meaning(word, column, field, known) for word in column.values]
    return [one for one in found if one.code or rare or column.may_show(one.word)]


def unlisted(column: ColumnScan, listed: list[Meaning]) -> int:
    """Return how many words of a column of codes are not listed."""
    return len(column.values) - len(listed)


def _known(field: Field, country: str, dictionary: Dictionary) -> dict[str, tuple[str, str]]:
    """Return plain word → code and reason, for one field."""
    known: dict[str, tuple[str, str]] = {}
    answers = ANSWERS.get(field.codelist or field.type, {})
    for word, answer in LEXICON.answers.items():
        if answer in answers:
            known[word] = (answers[answer], f"a word for {answer}")
        elif answer == "unknown" and field.codelist:
            codes = dictionary.codelists[field.codelist].codes
            known[word] = ("unknown" if "unknown" in codes else MISSING, "a word for unknown")
    if field.codelist:
        known |= {w: (c, "a word of the lexicon") for w, c in LEXICON.codes(field.codelist).items()}
        for code, entry in dictionary.codelists[field.codelist].codes.items():
            known[value_key(entry.label)] = (code, "the code's label")
            known[value_key(code)] = (code, "the code itself")
    if field.codelist == "sex":
        known |= {
            word: (code, f"usual in {country.upper()}")
            for word, code in LEXICON.sexes(country).items()
        }
    return known


def _meaning(
    word: str, column: ColumnScan, field: Field, known: Mapping[str, tuple[str, str]]
) -> Meaning:
    """Return the likeliest meaning of one word."""
    label = column.label.choices.get(word) if column.label else None
    key = value_key(label or word)
    said = f"'{word}' is labelled '{label}', " if label else f"'{word}' is "
    if key in known:
        code, why = known[key]
        return _doubted(Meaning(word, code, SURE, f"{said}{why}"), field, key)
    if (found := _by_parts(label or word, known)) is not None:
        code, like, sure = found
        return _doubted(Meaning(word, code, sure, f"{said}put together like '{like}'"), field, key)
    near = _near(key, known)
    if near:
        code, _ = known[near]
        return Meaning(word, code, LIKE, f"{said}spelled like '{near}'")
    return Meaning(word, "", NOTHING, "no code found: choose one, or missing or reject")


def _by_parts(word: str, known: Mapping[str, tuple[str, str]]) -> tuple[str, str, float] | None:
    """Return code, known word and confidence for a word made of the parts of a known one.

    All of its parts, in any order and language; otherwise the largest known word among its parts,
    when those that are as large mean one code, nothing is denied (`no consolidada`) and nothing
    is short for something unknown (`verz. geheilt`). Yes, no and unknown count as a whole alone:
    "moved, unknown" is somebody who is lost.
    """
    listed = _parts_of(known, small=False)
    whole = _unfolded(word, listed)
    if (parts := LEXICON.parts(whole)) in listed:
        return (*listed[parts], PARTS)
    telling = {text: one for text, one in known.items() if text not in LEXICON.answers}
    every, among = LEXICON.parts(whole, small=True), _parts_of(telling, small=True)
    if every & NEGATIONS or _unclear(whole, listed):
        return None
    inside = [one for one in among if one < every and len("".join(one)) >= SHORT_PART]
    largest = max((len(one) for one in inside), default=0)
    best = {among[one] for one in inside if len(one) == largest}
    if len({code for code, _ in best}) != 1:
        return None
    return (*min(best), INSIDE)


def _parts_of(
    known: Mapping[str, tuple[str, str]], *, small: bool
) -> dict[frozenset[str], tuple[str, str]]:
    """Return parts → code and word, of the words whose parts mean one code alone."""
    found: dict[frozenset[str], tuple[str, str]] = {}
    codes: dict[frozenset[str], set[str]] = {}
    for word, (code, _) in known.items():
        parts = LEXICON.parts(word, small=small)
        codes.setdefault(parts, set()).add(code)
        found.setdefault(parts, (code, word))
    return {parts: one for parts, one in found.items() if parts and len(codes[parts]) == 1}


def _unfolded(word: str, listed: Mapping[frozenset[str], object]) -> str:
    """Write out the parts of a word that are short for one known part: heteroz., verz."""
    whole = {part for parts in listed for part in parts}

    def longer(match: re.Match[str]) -> str:
        part = value_key(match.group(1))
        if LEXICON.same.get(part, part) in whole or len(part) < SHORT_PART:
            return match.group(0)
        begun = {one for one in whole if one.startswith(part)}
        return begun.pop() if len(begun) == 1 else match.group(0)

    return ABBREVIATION.sub(longer, word)


def _unclear(word: str, listed: Mapping[frozenset[str], object]) -> bool:
    """Tell whether a part of a word is short for something that no known word has."""
    whole = {part for parts in listed for part in parts}
    short = (LEXICON.parts(part) for part in ABBREVIATION.findall(word))
    return any(parts and not parts <= whole for parts in short)


def _near(key: str, known: Mapping[str, object]) -> str | None:
    """Return the known word that is spelled most like `key`."""
    if len(key) < SHORTEST:
        return None
    denied = NEGATIONS & set(key.split())
    long = [w for w in known if len(w) >= SHORTEST and NEGATIONS & set(w.split()) == denied]
    found = process.extractOne(key, long, scorer=fuzz.ratio, score_cutoff=SIMILAR)
    return found[0] if found else None


def _doubted(meaning: Meaning, field: Field, key: str) -> Meaning:
    """Take confidence away from a word that may mean something else."""
    doubt = LEXICON.doubts.get(key)
    if field.codelist == "sex":
        why = f"{meaning.why}; look at it whatever the confidence says: {doubt or 'sex'}"
        return Meaning(meaning.word, meaning.code, COUNTRY, why)
    plain = field.codelist in ("laterality",) or not doubt
    if plain or doubt is None:
        return meaning
    return Meaning(meaning.word, meaning.code, COUNTRY, f"{meaning.why}; {doubt}")
