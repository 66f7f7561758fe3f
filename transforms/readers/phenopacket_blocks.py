"""Which text columns each block of a phenopacket has, and from which path each is taken.

The columns are public: mappings name them. Paths are keys in snake_case joined by dots; the first
that holds something is taken. What no column takes is counted by its path.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transforms.readers.unit_ontology import UCUM_OF_TERM


__all__ = ["BLOCKS", "RARE", "Block", "Column", "Node", "after_colon", "flatten", "transcript_of"]

Node = Mapping[str, Any]
"""A JSON object: keys in snake_case, every number kept as the text that was written."""

Convert = Callable[[str], str | None]

EPOCH = "1970-01-01T00:00:00"  # what protobuf writes for a time that was never set
TIME_OF_DAY = "time of day"
NEVER_SET = "1970-01-01, never set"
VCF = ("chrom", "pos", "ref", "alt")
HUMAN = "NCBITaxon:9606"
# Columns that a relation has only when a file says something there.
RARE = ("_age_range_iso", "_gestation_iso", "_date_end")
LATERALITY = {"HP:0012832", "HP:0012833", "HP:0012834", "HP:0012835"}
DURATION = re.compile(r"P?(?=\d)(?:[\d.]+[YMWD])+(?:T[\d.HMS]+)?")
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}T")
ISO_TIME = re.compile(ISO_DATE.pattern + r"(?!00:00:00)\d{2}:\d{2}")
UCUM = "UCUM:"


@dataclass(frozen=True)
class Column:
    """Where a column is taken from; `default` is what absence means in the schema."""

    paths: tuple[str, ...]
    convert: Convert = str
    default: str | None = None


@dataclass(frozen=True)
class Block:
    """One relation: `elements` yields its rows as nodes and counts what cannot be one."""

    elements: Callable[[Node, Counter[str]], Iterator[Node]]
    columns: Mapping[str, Column]


def flatten(element: Node, block: Block) -> tuple[dict[str, str | None], set[str]]:
    """Return the text of each column of `block`, and the paths that no column takes."""
    leaves = dict(_leaves(_timed(element)))
    row = {name: _take(column, leaves) for name, column in block.columns.items()}
    known = {path for column in block.columns.values() for path in column.paths}
    lost = {_unknown(path, known) for path in leaves if path not in known}
    unset = {f"{path}: {NEVER_SET}" for path, text in leaves.items() if _never_set(text)}
    times = {f"{path}: {TIME_OF_DAY}" for path, text in leaves.items() if _has_time_of_day(text)}
    return row, lost | unset | times


def _never_set(text: str | None) -> bool:
    return text is not None and text.startswith(EPOCH)


def _has_time_of_day(text: str | None) -> bool:
    """Tell a time of day, which no column holds; on a birth date it means a shift by time zone."""
    return text is not None and ISO_TIME.match(text) is not None


def _take(column: Column, leaves: Mapping[str, str | None]) -> str | None:
    found = next((leaves[path] for path in column.paths if leaves.get(path)), None)
    return column.default if found is None else column.convert(found)


def _leaves(node: Node, prefix: str = "") -> Iterator[tuple[str, str | None]]:
    """Yield path and text of every scalar; a list is one leaf without text."""
    for key, value in node.items():
        path = prefix + key
        if isinstance(value, Mapping):
            yield from _leaves(value, path + ".")
        elif isinstance(value, bool):
            yield path, str(value).lower()
        elif isinstance(value, str):
            yield path, value
        elif value:
            yield path, None


def _unknown(path: str, known: set[str]) -> str:
    """Return the shortest beginning of `path` that no known path begins with."""
    keys = path.split(".")
    for count in range(1, len(keys)):
        start = ".".join(keys[:count])
        if not any(other.startswith(start + ".") for other in known):
            return start
    return path


def _date(text: str) -> str | None:
    """Return the calendar date of a timestamp; None for the time that was never set."""
    if _never_set(text):
        return None
    return text[:10] if ISO_DATE.match(text) else text


def _duration(text: str) -> str:
    """Return an ISO 8601 duration, with its P."""
    mended = text if text.startswith("P") else f"P{text}"
    return mended if DURATION.fullmatch(text) else text


def after_colon(text: str) -> str:
    """`NM_002336.3:c.553A>C` → `c.553A>C`."""
    return text.rpartition(":")[2].strip()


def transcript_of(text: str) -> str | None:
    """`NM_002336.3(LRP6):c.553A>C` → `NM_002336.3`."""
    return text.rpartition(":")[0].partition("(")[0].strip() or None


def _ucum(text: str) -> str | None:
    return text.removeprefix(UCUM) if text.startswith(UCUM) else UCUM_OF_TERM.get(text)


def _time(name: str, *keys: str, legacy_age: Sequence[str] = ()) -> dict[str, Column]:
    """Return the columns of a TimeElement that stands under any of `keys`.

    Beside an age or a date it may be a range of ages (`P3Y/P5Y`), an interval, whose start is the
    date, or an age before birth (`P24W3D`); `_elements` makes one text of each.
    """

    def each(path: str) -> tuple[str, ...]:
        return tuple(f"{key}.{path}" for key in keys)

    return {
        f"{name}_age_iso": Column((*each("age.iso8601duration"), *legacy_age), _duration),
        f"{name}_age_range_iso": Column(each("age_range.text")),
        f"{name}_gestation_iso": Column(each("gestational_age.text")),
        f"{name}_date": Column((*each("timestamp"), *each("interval.start")), _date),
        f"{name}_date_end": Column(each("interval.end"), _date),
    }


def _timed(node: Any) -> Any:
    """Return `node` with one text for each range of ages and each gestational age in it."""
    if isinstance(node, list):
        return [_timed(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    timed = {key: _timed(value) for key, value in node.items()}
    ages = timed.get("age_range")
    if isinstance(ages, Mapping):
        ends = [_duration(ages.get(end, {}).get("iso8601duration", "")) for end in ("start", "end")]
        timed["age_range"] = {"text": "/".join(ends)} if any(ends) else ages
    before = timed.get("gestational_age")
    if isinstance(before, Mapping) and before.get("weeks"):
        days = f"{before['days']}D" if before.get("days") else ""
        timed["gestational_age"] = {"text": f"P{before['weeks']}W{days}"}
    return timed


def _subjects(packet: Node, _: Counter[str]) -> Iterator[Node]:
    subject = dict(packet["subject"])
    if subject.get("taxonomy", {}).get("id") == HUMAN:
        del subject["taxonomy"]
    yield subject


def _listed(key: str) -> Callable[[Node, Counter[str]], Iterator[Node]]:
    def elements(packet: Node, _: Counter[str]) -> Iterator[Node]:
        yield from packet.get(key) or ()

    return elements


def _features(packet: Node, _: Counter[str]) -> Iterator[Node]:
    """Take laterality out of the modifiers; the others stay and are counted."""
    for feature in packet.get("phenotypic_features") or ():
        modifiers = feature.get("modifiers") or []
        sides = [modifier for modifier in modifiers if modifier.get("id") in LATERALITY][:1]
        others = [modifier for modifier in modifiers if modifier not in sides]
        yield {**feature, "modifiers": others, "laterality": sides[0] if sides else {}}


def _variants(packet: Node, not_held: Counter[str]) -> Iterator[Node]:
    """Yield one node per genomic interpretation that names a variant or at least a gene."""
    for interpretation in packet.get("interpretations") or ():
        diagnosis = interpretation.get("diagnosis") or {}
        genomic = diagnosis.get("genomic_interpretations") or []
        named = [g for g in genomic if "variant_interpretation" in g or "gene" in g]
        not_held["interpretations without variant"] += len(genomic) - len(named) + (not genomic)
        outer = {k: v for k, v in interpretation.items() if k not in {"id", "diagnosis"}}
        inner = {k: v for k, v in diagnosis.items() if k != "genomic_interpretations"}
        for one in named:
            called = dict(one.get("variant_interpretation") or {})
            descriptor = dict(called.get("variation_descriptor") or {})
            expressions = _expressions(descriptor.pop("expressions", None) or ())
            called["variation_descriptor"] = _with_vcf(descriptor)
            yield {
                **outer,
                **inner,
                **one,
                "variant_interpretation": called,
                "expressions": expressions,
            }


def _with_vcf(descriptor: Node) -> Node:
    """Return a descriptor whose VCF record is one text, as in `chr7:117559590:A:T`."""
    record = descriptor.get("vcf_record")
    if not isinstance(record, Mapping) or not all(record.get(key) for key in VCF):
        return descriptor
    rest = {key: value for key, value in record.items() if key not in VCF}
    return {**descriptor, "vcf_record": rest | {"text": ":".join(str(record[key]) for key in VCF)}}


def _expressions(listed: Sequence[Node]) -> dict[str, str]:
    """Return `hgvs_c`, `hgvs_p` … → expression; the first of each syntax counts."""
    found: dict[str, str] = {}
    for expression in listed:
        syntax, value = expression.get("syntax", ""), expression.get("value", "")
        if syntax.lower() == "hgvs":
            syntax = "hgvs." + after_colon(value)[:1]
        found.setdefault(syntax.lower().replace(".", "_"), value)
    return found


def _actions(kind: str) -> Callable[[Node, Counter[str]], Iterator[Node]]:
    """Yield the medical actions of one kind; those that no block takes are counted once."""

    def elements(packet: Node, not_held: Counter[str]) -> Iterator[Node]:
        for action in packet.get("medical_actions") or ():
            if kind in action:
                yield action
            elif kind == "procedure" and "treatment" not in action:
                kinds = {"radiation_therapy", "therapeutic_regimen"} & set(action)
                not_held[f"medical_actions.{min(kinds, default='unknown')}"] += 1

    return elements


def _treatments(packet: Node, not_held: Counter[str]) -> Iterator[Node]:
    """Take the first dose interval; further ones are counted."""
    for action in _actions("treatment")(packet, not_held):
        treatment = dict(action["treatment"])
        intervals = treatment.pop("dose_intervals", None) or []
        not_held["treatments.dose_intervals after the first"] += max(len(intervals) - 1, 0)
        yield {**action, "treatment": treatment, "dose": intervals[0] if intervals else {}}


VARIATION = "variant_interpretation.variation_descriptor"
EXCLUDED = ("excluded", "negated")

BLOCKS: Mapping[str, Block] = {
    "subjects": Block(
        _subjects,
        {
            "subject_id": Column(("id",)),
            "sex": Column(("sex",)),
            "karyotypic_sex": Column(("karyotypic_sex",)),
            "date_of_birth": Column(("date_of_birth",), _date),
            **_time(
                "last_encounter",
                "time_at_last_encounter",
                legacy_age=("age.age", "age.iso8601duration", "age_at_collection.age"),
            ),
            "vital_status": Column(("vital_status.status",)),
            **_time("death", "vital_status.time_of_death"),
            "cause_of_death_id": Column(("vital_status.cause_of_death.id",)),
            "cause_of_death_label": Column(("vital_status.cause_of_death.label",)),
        },
    ),
    "diseases": Block(
        _listed("diseases"),
        {
            "term_id": Column(("term.id",)),
            "label": Column(("term.label",)),
            "excluded": Column(EXCLUDED, default="false"),
            **_time("onset", "onset", legacy_age=("age_of_onset.age",)),
            "onset_class_id": Column(("onset.ontology_class.id", "class_of_onset.id")),
            "onset_class_label": Column(("onset.ontology_class.label", "class_of_onset.label")),
        },
    ),
    "features": Block(
        _features,
        {
            "hpo_id": Column(("type.id",)),
            "label": Column(("type.label",)),
            "excluded": Column(EXCLUDED, default="false"),
            "status": Column(
                EXCLUDED, lambda text: "excluded" if text == "true" else "present", "present"
            ),
            "severity_id": Column(("severity.id",)),
            "severity_label": Column(("severity.label",)),
            "laterality_id": Column(("laterality.id",)),
            "laterality_label": Column(("laterality.label",)),
            **_time("onset", "onset", legacy_age=("age_of_onset.age",)),
            **_time("resolution", "resolution"),
            "onset_class_id": Column(("onset.ontology_class.id", "class_of_onset.id")),
            "onset_class_label": Column(("onset.ontology_class.label", "class_of_onset.label")),
        },
    ),
    "measurements": Block(
        _listed("measurements"),
        {
            "assay_id": Column(("assay.id",)),
            "assay_label": Column(("assay.label",)),
            "value": Column(("value.quantity.value",)),
            "value_class_id": Column(("value.ontology_class.id",)),
            "value_class_label": Column(("value.ontology_class.label",)),
            "unit_id": Column(("value.quantity.unit.id",)),
            "unit_label": Column(("value.quantity.unit.label",)),
            "unit_ucum": Column(("value.quantity.unit.id",), _ucum),
            **_time("observed", "time_observed"),
        },
    ),
    "variants": Block(
        _variants,
        {
            "subject_or_biosample_id": Column(("subject_or_biosample_id",)),
            "disease_id": Column(("disease.id",)),
            "disease_label": Column(("disease.label",)),
            "progress_status": Column(("progress_status",)),
            "interpretation_status": Column(("interpretation_status",)),
            "gene_symbol": Column((f"{VARIATION}.gene_context.symbol", "gene.symbol")),
            "gene_id": Column((f"{VARIATION}.gene_context.value_id", "gene.value_id")),
            "transcript": Column(("expressions.hgvs_c",), transcript_of),
            "hgvs_c": Column(("expressions.hgvs_c",), after_colon),
            "hgvs_p": Column(("expressions.hgvs_p",), after_colon),
            "hgvs_g": Column(("expressions.hgvs_g",)),
            "zygosity_id": Column((f"{VARIATION}.allelic_state.id",)),
            "zygosity_label": Column((f"{VARIATION}.allelic_state.label",)),
            "acmg": Column(("variant_interpretation.acmg_pathogenicity_classification",)),
            "genome_assembly": Column((f"{VARIATION}.vcf_record.genome_assembly",)),
            "vcf": Column((f"{VARIATION}.vcf_record.text",)),
        },
    ),
    "treatments": Block(
        _treatments,
        {
            "agent_id": Column(("treatment.agent.id",)),
            "agent_label": Column(("treatment.agent.label",)),
            "route_id": Column(("treatment.route_of_administration.id",)),
            "route_label": Column(("treatment.route_of_administration.label",)),
            "drug_type": Column(("treatment.drug_type",)),
            "dose": Column(("dose.quantity.value",)),
            "dose_unit_id": Column(("dose.quantity.unit.id",)),
            "dose_unit_label": Column(("dose.quantity.unit.label",)),
            "dose_unit_ucum": Column(("dose.quantity.unit.id",), _ucum),
            "schedule_id": Column(("dose.schedule_frequency.id",)),
            "schedule_label": Column(("dose.schedule_frequency.label",)),
            "start_date": Column(("dose.interval.start",), _date),
            "stop_date": Column(("dose.interval.end",), _date),
            "cumulative_dose": Column(("treatment.cumulative_dose.value",)),
            "cumulative_dose_unit_ucum": Column(("treatment.cumulative_dose.unit.id",), _ucum),
            "target_id": Column(("treatment_target.id",)),
            "intent_id": Column(("treatment_intent.id",)),
            "response_id": Column(("response_to_treatment.id",)),
            "stop_reason_id": Column(("treatment_termination_reason.id",)),
        },
    ),
    "procedures": Block(
        _actions("procedure"),
        {
            "procedure_id": Column(("procedure.code.id",)),
            "procedure_label": Column(("procedure.code.label",)),
            "body_site_id": Column(("procedure.body_site.id",)),
            "body_site_label": Column(("procedure.body_site.label",)),
            **_time("performed", "procedure.performed"),
            "target_id": Column(("treatment_target.id",)),
            "intent_id": Column(("treatment_intent.id",)),
        },
    ),
}
"""Every block but `subjects` has `subject_id`, the phenopacket's subject, as its first column."""
