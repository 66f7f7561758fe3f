"""All rows of the four sheets that a scan suggests, each with its confidence and its reason."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from transforms.dictionary import DICTIONARY, Dictionary, Table
from transforms.lexicon import LEXICON, value_key
from transforms.mapping import Source
from transforms.mapping_check import EVERY, made_here
from transforms.scan.model import ColumnScan, Scan
from transforms.site import Site
from transforms.suggest.assign import SURE, Assigned, assign
from transforms.suggest.columns import Target
from transforms.suggest.rules import NO_ORDER, Rule, rule_for
from transforms.suggest.values import Meaning, meanings, unlisted


__all__ = ["Draft", "draft", "value_rows"]

Row = dict[str, str]
ASKED = "no column found: give the column, or say not_collected"
CONSENT = (
    "no column of consent found: give it; only when every person in these files agreed to reuse, "
    "write yes here"
)
SHORT = 4  # letters; shorter words stand in names by chance
# What a table means when nothing says it, with the reason.
USUAL: dict[tuple[str, str], tuple[str, str]] = {
    ("imaging_bmd", "modality"): ("DXA", "Z-scores mostly come from DXA; check"),
}


@dataclass
class Draft:
    """Suggested rows by sheet, in the order in which they are written."""

    sources: list[Row] = field(default_factory=list)
    fields: list[Row] = field(default_factory=list)
    values: list[Row] = field(default_factory=list)
    ignore: list[Row] = field(default_factory=list)

    @property
    def sheets(self) -> dict[str, list[Row]]:
        """The rows by name of their sheet."""
        return {name: getattr(self, name) for name in ("sources", "fields", "values", "ignore")}


def draft(
    scan: Scan, site: Site, *, rare: bool = False, dictionary: Dictionary = DICTIONARY
) -> Draft:
    """Return the rows that a scan suggests.

    `rare` also lists words of fewer than five persons that the lexicon does not know.
    """
    result = Draft()
    for number, one in enumerate(scan.ready):
        name = (
            one.ready if number == 0 or one.ready not in _ids(result) else f"{one.ready}_{number}"
        )
        comment = f"{one.files} files; the mapping ships with Marmor"
        result.sources.append(
            {"source": name, "ready": one.ready, "file": one.file, "comment": comment}
        )
    for assigned in assign(scan.tables, dictionary):
        _source(result, assigned)
        _fields(result, assigned, site, rare, dictionary)
        _leave(result, assigned)
        _complete(result, assigned, site, dictionary)
    return result


def _ids(result: Draft) -> set[str]:
    """Return the source ids so far."""
    return {row["source"] for row in result.sources}


def _source(result: Draft, assigned: Assigned) -> None:
    """Add the row of a source; what the files do not show is a question mark."""
    source = assigned.table.source
    comments = [*assigned.table.notes, *_taken_for_missing(source)]
    if not source.id_column:
        comments.append("no column looks like the person's id: give it in id_column")
    order = source.date_order
    if not order:
        order = NO_ORDER
        comments.append("no date shows whether day or month comes first: ask, then say DMY or MDY")
    row = _source_row(source, assigned.source, order, "; ".join(comments))
    if assigned.repeated:
        row["repeat_key"] = next(iter(assigned.fields))
        row["comment"] = "the same sheet once more, for columns that repeat; where repeat_key is "
        row["comment"] += "empty there is no further row"
    result.sources.append(row)


def _taken_for_missing(source: Source) -> list[str]:
    """Say which texts among numbers and dates are taken for no value."""
    if not source.missing:
        return []
    return [
        f"{', '.join(source.missing)}: taken for 'no value', in all columns of this source; check"
    ]


def _source_row(source: Source, name: str, order: str, comment: str) -> Row:
    """Return a source as a row of text."""
    return {
        "source": name,
        "system": source.system,
        "file": source.file,
        "format": source.format,
        "sheet": source.sheet,
        "header_row": str(source.header_row),
        "encoding": source.encoding,
        "delimiter": "tab" if source.delimiter == "\t" else source.delimiter,
        "decimal": source.decimal,
        "date_order": order,
        "language": source.language,
        "missing": ";".join(source.missing),
        "id_column": source.id_column,
        "comment": comment,
    }


def _fields(
    result: Draft, assigned: Assigned, site: Site, rare: bool, dictionary: Dictionary
) -> None:
    """Add a row for each field that has a column, and the words of those that are looked up."""
    for name, one in assigned.fields.items():
        if one.target is None:
            continue
        column = assigned.table.column(name)
        rule = rule_for(one.target, column, assigned, dictionary)
        confidence = min(one.confidence, rule.at_most)
        notes = [one.why, *rule.notes]
        if rule.rule in ("recode", "split"):
            words = meanings(
                column, one.target.of(dictionary), site.country, rare=rare, dictionary=dictionary
            )
            notes += _unlisted(column, words)
            result.values += _new(result.values, value_rows(assigned.source, one.target, words))
        result.fields.append(
            _field_row(one.target, assigned.source, name, rule, confidence, "; ".join(notes))
        )


def _field_row(
    target: Target, source: str, column: str, rule: Rule, confidence: float, comment: str
) -> Row:
    """Return a row of the sheet `fields`."""
    return {
        "table": target.table,
        "field": target.written,
        "source": source,
        "column": column,
        "rule": rule.rule,
        "arg": rule.arg,
        "unit": rule.unit,
        "status": "suggested",
        "confidence": f"{confidence:.2f}",
        "comment": comment,
    }


def _unlisted(column: ColumnScan, words: list[Meaning]) -> list[str]:
    """Say that there are words which are not written down."""
    count = unlisted(column, words)
    if not count:
        return []
    return [
        f"{count} words of few persons are not listed: "
        "`marmor site check SITE --show-values` shows them"
    ]


def value_rows(source: str, target: Target, words: Sequence[Meaning]) -> Iterator[Row]:
    """Yield the rows of the sheet `values` for one field; brackets of a field share them."""
    for word in words:
        yield {
            "table": target.table,
            "field": target.field,
            "source": source,
            "source_value": word.word,
            "target_code": word.code,
            "predicate": "exact",
            "status": "suggested",
            "confidence": f"{word.confidence:.2f}",
            "justification": word.why,
        }


def _new(there: list[Row], rows: Iterator[Row]) -> list[Row]:
    """Return the rows that do not say again what one there says."""
    keys = ("table", "field", "source")
    known = {(*(row[k] for k in keys), row["source_value"].lower()) for row in there}
    return [
        row for row in rows if (*(row[k] for k in keys), row["source_value"].lower()) not in known
    ]


def _leave(result: Draft, assigned: Assigned) -> None:
    """Add a row for each column that is left behind, or of which nothing is known."""
    if assigned.repeated:
        result.ignore.append(_left(assigned.source, EVERY, "not_needed", SURE, BESIDE))
        first = assigned.table.source.source
        why = f"read by the source {assigned.source}"
        result.ignore += [_left(first, name, "not_needed", SURE, why) for name in assigned.fields]
        return
    for name, one in assigned.leaves.items():
        result.ignore.append(_left(assigned.source, name, one.leave, one.confidence, one.why))
    for name, best in assigned.unknown.items():
        column = assigned.table.column(name)
        reason, sure, why = _reason(column)
        if best and best.target:
            why = f"{why}; perhaps {best.target.table}.{best.target.written}: {best.why}"
        if not _read_again(name, assigned):
            result.ignore.append(_left(assigned.source, name, reason, sure, why))


BESIDE = "the other columns are read by the first source of this sheet"


def _read_again(name: str, assigned: Assigned) -> bool:
    """Tell whether a column is the repeat key or id of its source."""
    return name in (assigned.table.source.id_column, assigned.unit_column)


def _reason(column: ColumnScan) -> tuple[str, float, str]:
    """Return why a column that fills nothing would be left, how sure that is, and the reason."""
    if column.detected:
        kinds = ", ".join(column.detected)
        return "identifier", 0.9, f"{sum(column.detected.values())} texts hold {kinds}"
    if column.kind == "empty":
        return "not_needed", 0.9, "empty in all rows"
    if column.kind == "identifier":
        return "identifier", 0.8, "seems to name persons"
    if column.kind == "free_text":
        return "free_text", 0.8, "long texts"
    if column.name.endswith("_complete") or column.name.startswith("redcap_"):
        return "not_needed", 0.7, "REDCap's own column"
    return "not_needed", 0.2, "nothing found that it fills: map it in fields, or leave it here"


def _left(source: str, column: str, reason: str, sure: float, why: str) -> Row:
    """Return a row of the sheet `ignore`."""
    return {
        "source": source,
        "column": column,
        "reason": reason,
        "status": "suggested",
        "confidence": f"{sure:.2f}",
        "comment": why,
    }


def _complete(result: Draft, assigned: Assigned, site: Site, dictionary: Dictionary) -> None:
    """Add a row for each mandatory field of the source's tables that no column fills."""
    filled = [one.target for one in assigned.fields.values() if one.target]
    hgvs = any(r["rule"] == "hgvs" and r["source"] == assigned.source for r in result.fields)
    first = assigned.table.source.source if assigned.repeated else ""
    for name in dict.fromkeys(target.table for target in filled):
        table = dictionary.tables[name]
        given = {target.field for target in filled if target.table == name}
        if name == "person" and site.country.upper() in dictionary.codelists["country"].codes:
            result.fields.append(_country(assigned.source, site))
        for needed in _needed(table, given):
            if hgvs and name == "variant":
                continue
            same = next((r for r in result.fields if _is(r, name, needed, first)), None)
            if same is None:
                result.fields.append(_asked(table, needed, assigned, dictionary))
            else:
                _read_too(result, same, assigned.source)


def _is(row: Row, table: str, field: str, source: str) -> bool:
    """Tell whether a row of the draft fills a field from a column of a source."""
    return (row["table"], row["field"], row["source"]) == (table, field, source) and bool(
        row["column"]
    )


def _read_too(result: Draft, same: Row, source: str) -> None:
    """Add a field that further rows of a person share with the first, with its words."""
    why = "the same column as for the first row of the person"
    result.fields.append({**same, "source": source, "confidence": "0.70", "comment": why})
    result.values += [
        {**row, "source": source}
        for row in result.values
        if (row["table"], row["field"], row["source"])
        == (same["table"], same["field"].partition("[")[0], same["source"])
    ]


def _needed(table: Table, given: set[str]) -> Iterator[str]:
    """Yield the mandatory fields that have no column and that harmonization does not make."""
    for one in table.fields:
        known = one.name in (*given, table.discriminator) or made_here(table, one)
        if one.obligation == "mandatory" and not known:
            yield one.name


def _country(source: str, site: Site) -> Row:
    """Return the country of care, which `site.toml` says."""
    rule = Rule("const", site.country.upper())
    why = "the country in site.toml"
    return _field_row(Target("person", "country_of_care"), source, "", rule, 0.95, why)


def _asked(table: Table, name: str, assigned: Assigned, dictionary: Dictionary) -> Row:
    """Return the row of a mandatory field without a column: usual, in the file's name, or asked."""
    target, source = Target(table.name, name), assigned.source
    if name == "consent_reuse":
        return _field_row(target, source, "", Rule("const", ""), 0.0, CONSENT)
    if (table.name, name) in USUAL:
        code, why = USUAL[table.name, name]
        return _field_row(target, source, "", Rule("const", code), 0.6, why)
    if code := _in_the_name(target, assigned, dictionary):
        why = "the name of the file or sheet says so; check"
        return _field_row(target, source, "", Rule("const", code), 0.6, why)
    return _field_row(target, source, "", Rule("not_collected"), 0.3, ASKED)


def _in_the_name(target: Target, assigned: Assigned, dictionary: Dictionary) -> str:
    """Return the code whose word stands in the name of the file or sheet; "" when none does."""
    codelist = target.of(dictionary).codelist
    if codelist is None:
        return ""
    read = assigned.table.source
    names = _squeezed(f"{read.file.rpartition('/')[2]} {read.sheet}")
    words = {code: code for code in dictionary.codelists[codelist].codes} | LEXICON.codes(codelist)
    long = {_squeezed(word): code for word, code in words.items() if len(_squeezed(word)) >= SHORT}
    found = {code for word, code in long.items() if word in names}
    return found.pop() if len(found) == 1 else ""


def _squeezed(text: str) -> str:
    """Return a text's plain letters and digits without blanks."""
    return value_key(text).replace(" ", "")
