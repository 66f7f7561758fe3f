"""Centres that nobody has described: home-made files, no mapping, and the truth beside them.

    limoges   fr  one workbook: titles, merged headings, totals, days counted by Excel
    rostock   de  one workbook: headings over two lines, laboratory values side by side, mmol/L
    sevilla   es  five text files with semicolons in Windows' encoding
    utrecht   nl  one OpenDocument spreadsheet of eight sheets

What columns and words are called is drawn from several ways by the seed, but for limoges.
`truth/<site>.json` holds what a right mapping says of each column, and the rows that it makes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from infra.demo.columns import Patients
from infra.demo.homemade import limoges, rostock, sevilla, utrecht
from infra.demo.homemade.table import Sheet
from infra.demo.identities import identities
from infra.demo.patients import generate
from transforms.durable import write_json
from transforms.site import create_site


__all__ = ["CENTRES", "synthesize_unmapped"]

Sheets = list[Sheet]


@dataclass(frozen=True)
class _Centre:
    """Who a centre is, what it keeps, and how it writes that into its inbox."""

    id: str
    name: str
    country: str
    language: str
    prefix: str
    number: int
    sheets: Callable[[Patients, np.random.Generator], Sheets]
    write: Callable[[Path, Sheets], None]


CENTRES = {
    centre.id: centre
    for centre in (
        _Centre("limoges", "CHU de Limoges (fictif)", "FR", "fr", "LI", 77, limoges.sheets,
                limoges.write),
        _Centre("rostock", "Kinderklinik Rostock (erfunden)", "DE", "de", "HRO-", 78,
                rostock.sheets, rostock.write),
        _Centre("sevilla", "Hospital de Sevilla (inventado)", "ES", "es", "SE", 79,
                sevilla.sheets, sevilla.write),
        _Centre("utrecht", "Kinderziekenhuis Utrecht (verzonnen)", "NL", "nl", "U", 80,
                utrecht.sheets, utrecht.write),
    )
}  # fmt: skip


def synthesize_unmapped(size: int, seed: int, out: Path, only: str = "") -> list[Path]:
    """Make the centres in `out` and their truth beside them; return the sites' folders.

    `only` names the one centre to be made.
    """
    chosen = [centre for name, centre in CENTRES.items() if only in ("", name)]
    return [_make(centre, size, seed, out) for centre in chosen]


def _make(centre: _Centre, size: int, seed: int, out: Path) -> Path:
    """Make one centre."""
    site = create_site(
        out / centre.id, site_id=centre.id, name=centre.name, country=centre.country,
        language=centre.language,
    )  # fmt: skip
    patients = generate(size, seed, site=centre.number, country=centre.country, severity=1.0)
    rng = np.random.default_rng([seed, centre.number, 1])
    people = identities(rng, patients.person, centre.language, centre.prefix)
    sheets = centre.sheets(replace(patients, person=people), rng)
    centre.write(site.inbox, sheets)
    agreed = people["consent"] == "yes"
    rows: dict[str, list[dict[str, object]]] = {}
    for sheet in sheets:
        for table, found in sheet.rows(agreed).items():
            rows.setdefault(table, []).extend(found)
    truth = out / "truth"
    truth.mkdir(exist_ok=True)
    write_json(
        truth / f"{centre.id}.json",
        {
            "site": centre.id,
            "patients": size,
            "without_consent": int((~agreed).sum()),
            "columns": [column for sheet in sheets for column in sheet.mapping()],
            "rows": rows,
            "identifying": sorted(set(map(str, people["family_name"][:20]))),
        },
    )
    return site.folder
