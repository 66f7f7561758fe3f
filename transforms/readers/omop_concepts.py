"""Puts codes and names beside the concept ids of an OMOP table, and UCUM beside its unit ids.

Concept ids are numbers that mean nothing outside the vocabulary. Where the table `concept` lies
among the files, `<x>_concept_id` gets `<x>_concept_code` (with the vocabulary as prefix:
`LOINC:718-7`, `SNOMEDCT:1926006`) and `<x>_concept_name`. Id 0 means that the centre's value was
not found in the vocabulary: it gets neither, and `<x>_source_value` is what there is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from transforms.readers.relation import BLANKS, PROVENANCE


__all__ = ["Concepts", "added", "with_units"]

ID = "_concept_id"
NOTHING = ("", "0")
PREFIXES: Mapping[str, str] = {"SNOMED": "SNOMEDCT", "RxNorm": "RXNORM", "ICD10CM": "ICD10"}
# Unit concepts of registries (OMOP vocabulary, UCUM; the ids of reference/domain.md and of
# Synthea27Nj). The vocabulary itself writes `[U]/L` and `[iU]/L`, which are not UCUM.
UNITS: Mapping[str, str] = {
    "8554": "%", "8582": "cm", "8583": "fL", "8588": "mm", "8636": "g/L", "8645": "U/L",
    "8713": "g/dL", "8725": "ng/L", "8729": "pmol/L", "8736": "nmol/L", "8748": "ug/L",
    "8749": "umol/L", "8751": "mg/L", "8753": "mmol/L", "8815": "10*6/uL", "8817": "ng/dL",
    "8837": "ug/dL", "8840": "mg/dL", "8842": "ng/mL", "8845": "pg/mL", "8848": "10*3/uL",
    "8876": "mm[Hg]", "8923": "[IU]/L", "9444": "10*9/L", "9448": "a", "9529": "kg",
    "9531": "kg/m2",
}  # fmt: skip
UNIT_ID, UNIT_TEXT, UNIT = "unit_concept_id", "unit_source_value", "unit_ucum"


def added(columns: Sequence[str], *, named: bool) -> tuple[str, ...]:
    """Return the columns that an OMOP table with `columns` gets; codes only when `named`."""
    units = (UNIT,) if UNIT_ID in columns else ()
    stems = [name.removesuffix(ID) for name in columns if name.endswith(ID)] if named else []
    return (*units, *(f"{stem}_concept_{what}" for stem in stems for what in ("code", "name")))


@dataclass
class Concepts:
    """The concepts that a table mentions; `codes` and `names` are by id."""

    wanted: set[str] = field(default_factory=set)
    codes: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    unmatched: dict[str, int] = field(default_factory=dict)
    """Column of ids → rows in which the id is 0 and the centre has a value."""

    def note(self, block: pa.Table, columns: Sequence[str]) -> None:
        """Note which ids a block of the table mentions."""
        for name in columns:
            if name.endswith(ID):
                cells = _trimmed(block[name])
                self.wanted |= set(pc.unique(cells).to_pylist()) - {*NOTHING, None}
                text = f"{name.removesuffix(ID)}_source_value"
                if text in columns:
                    lost = pc.and_(pc.equal(cells, "0"), pc.not_equal(block[text], ""))
                    self.unmatched[name] = self.unmatched.get(name, 0) + (pc.sum(lost).as_py() or 0)

    def learn(self, block: pa.Table) -> None:
        """Take the wanted concepts out of a block of the table `concept`."""
        ids = _trimmed(block["concept_id"])
        chosen = block.filter(pc.is_in(ids, value_set=pa.array(sorted(self.wanted), pa.string())))
        columns = ("concept_id", "vocabulary_id", "concept_code", "concept_name")
        cells = [_trimmed(chosen[name]).to_pylist() for name in columns]
        for key, vocabulary, code, name in zip(*cells, strict=True):
            self.codes[key] = f"{PREFIXES.get(vocabulary, vocabulary)}:{code}"
            self.names[key] = name

    def beside(self, block: pa.Table, columns: Sequence[str]) -> pa.Table:
        """Return `block` with code and name beside each id."""
        cells = {}
        for name in columns:
            if name.endswith(ID):
                stem, ids = name.removesuffix(ID), _trimmed(block[name])
                cells[f"{stem}_concept_code"] = _looked_up(ids, self.codes)
                cells[f"{stem}_concept_name"] = _looked_up(ids, self.names)
        return _put_before_provenance(block, cells)

    def remarks(self, table: str) -> Iterator[str]:
        """Yield a remark for ids that stand for no concept although the centre had a value."""
        for name, rows in self.unmatched.items():
            if rows:
                text = f"{name.removesuffix(ID)}_source_value"
                yield f"{table}: {name} is 0 in {rows} rows; what the centre has is in {text}"


def with_units(block: pa.Table, codes: Mapping[str, str]) -> pa.Table:
    """Return `block` with the unit in UCUM; where no id says it, as the centre wrote it.

    `codes` are those of the vocabulary, as far as it is there.
    """
    if UNIT_ID not in block.column_names:
        return block
    ids = _trimmed(block[UNIT_ID])
    ucum = {key: code.removeprefix("UCUM:") for key, code in codes.items() if "UCUM:" in code}
    known = _looked_up(ids, {**ucum, **UNITS})
    if UNIT_TEXT in block.column_names:
        known = pc.coalesce(known, block[UNIT_TEXT])
    return _put_before_provenance(block, {UNIT: known})


def _looked_up(ids: pa.ChunkedArray, texts: Mapping[str, str]) -> pa.ChunkedArray:
    places = pc.index_in(ids, value_set=pa.array(list(texts), pa.string()))
    return pc.take(pa.array(list(texts.values()), pa.string()), places)


def _trimmed(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return ids as texts without blanks; R and pandas write `8507.0` where some are missing."""
    trimmed = pc.utf8_trim(cells, characters=BLANKS)
    return pc.replace_substring_regex(trimmed, r"^([0-9]+)\.0$", r"\1")


def _put_before_provenance(block: pa.Table, cells: Mapping[str, pa.ChunkedArray]) -> pa.Table:
    own: Iterable[str] = [name for name in block.column_names if name not in PROVENANCE]
    named = {name: block[name] for name in own} | dict(cells)
    return pa.table(named | {name: block[name] for name in PROVENANCE})
