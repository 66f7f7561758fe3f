"""The keyed hash in SQL is HMAC-SHA256, and the key is made once and kept from others."""

import hmac
import stat
import unicodedata
from pathlib import Path

import duckdb
import pytest

from transforms.errors import SetupError
from transforms.pseudonyms import install, pseudonym, site_key


KEY = bytes(range(32))


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    install(connection, KEY)
    return connection


def in_sql(connection: duckdb.DuckDBPyConnection, prefix: str, local_id: str | None) -> str | None:
    row = connection.execute("select pseudonym(?, ?::varchar)", [prefix, local_id]).fetchone()
    assert row is not None
    return row[0]


def test_it_is_hmac_sha256_cut_to_24_digits(connection):
    digest = hmac.new(KEY, b"P:IPP-0042", "sha256").hexdigest()
    assert in_sql(connection, "P", "IPP-0042") == "P" + digest[:24]


def test_sql_and_python_agree_on_every_letter_and_on_long_ids(connection):
    letters = [chr(code) for code in range(0x20, 0x3000) if unicodedata.category(chr(code)) != "Cn"]
    local_ids = [f"7{letter}" for letter in letters] + ["", "IPP 0042", "ü" * 200]
    query = "select pseudonym('P', i) from (select unnest(?::varchar[]) as i)"
    found = [row[0] for row in connection.execute(query, [local_ids]).fetchall()]
    assert found == [pseudonym(KEY, "P", local_id) for local_id in local_ids]


def test_one_id_one_pseudonym(connection):
    assert in_sql(connection, "P", "\ufeff 7\u00a0\t") == in_sql(connection, "P", "7")
    assert in_sql(connection, "P", "e\u0301") == in_sql(connection, "P", "é")
    assert in_sql(connection, "P", None) is None
    different = {in_sql(connection, prefix, i) for prefix in "PF" for i in ("7", "07", "a", "A")}
    assert len(different) == 8


def test_another_key_gives_other_pseudonyms():
    assert pseudonym(KEY, "P", "7") != pseudonym(KEY[::-1], "P", "7")


def test_the_key_is_made_once_and_readable_by_its_owner_only(tmp_path: Path):
    keys = tmp_path / "keys"
    key = site_key(keys)
    assert len(key) == 32
    assert site_key(keys) == key
    (path,) = keys.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [(KEY, 0o444, "chmod 0400"), (KEY[:5], 0o400, "32 bytes were expected, 5 found")],
)
def test_a_key_that_others_can_read_or_that_was_cut_is_refused(tmp_path, content, mode, message):
    path = tmp_path / "pseudonym.key"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(SetupError, match=message):
        site_key(tmp_path)
