"""The site's own dashboard: what its current release holds, counted by DuckDB.

`reports/<run>/dashboard.json` and a self-contained `dashboard.html` beside the validation report.
Both are the site's own and hold counts of single patients: they are for the centre's eyes and are
never sent anywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from transforms.codelists import load_codelists
from transforms.dictionary import DICTIONARY
from transforms.durable import write_json, write_text
from transforms.release import verify
from transforms.site import Site


__all__ = ["PANELS", "Panel", "aggregate"]


@dataclass(frozen=True)
class Panel:
    """One table of the dashboard; `sql` gives label, then one figure per heading."""

    name: str
    title: str
    headings: tuple[str, ...]
    sql: str


PANELS = (
    Panel(
        "gene_groups",
        "Persons by gene group",
        ("persons", "with a fracture", "fractures", "with a transplant", "dead"),
        """
        select codes.label, count(person.gene_group), count(*) filter (ever_fractured),
            coalesce(sum(fracture_count), 0)::bigint, count(*) filter (hsct), count(*) filter (died)
        from codelist.gene_group as codes left join person on person.gene_group = codes.code
        group by codes.label, codes.position order by codes.position
        """,
    ),
    Panel(
        "age_bands",
        "Fractures by age band",
        ("fractures", "years at risk", "fractures per 100 years"),
        """
        select codes.label, coalesce(sum(fracture_count), 0)::bigint as fractures,
            round(coalesce(sum(person_years), 0), 1) as years,
            case when sum(person_years) > 0 then round(100 * fractures / sum(person_years), 1) end
        from codelist.age_band as codes left join person_time on person_time.age_band = codes.code
        group by codes.label, codes.position order by codes.position
        """,
    ),
    Panel(
        "bones",
        "Fractures by bone",
        ("fractures", "not united"),
        """
        select codes.label, count(fracture.bone_site) as fractures,
            count(*) filter (healing_outcome = 'nonunion')
        from codelist.bone_site as codes join fracture on fracture.bone_site = codes.code
        group by codes.label, codes.position order by fractures desc, codes.position
        """,
    ),
    Panel(
        "laboratory",
        "Laboratory values",
        ("values", "persons", "median", "unit suspect"),
        """
        select codes.label || ' (' || any_value(unit_ucum) || ')', count(*),
            count(distinct person_id), round(median(value), 2),
            count(*) filter (unit_status = 'suspect')
        from lab_measurement join codelist.analyte as codes on codes.code = analyte
        group by codes.label, codes.position order by codes.position
        """,
    ),
    Panel(
        "complications",
        "Complications looked for",
        ("present", "excluded", "unknown"),
        """
        select codes.label, count(*) filter (status = 'present'),
            count(*) filter (status = 'excluded'), count(*) filter (status = 'unknown')
        from complication join codelist.phenotype as codes on codes.code = hpo_id
        group by codes.label, codes.position order by 2 desc, codes.position
        """,
    ),
)


def aggregate(site: Site, release_id: str) -> Path:
    """Compute the dashboard of a release; return the path of its page.

    Raises ReleaseError when a file of the release was changed.
    """
    manifest = verify(site, release_id)
    dashboard = {
        "site": {"id": site.id, "name": site.name},
        "release": release_id,
        "run_id": manifest["run_id"],
        "dictionary_version": manifest["dictionary_version"],
        "rows": {path: file["rows"] for path, file in manifest["files"].items()},
        "panels": _panels(site.releases / release_id),
    }
    folder = site.reports / str(manifest["run_id"])
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "dashboard.json", dashboard)
    write_text(folder / "dashboard.html", _page(dashboard))
    return folder / "dashboard.html"


def _panels(release: Path) -> list[dict[str, Any]]:
    """Count all panels; views win over tables of the same name."""
    with duckdb.connect() as connection:
        load_codelists(connection)
        files = {name: release / "tables" / f"{name}.parquet" for name in DICTIONARY.tables}
        files |= {name: release / "views" / f"{name}.parquet" for name in DICTIONARY.views}
        for name, path in files.items():
            connection.read_parquet(str(path)).create_view(name)
        return [
            {
                "name": panel.name,
                "title": panel.title,
                "headings": list(panel.headings),
                "rows": [list(row) for row in connection.execute(panel.sql).fetchall()],
            }
            for panel in PANELS
        ]


def _page(dashboard: Mapping[str, Any]) -> str:
    """Return the dashboard as one page without script or other host."""
    from jinja2 import Environment, StrictUndefined  # at a site only

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = Path(__file__).with_name("dashboard.html.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(dashboard=dashboard, largest=_largest)


def _largest(rows: Sequence[Sequence[Any]]) -> float:
    """Return the largest first figure of a panel, at least 1: the width of its bars."""
    return max([1.0, *(float(row[1]) for row in rows)])
