"""Sites to measure with: invented releases, and many nodes in one process.

`python -m infra.bench_sites FOLDER …` is the node of every site named: each with its own key, link
and ledger over TLS, but all in one process and with their rows in it, because a computer with two
processors holds no forty centres. It says how many centres a gateway can take, not how fast one is.
"""

import hashlib
import json
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from federated.site import Compute, SiteParty
from federated.tally import tally
from transforms.dictionary import DICTIONARY, Field
from transforms.dictionary.arrow import schema
from transforms.manifest import seal_digest
from transforms.site import Site, create_site, current_release, load_site


__all__ = ["main", "make_site"]

LEVELS = 3  # of each code list; more would only make cells that are withheld


def make_site(folder: Path, name: str, rows: int, seed: int) -> Path:
    """Make a site's folder with one release, whose views hold `rows` invented rows each."""
    create_site(folder, site_id=name, name=name, country="DE", language="de")
    source = np.random.default_rng(seed)
    views = folder / "releases" / f"rel-{name}" / "views"
    views.mkdir(parents=True)
    for view in DICTIONARY.views.values():
        columns = _consistent({f.name: _column(f, rows, source) for f in view.fields})
        table = pa.table(dict(columns), schema=schema(view))
        pq.write_table(table, views / f"{view.name}.parquet")
    digests = {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(views.iterdir())}
    files = {f"views/{path.name}": {"sha256": digest} for path, digest in digests.items()}
    manifest = {"files": files, "seal_sha256": seal_digest({"files": files})}
    (views.parent / "MANIFEST.json").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / "CURRENT").write_text(f"rel-{name}", encoding="utf-8")
    return folder


def _column(field: Field, rows: int, source: np.random.Generator) -> pa.Array:
    """Random values of one column, none missing."""
    if field.type == "code":
        codes = list(DICTIONARY.codelists[str(field.codelist)].codes)[:LEVELS]
        return pa.array(source.choice(codes, rows))
    if field.type == "boolean":
        return pa.array(source.random(rows) < 0.4)
    if field.type == "integer":
        return pa.array(source.integers(0, 4, rows))
    return pa.array(np.round(source.gamma(2.0, 6.0, rows), 2))


def _consistent(columns: Mapping[str, pa.Array]) -> Mapping[str, pa.Array]:
    """Let nobody come under observation after what happened to them."""
    ends = [name for name in ("time_to_first_fracture_y", "exit_age_y") if name in columns]
    if "entry_age_y" not in columns or not ends:
        return columns
    first = np.minimum.reduce([columns[name].to_numpy() for name in ends])
    return {**columns, "entry_age_y": pa.array(np.round(first / 4, 2))}


def main(folders: Sequence[str]) -> int:
    """Be the node of all sites in `folders` until standard input is closed."""
    from federated.flower import process

    process.prepare(Path(folders[0]) / "work" / "flower", lifeline=True)
    for folder in folders:
        threading.Thread(target=_serve, args=(load_site(Path(folder)),), daemon=True).start()
    threading.Event().wait()
    return 0


def _serve(site: Site) -> None:
    """Be the node of one site."""
    from federated.flower.link import Link
    from federated.flower.node import Node
    from federated.flower.terms import Terms

    terms = Terms(site)
    member = terms.membership
    party = SiteParty(
        site.id,
        member.identity_key,
        member.roster,
        terms.policy,
        site.ledger,
        _computing(site),
        lambda: current_release(site),
    )
    link = Link(member.gateway, member.ca, member.node_key)
    Node(link, party.handle_bytes, terms.allowed_apps).serve()


def _computing(site: Site) -> Compute:
    """Tally in this process, which production never does."""
    return lambda request, broadcast, release: tally(
        site.releases / release / "views", request, broadcast
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
