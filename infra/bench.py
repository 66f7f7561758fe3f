"""Measure speed and memory, as ratios of things done side by side in one run.

    make bench

A second on one machine says little on another; a ratio to what the same machine does next says
more. Nothing here is a test: no figure fails a build. The federation has a benchmark of its own,
`infra.bench_federated`, large files have `infra.bench_scale`.
"""

import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from expectations.validate import validate
from infra.demo.synthesize import synthesize
from infra.local_run import run_site
from infra.output import console, table
from transforms.collect import collect
from transforms.harmonize import harmonize
from transforms.mapping_check import load_mapping
from transforms.readers import read
from transforms.site import Site, load_site, site_folders


__all__ = ["Figure", "main"]

PATIENTS = 300  # the most that a centre has
REPEATS = 7


@dataclass(frozen=True)
class Figure:
    """One measurement beside its yardstick, both in seconds (medians)."""

    what: str
    seconds: float
    yardstick: str
    against: float

    @property
    def row(self) -> tuple[str, str, str, str, str]:
        """The figure as a line of the table."""
        ratio = f"{self.seconds / self.against:.1f}"
        return self.what, f"{self.seconds:.3f} s", self.yardstick, f"{self.against:.3f} s", ratio


def main() -> None:
    """Measure everything and print one table."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        console.print(f"Five centres of {PATIENTS} patients; medians of {REPEATS}.")
        synthesize(sites=5, patients=PATIENTS, seed=1, out=home)
        sites = [load_site(path) for path in site_folders(home)]
        for site in sites:
            run_site(site)
        figures = list(_local(sites))
    columns = ("what", "takes", "beside", "which takes", "ratio")
    console.print(table("Speed", columns, [figure.row for figure in figures]))
    used = {"this process": resource.RUSAGE_SELF, "largest child": resource.RUSAGE_CHILDREN}
    rows = [(name, f"{_peak(who) / 1024:.0f} MB") for name, who in used.items()]
    console.print(table("Memory at its peak", ("process", "resident"), rows))


def _peak(who: int) -> int:
    """Return the largest resident size in kilobytes."""
    return resource.getrusage(who).ru_maxrss


def _median(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the median seconds of `work`, once done beforehand to warm up."""
    work()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _local(sites: list[Site]) -> Iterator[Figure]:
    """Harmonize and validate each centre beside merely reading its files."""
    for site in sites:
        run_id = collect(site).run_id
        reading = _median(lambda site=site: _read(site))  # type: ignore[misc]
        yield Figure(
            f"{site.id}: harmonize",
            _median(lambda site=site, run_id=run_id: harmonize(site, run_id)),  # type: ignore[misc]
            "reading its files",
            reading,
        )
        yield Figure(
            f"{site.id}: validate",
            _median(lambda site=site, run_id=run_id: validate(site, run_id)),  # type: ignore[misc]
            "reading its files",
            reading,
        )


def _read(site: Site) -> None:
    """Read all sources of a site into DuckDB and do nothing with them."""
    with duckdb.connect() as connection:
        connection.execute("create schema source")
        for source in load_mapping(site.mapping).sources:
            read(source, site.inbox, connection)


if __name__ == "__main__":
    main()
