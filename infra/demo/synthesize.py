"""Makes a synthetic consortium: patients, the files and mappings of centres, and the truth."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from infra.demo.artefacts import Mark, artefact_at, blank, spoil
from infra.demo.centre import Centre
from infra.demo.centres import CENTRES
from infra.demo.columns import TABLES, Patients
from infra.demo.identities import IDENTIFYING, identities
from infra.demo.patients import generate
from infra.demo.raw import Place
from transforms.errors import SetupError
from transforms.site import create_site


__all__ = ["Consortium", "synthesize"]


@dataclass(frozen=True)
class Consortium:
    """A folder with one folder per site, and `truth/` beside them."""

    folder: Path
    sites: tuple[str, ...]


def synthesize(
    sites: int, patients: int, seed: int, out: Path, *, artefacts: bool = True
) -> Consortium:
    """Make `sites` centres of `patients` patients each in `out`; same arguments, same bytes.

    Beyond five centres the five ways of exporting come round again, as `lyon-2` and so on.
    `artefacts` tells whether errors are injected; `truth/<site>.json` lists them with their rows.
    Raises SetupError when `out` holds a site already or a number is too small.
    """
    if sites < 1 or patients < 1:
        raise SetupError("a consortium needs at least 1 site and 1 patient per site")
    kinds = list(CENTRES.values())
    made = []
    for number in range(sites):
        centre, lap = kinds[number % len(kinds)], number // len(kinds)
        made.append(_centre(centre, lap, number, patients, seed, out, artefacts))
    return Consortium(folder=out, sites=tuple(made))


def _centre(
    centre: Centre, lap: int, number: int, size: int, seed: int, out: Path, artefacts: bool
) -> str:
    """Make one centre's folder and its truth; return its id."""
    site_id = centre.id if lap == 0 else f"{centre.id}-{lap + 1}"
    name = centre.name if lap == 0 else f"{centre.name} {lap + 1}"
    site = create_site(
        out / site_id,
        site_id=site_id, name=name, country=centre.country, language=centre.language,
    )  # fmt: skip
    truth = generate(size, seed, site=number, country=centre.country, severity=centre.severity)
    rng = np.random.default_rng([seed, number, 1])
    prefix = centre.prefix if lap == 0 else f"{centre.prefix}{lap + 1}"
    people = identities(rng, truth.person, centre.language, prefix)
    recorded = blank(centre.records(replace(truth, person=people)))
    marks: tuple[Mark, ...] = ()
    if artefacts:
        recorded, marks = spoil(recorded, centre.id, rng)
    places = centre.export(recorded, site.inbox)
    centre.mapping().write(site.mapping, workbook=centre.workbook)
    _write_truth(out / "truth" / f"{site_id}.json", site_id, recorded, marks, places)
    return site_id


# Names of the truth's tables in the dictionary.
TABLE_NAMES = {"lab": "lab_measurement", "bmd": "imaging_bmd", "followup": "death_followup"}


def _write_truth(
    path: Path,
    site_id: str,
    patients: Patients,
    marks: tuple[Mark, ...],
    places: Mapping[str, Place],
) -> None:
    """Write what was injected where, what follows from it, and who must be found nowhere else."""
    person = patients.person
    truth = {
        "site": site_id,
        "patients": len(person),
        "without_consent": int((person["consent"] != "yes").sum()),
        "artefacts": [
            entry for mark in marks for entry in _entries(mark, site_id, patients, places)
        ],
        "consequences": _consequences(marks, site_id, patients, places),
        "identifying": {name: sorted(set(person[name][:20])) for name in IDENTIFYING},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(truth, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _entries(
    mark: Mark, site_id: str, patients: Patients, places: Mapping[str, Place]
) -> list[dict[str, Any]]:
    """Return one entry per row that an artefact spoilt."""
    artefact = artefact_at(mark.artefact, site_id.split("-")[0]) or {}
    start = {
        "artefact": mark.artefact,
        "site": site_id,
        "field": mark.field,
        "rule": artefact["rule"],
        "severity": artefact["severity"],
    }
    return [{**start, **_where(mark.table, row, patients, places)} for row in mark.rows]


def _where(table: str, row: int, patients: Patients, places: Mapping[str, Place]) -> dict[str, Any]:
    """Return where a row of a truth table stands in the centre's files."""
    place, person = places[table], patients.person
    who = row if table == "person" else int(patients[table]["person"][row])
    return {
        "table": TABLE_NAMES.get(table, table),
        "source_file": place.file[row],
        "source_sheet": place.sheet[row],
        "source_row": int(place.rows[row]),
        "person": person["local_id"][who],
    }


def _consequences(
    marks: tuple[Mark, ...], site_id: str, patients: Patients, places: Mapping[str, Place]
) -> list[dict[str, Any]]:
    """Return the rows that must go because their person's own row is rejected (R04)."""
    lost = [mark.rows[0] for mark in marks if mark.artefact == "sex_code_unknown"]
    return [
        {"artefact": "sex_code_unknown", "site": site_id, "rule": "R04", "severity": "reject"}
        | _where(table, int(row), patients, places)
        for table in TABLES
        for row in np.flatnonzero(np.isin(patients[table]["person"], lost))
        if places[table].rows[row]
    ]
