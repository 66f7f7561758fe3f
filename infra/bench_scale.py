"""Measure harmonization of large files beside the least that anybody could do with them.

    make bench                  300 and 30,000 patients, a quarter, one and two million lab rows
    make bench GIGABYTES=5      one file of so many gigabytes besides

Each figure is taken in a process of its own, so that its memory is its own. Yardsticks: DuckDB
turns the same files from CSV into Parquet, on as many processors, and does nothing else; pandas
does the same transformation row by row, as a script would, without the cross-field rules.
"""

import argparse
import hashlib
import hmac
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from infra.output import console, table
from transforms.dictionary import DICTIONARY, Range
from transforms.site import create_site, load_site


__all__ = ["Measured", "main"]

MILLION = 1_000_000
ANALYTES = (  # as the centre writes them, unit, and usual values
    ("calcium", "mg/dL", 8.6, 10.2),
    ("hemoglobin", "g/dL", 9.0, 15.0),
    ("platelets", "G/L", 120.0, 390.0),
    ("phosphate", "mmol/L", 0.9, 1.4),
    ("alp", "U/L", 45.0, 110.0),
)
SOURCES = """\
source,system,file,format,sheet,header_row,encoding,delimiter,decimal,date_order,missing,id_column,comment
patients,excel,patients.csv,delimited,,1,utf-8,;,",",DMY,NR;-,IPP,
labs,excel,labs.csv,delimited,,1,utf-8,;,",",DMY,NR;-,IPP,
"""
FIELDS = """\
table,field,source,column,rule,arg,unit,status,comment
person,birth_date,patients,Naissance,date,,,approved,
person,sex_at_birth,patients,Sexe,recode,,,approved,
person,first_contact_date,patients,Contact,date,,,approved,
person,consent_reuse,patients,Accord,recode,,,approved,
lab_measurement,sample_date,labs,Date,date,,,approved,
lab_measurement,analyte,labs,Analyse,copy,,,approved,
lab_measurement,value,labs,Valeur,number,unit_column=Unité,,approved,
lab_measurement,assay,labs,Labo,copy,,,approved,
"""
VALUES = """\
table,field,source,source_value,target_code,status,comment
person,sex_at_birth,,H,male,approved,
person,sex_at_birth,,F,female,approved,
person,consent_reuse,,oui,yes,approved,
"""
IGNORE = "source,column,reason,comment\nlabs,Commentaire,free_text,\n"
FIRST_DAY = np.datetime64("2001-01-01")
DAYS = 9_000


@dataclass(frozen=True)
class Measured:
    """What a process took: seconds on the clock and of processors, megabytes at its peak."""

    seconds: float
    cpu: float
    memory: int
    child_memory: int


def main() -> None:
    """Measure and print, or be one measuring process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=0.0)
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "FOLDER"))
    arguments = parser.parse_args()
    if arguments.measure:
        what, folder = arguments.measure
        sys.stdout.write(json.dumps(vars(_measure(MEASURES[what], Path(folder)))) + "\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        _report(Path(folder), arguments.gigabytes)


def _report(home: Path, gigabytes: float) -> None:
    """Measure everything and print one table."""
    sizes = (("300 patients", 300, 3_000), ("30,000 patients", 30_000, 300_000),
             ("250,000 lab rows", 3_000, MILLION // 4), ("1,000,000 lab rows", 3_000, MILLION),
             ("2,000,000 lab rows", 3_000, 2 * MILLION))  # fmt: skip
    rows: list[tuple[str, ...]] = []
    for what, patients, labs in sizes:
        folder = _centre(home / what.replace(" ", "-"), patients, labs)
        rows += _beside(what, folder, pandas=labs == MILLION // 4)
        shutil.rmtree(folder)
    if gigabytes:
        folder = _large_centre(home / "large", gigabytes)
        size = (folder / "inbox" / "labs.csv").stat().st_size / 1e9
        rows += _beside(f"a file of {size:.1f} GB", folder, pandas=False)
    columns = (
        "what", "takes", "CPU", "MB, child", "beside", "takes", "CPU", "ratio", "CPU ratio"
    )  # fmt: skip
    console.print(table("Harmonization at scale", columns, rows))


def _beside(what: str, folder: Path, *, pandas: bool) -> Iterator[tuple[str, ...]]:
    """Yield a line per yardstick."""
    took = _in_process("harmonize", folder)
    yardsticks = {"bare DuckDB": "bare"} | ({"pandas": "pandas"} if pandas else {})
    for name, measure in yardsticks.items():
        against = _in_process(measure, folder)
        yield (
            what, f"{took.seconds:.2f} s", f"{took.cpu:.2f} s",
            f"{took.memory}, {took.child_memory}", name, f"{against.seconds:.2f} s",
            f"{against.cpu:.2f} s", f"{took.seconds / against.seconds:.2f}",
            f"{took.cpu / against.cpu:.2f}",
        )  # fmt: skip


def _in_process(measure: str, folder: Path) -> Measured:
    """Measure something in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-m", "infra.bench_scale", "--measure", measure, str(folder)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def _measure(work: Callable[[Path], None], folder: Path) -> Measured:
    """Do `work` once; processor time is that of the whole process and its children."""
    started = time.perf_counter()
    work(folder)
    seconds = time.perf_counter() - started
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    return Measured(seconds, cpu, own.ru_maxrss // 1024, children.ru_maxrss // 1024)


def _harmonize(folder: Path) -> None:
    """Collect and harmonize a centre's inbox."""
    from transforms.collect import collect
    from transforms.harmonize import harmonize

    site = load_site(folder)
    harmonize(site, collect(site).run_id)


def _bare(folder: Path) -> None:
    """Turn each file of the inbox into Parquet."""
    with duckdb.connect(config={"threads": min(4, os.cpu_count() or 1)}) as connection:
        for path in sorted((folder / "inbox").glob("*.csv")):
            out = folder / f"{path.stem}.parquet"
            connection.read_csv(str(path), all_varchar=True).write_parquet(str(out))


def _pandas(folder: Path) -> None:
    """Do with the laboratory file, row by row, what staging and limits do with it."""
    import pandas as pd  # type: ignore[import-untyped]

    key, found = b"0" * 32, []
    for number, row in pd.read_csv(folder / "inbox" / "labs.csv", sep=";", dtype=str).iterrows():
        analyte = DICTIONARY.analytes[row["Analyse"].strip()]
        factors = {unit.lower(): float(factor) for unit, factor in analyte.factors.items()}
        factors = {analyte.unit.lower(): 1.0, "g/l": 1.0, "u/l": 1.0} | factors
        value = float(row["Valeur"].replace(",", ".")) * factors.get(row["Unité"].lower(), 1.0)
        person = hmac.digest(key, f"P:{row['IPP'].strip()}".encode(), "sha256").hex()[:24]
        place = hmac.digest(key, f"R:labs.csv:{number}".encode(), hashlib.sha256).hex()[:24]
        found.append({
            "lab_id": place, "person_id": person, "analyte": analyte.code, "value": value,
            "sample_date": pd.to_datetime(row["Date"], format="%d/%m/%Y"),
            "assay": row["Labo"].strip(), "unit_ucum": analyte.unit,
            "unusual": not _within(analyte.hard, value) or not _within(analyte.soft, value),
        })  # fmt: skip
    pd.DataFrame(found).sort_values(["person_id", "lab_id"]).to_parquet(folder / "pandas.parquet")


def _within(limits: Range | None, value: float) -> bool:
    """Return whether a value keeps to its limits."""
    low = limits is None or limits.low is None or limits.low <= value
    return low and (limits is None or limits.high is None or value <= limits.high)


MEASURES: Mapping[str, Callable[[Path], None]] = {
    "harmonize": _harmonize,
    "bare": _bare,
    "pandas": _pandas,
}


def _centre(folder: Path, patients: int, labs: int, comment: int = 0) -> Path:
    """Write a centre whose laboratory file has `labs` rows, and return its folder."""
    create_site(folder, site_id="bench", name="Bench", country="FR", language="fr")
    sheets = {"sources": SOURCES, "fields": FIELDS, "values": VALUES, "ignore": IGNORE}
    for name, text in sheets.items():
        if name == "ignore" and not comment:
            text = text.splitlines()[0] + "\n"
        (folder / "mapping" / f"{name}.csv").write_text(text, encoding="utf-8")
    people = "".join(
        f"{1000 + n};01/02/{1960 + n % 40};{'HF'[n % 2]};05/06/2000;oui\n" for n in range(patients)
    )
    header = "IPP;Naissance;Sexe;Contact;Accord\n"
    (folder / "inbox" / "patients.csv").write_text(header + people, encoding="utf-8")
    with (folder / "inbox" / "labs.csv").open("w", encoding="utf-8") as file:
        file.write("IPP;Date;Analyse;Valeur;Unité;Labo" + (";Commentaire\n" if comment else "\n"))
        for start in range(0, labs, 100_000):
            file.writelines(_lab_rows(patients, start, min(labs, start + 100_000), comment))
    return folder


def _large_centre(folder: Path, gigabytes: float) -> Path:
    """Write a centre whose laboratory file is so large, with 380 letters of comment in each row."""
    return _centre(folder, 20_000, int(gigabytes * 1e9 / 420), comment=380)


def _lab_rows(patients: int, start: int, end: int, comment: int) -> Iterator[str]:
    """Yield lines of the laboratory file: a person has all analytes on a day, weeks apart."""
    chance = np.random.default_rng(start)
    share = chance.random(end - start)
    note = f";{'lorem ipsum ' * (comment // 12)}" if comment else ""
    for number, where in zip(range(start, end), share, strict=True):
        analyte, unit, low, high = ANALYTES[number % len(ANALYTES)]
        visit = number // len(ANALYTES)
        day = str(FIRST_DAY + (visit // patients * 7) % DAYS)
        value = f"{low + (high - low) * where:.1f}".replace(".", ",")
        date = f"{day[8:]}/{day[5:7]}/{day[:4]}"
        yield f"{1000 + visit % patients};{date};{analyte};{value};{unit};Central{note}\n"


if __name__ == "__main__":
    main()
