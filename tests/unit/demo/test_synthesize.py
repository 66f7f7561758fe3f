"""What the centres export: fixed bytes, true formats, a truth that points at real rows."""

import csv
import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import duckdb
import pytest

from infra.demo.artefacts import ARTEFACTS
from infra.demo.centres import CENTRES
from infra.demo.centres.torino import JOINED, TABLES_OF_CDM
from infra.demo.synthesize import Consortium, synthesize
from transforms.errors import SetupError
from transforms.mapping_check import check_columns, load_mapping
from transforms.readers import read
from transforms.site import load_site


SIZE = 60


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Consortium:
    return synthesize(5, SIZE, seed=1, out=tmp_path_factory.mktemp("demo"))


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def truth_of(consortium: Consortium, site: str) -> dict[str, Any]:
    text = (consortium.folder / "truth" / f"{site}.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def test_the_same_seed_gives_the_same_bytes(consortium: Consortium, tmp_path: Path) -> None:
    again = synthesize(5, SIZE, seed=1, out=tmp_path)
    assert digests(again.folder) == digests(consortium.folder)


def test_another_seed_gives_other_files(consortium: Consortium, tmp_path: Path) -> None:
    other = digests(synthesize(2, SIZE, seed=2, out=tmp_path).folder)
    mine = digests(consortium.folder)
    assert all(other[name] != mine[name] for name in other if "/inbox/" in name)


def test_more_than_five_centres_come_round_again(tmp_path: Path) -> None:
    consortium = synthesize(7, 5, seed=1, out=tmp_path)
    assert consortium.sites[5:] == ("lyon-2", "ulm-2")
    assert load_site(tmp_path / "lyon-2").id == "lyon-2"
    assert truth_of(consortium, "lyon-2")["patients"] >= 5


@pytest.mark.parametrize(("sites", "patients"), [(0, 5), (5, 0)])
def test_too_small_a_consortium_is_refused(sites: int, patients: int, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="at least 1"):
        synthesize(sites, patients, seed=1, out=tmp_path)


def test_without_artefacts_the_truth_lists_none(tmp_path: Path) -> None:
    consortium = synthesize(5, 20, seed=1, out=tmp_path, artefacts=False)
    assert not any(truth_of(consortium, site)["artefacts"] for site in consortium.sites)


EMPTY = ("procedures", "treatments")  # blocks of which a small centre may have nothing


@pytest.mark.parametrize("site", CENTRES)
def test_mapping_fits_the_files_and_readers_read_them(consortium: Consortium, site: str) -> None:
    folder = consortium.folder / site
    mapping = load_mapping(folder / "mapping")
    with duckdb.connect() as connection:
        tables = {s.source: read(s, folder / "inbox", connection) for s in mapping.sources}
    assert not list(check_columns(mapping, {name: t.columns for name, t in tables.items()}))
    assert all(table.rows for name, table in tables.items() if name not in EMPTY)
    assert not [note for table in tables.values() for note in table.notes]


@pytest.mark.parametrize("site", CENTRES)
def test_truth_points_at_rows_of_that_patient(consortium: Consortium, site: str) -> None:
    folder = consortium.folder / site
    mapping = load_mapping(folder / "mapping")
    rows: dict[tuple[str, str, int], set[str]] = {}
    with duckdb.connect() as connection:
        for source in mapping.sources:
            read(source, folder / "inbox", connection)
            found = connection.execute(
                f'select source_file, source_sheet, source_row, "{source.id_column}" '
                f'from source."{source.source}"'
            ).fetchall()
            for file, sheet, row, who in found:
                rows.setdefault((file, sheet, row), set()).add(who)
    truth = truth_of(consortium, site)
    entries = [*truth["artefacts"], *truth["consequences"]]
    assert {entry["artefact"] for entry in entries} <= set(ARTEFACTS)
    for entry in entries:
        if entry["source_row"] or entry["artefact"] != "excluded_features_lost":
            place = (entry["source_file"], entry["source_sheet"], entry["source_row"])
            assert entry["person"] in rows[place], entry


@pytest.mark.parametrize("site", CENTRES)
def test_one_artefact_per_patient_at_most(consortium: Consortium, site: str) -> None:
    kinds: dict[str, set[str]] = {}
    for entry in truth_of(consortium, site)["artefacts"]:
        kinds.setdefault(entry["person"], set()).add(entry["artefact"])
    assert kinds
    assert all(len(names) == 1 for names in kinds.values())


@pytest.mark.parametrize("site", CENTRES)
def test_raw_files_hold_what_must_never_leave(consortium: Consortium, site: str) -> None:
    inbox = consortium.folder / site / "inbox"
    text = "".join(_text(path) for path in sorted(inbox.rglob("*")) if path.is_file())
    identifying = truth_of(consortium, site)["identifying"]
    for name in ("local_id", "national_id", "note"):
        assert any(value[:40] in text for value in identifying[name]), name
    assert any(value in text for value in identifying["family_name"])


def _text(path: Path) -> str:
    if path.suffix == ".xlsx":
        with zipfile.ZipFile(path) as book:
            return "".join(book.read(name).decode() for name in book.namelist())
    return path.read_bytes().decode("cp1252" if "ulm" in path.parts else "utf-8")


def test_lyon_is_a_workbook_of_three_sheets_with_decimal_commas(consortium: Consortium) -> None:
    from openpyxl import load_workbook

    path = next((consortium.folder / "lyon" / "inbox").glob("*.xlsx"))
    book = load_workbook(path, read_only=True)
    assert book.sheetnames == ["patients", "fractures", "biologie"]
    rows = list(book["biologie"].iter_rows(values_only=True))
    header, data = rows[2], rows[3:]
    hemoglobin = [row[header.index("Hb (g/dL)")] for row in data]
    assert sum("," in str(value) for value in hemoglobin) > len(data) / 2
    book.close()


def test_ulm_is_semicolons_in_windows_1252(consortium: Consortium) -> None:
    data = (consortium.folder / "ulm" / "inbox" / "labor_2026.csv").read_bytes()
    with pytest.raises(UnicodeDecodeError):
        data.decode("utf-8")
    rows = list(csv.DictReader(io.StringIO(data.decode("cp1252")), delimiter=";"))
    assert {row["Parameter"] for row in rows} >= {"Hämoglobin", "Kalzium"}


def test_leiden_is_redcap_with_repeating_instruments(consortium: Consortium) -> None:
    inbox = consortium.folder / "leiden" / "inbox"
    with next(inbox.glob("*_DATA_*.csv")).open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    repeats = {row["redcap_repeat_instrument"] for row in rows}
    assert repeats == {"", "variant", "fractuur", "lab", "dxa"}
    assert {row["redcap_data_access_group"] for row in rows} == {"lumc", "satelliet"}
    closed = [row for row in rows if row["organen_complete"] == "0"]
    assert closed
    assert all(row["organen___1"] == "0" for row in closed)


def test_torino_has_the_columns_of_the_common_data_model(
    consortium: Consortium, data: Path
) -> None:
    spec = data / "omop_spec" / "OMOP_CDMv5.4_Field_Level.csv"
    with spec.open(encoding="utf-8-sig", newline="") as lines:
        fields = [(row["cdmTableName"], row["cdmFieldName"]) for row in csv.DictReader(lines)]
    for table, columns in TABLES_OF_CDM.items():
        assert columns == tuple(name for where, name in fields if where == table)
        path = consortium.folder / "torino" / "inbox" / "omop" / f"{table}.csv"
        header = tuple(path.read_text(encoding="utf-8").split("\n")[0].strip().split(","))
        assert header == columns + (JOINED if table == "person" else ())
    assert set(JOINED) <= {name for _, name in fields}


def test_odense_is_a_folder_of_phenopackets(consortium: Consortium) -> None:
    inbox = consortium.folder / "odense" / "inbox"
    packets = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((inbox / "phenopackets").glob("*.json"))
    ]
    assert len(packets) == SIZE
    assert all({"id", "subject", "metaData"} <= packet.keys() for packet in packets)
    features = [f for packet in packets for f in packet.get("phenotypicFeatures", ())]
    assert any(feature.get("excluded") for feature in features)
    header = (inbox / "laboratorium.csv").read_text(encoding="utf-8").split("\n")[0]
    assert header.strip() == "Patientnummer;Prøvedato;Analyse;Resultat;Enhed;Rekvirent"
