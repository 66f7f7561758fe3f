"""The rows of a view: codes, numbers, missing values, and errors that quote nothing."""

import hashlib
import json
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from federated.analysis import Variable
from federated.cohort import Comparison
from federated.frame import FrameError, locked_connection, read_view, to_frame
from federated.statistics import Frame
from transforms.manifest import seal_digest


VARIABLES = {
    "sex": Variable("sex", "Sex", ("female", "male"), ("F", "M")),
    "died": Variable("died", "Died", ("false", "true"), ("No", "Yes")),
    "age": Variable("age", "Age", unit="a"),
    "count": Variable("count", "Count"),
}
ROWS: dict[str, list[object]] = {
    "sex": ["male", None, "female"],
    "died": [True, False, None],
    "age": [1.5, None, 3.0],
    "count": [1, 2, None],
}


def load_frame(path: Path, fields: list[str], cohort: Comparison | None) -> Frame:
    """Read the columns that the fields and the cohort need, as a tally does."""
    needed = sorted({*fields, *([cohort.field] if cohort else [])})
    return to_frame(read_view(path, needed), fields, VARIABLES, cohort)


def written(folder: Path, **change: list[object]) -> Path:
    path = folder / "views" / "person.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({**ROWS, **change}), path)
    return listed(path)


def listed(path: Path) -> Path:
    """List the file at `path` in its release's manifest."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest: dict[str, object] = {"files": {f"views/{path.name}": {"sha256": digest}}}
    manifest["seal_sha256"] = seal_digest(manifest)
    (path.parent.parent / "MANIFEST.json").write_text(json.dumps(manifest), encoding="utf-8")
    return path


def test_codes_become_positions_and_missing_is_kept(tmp_path: Path) -> None:
    frame = load_frame(written(tmp_path), list(VARIABLES), None)
    assert frame.rows == 3
    assert frame.columns["sex"].tolist() == [1, -1, 0]
    assert frame.columns["died"].tolist() == [1, 0, -1]
    np.testing.assert_array_equal(frame.columns["age"], [1.5, np.nan, 3.0])
    np.testing.assert_array_equal(frame.columns["count"], [1.0, 2.0, np.nan])


def test_a_cohort_may_look_at_a_field_that_is_not_read(tmp_path: Path) -> None:
    cohort = Comparison("sex", "==", ("female",))
    frame = load_frame(written(tmp_path), ["age"], cohort)
    assert frame.columns["age"].tolist() == [3.0]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"sex": ["Dupont", None, "female"]}, "unknown_code"),
        ({"age": ["Dupont", "1", "2"]}, "view_differs"),
    ],
)
def test_an_error_is_a_code_and_quotes_no_cell(
    tmp_path: Path, change: dict[str, list[object]], code: str
) -> None:
    with pytest.raises(FrameError) as caught:
        load_frame(written(tmp_path, **change), ["sex", "age"], None)
    assert caught.value.code == code
    assert "Dupont" not in repr(caught.value)


def code_of(path: Path) -> str:
    with pytest.raises(FrameError) as caught:
        load_frame(path, ["age"], None)
    return caught.value.code


def test_a_missing_changed_or_other_file_has_its_code(tmp_path: Path) -> None:
    assert code_of(tmp_path / "views" / "person.parquet") == "view_missing"
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert code_of(path) == "view_changed"
    assert code_of(listed(path)) == "view_unreadable"
    pq.write_table(pa.table({"sex": ["male"]}), path)
    assert code_of(listed(path)) == "view_differs"
    told = json.loads((tmp_path / "MANIFEST.json").read_text(encoding="utf-8"))
    (tmp_path / "MANIFEST.json").write_text(json.dumps({**told, "more": 1}), encoding="utf-8")
    assert code_of(path) == "view_changed"
    (tmp_path / "MANIFEST.json").write_text("{}", encoding="utf-8")
    assert code_of(path) == "manifest_missing"


@pytest.mark.parametrize(
    "statement",
    [
        "select * from '/etc/passwd'",
        "select * from read_text('/etc/passwd')",
        "select * from read_csv('/etc/passwd')",
        "select * from read_parquet('{file}')",
        "select * from glob('/*')",
        "copy cohort_view to '{folder}/out.csv'",
        "copy cohort_view from '/etc/passwd'",
        "export database '{folder}/out'",
        "attach '{folder}/out.db'",
        "attach '/etc/passwd' as other",
        "install httpfs",
        "load httpfs",
        "load '{folder}/x.duckdb_extension'",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "set memory_limit = '100GB'",
        "set threads = 64",
        "set temp_directory = '{folder}'",
        "set allowed_directories = ['/']",
        "reset memory_limit",
        "select * from secret_of_the_caller",
        "select getenv('HOME')",
        "create secret s (type s3)",
    ],
)
def test_the_locked_duckdb_reaches_nothing(tmp_path: Path, statement: str) -> None:
    secret_of_the_caller = pa.table(ROWS)
    file = written(tmp_path)
    with (
        locked_connection(secret_of_the_caller) as connection,
        pytest.raises((duckdb.Error, RuntimeError)),
    ):
        connection.execute(statement.format(file=file, folder=tmp_path)).fetchall()
    assert not list(tmp_path.glob("out*"))


def test_no_row_stays_for_the_next_question_or_is_seen_by_another() -> None:
    with (
        locked_connection(pa.table({"age": [1.0]})) as first,
        locked_connection(pa.table({"age": [2.0, 3.0]})) as second,
    ):
        assert first.execute("select age from cohort_view").fetchall() == [(1.0,)]
        assert second.execute("select age from cohort_view").fetchall() == [(2.0,), (3.0,)]
    with locked_connection(pa.table({"other": [4]})) as third:
        tables = third.execute("select table_name from duckdb_tables()").fetchall()
        assert tables == [("cohort_view",)]
        assert third.execute("select * from cohort_view").fetchall() == [(4,)]


def test_the_locked_duckdb_answers_about_its_own_table() -> None:
    with locked_connection(pa.table(ROWS)) as connection:
        assert connection.execute("select count(*) from cohort_view").fetchall() == [(3,)]
