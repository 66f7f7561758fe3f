"""Which code each word of a column stands for, how sure that is, and why."""

from collections.abc import Mapping
from dataclasses import dataclass

from rapidfuzz import fuzz, process

from transforms.dictionary import DICTIONARY, Dictionary, Field
from transforms.lexicon import LEXICON, value_key
from transforms.mapping import MISSING
from transforms.scan.model import ColumnScan


__all__ = ["Meaning", "meanings", "unlisted"]

SURE, COUNTRY, LIKE, NOTHING = 0.9, 0.5, 0.55, 0.0
SIMILAR = 86
SHORTEST = 4
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
    near = _near(key, known)
    if near:
        code, _ = known[near]
        return Meaning(word, code, LIKE, f"{said}spelled like '{near}'")
    return Meaning(word, "", NOTHING, "no code found: choose one, or missing or reject")


def _near(key: str, known: Mapping[str, object]) -> str | None:
    """Return the known word that is spelled most like `key`."""
    if len(key) < SHORTEST:
        return None
    long = [word for word in known if len(word) >= SHORTEST]
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
