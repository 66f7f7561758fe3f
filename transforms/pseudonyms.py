"""Gives persons and rows pseudonyms: a keyed hash of the local id, under a secret of the site.

HMAC-SHA256 (RFC 2104) with 32 random bytes that never leave the site: without them nobody can
test whether a pseudonym belongs to a known local id. DuckDB has no HMAC, but it has SHA-256, so
the two hashes of the definition are one SQL macro over whole columns. The key itself is never
part of a SQL text: only its two padded forms are, as variables of the connection.
"""

import hmac
import os
import secrets
import stat
import unicodedata
from pathlib import Path

import duckdb

from transforms.errors import SetupError


__all__ = ["install", "pseudonym", "site_key"]

KEY_FILE = "pseudonym.key"
KEY_BYTES = 32
BLOCK_BYTES = 64  # of SHA-256
DIGITS = 24  # hexadecimal: 96 bits, a collision among a million ids has odds of 1 in 10^17
BLANKS = " \t\r\n\u00a0\u2007\u202f\ufeff"  # around an id, as exports have them

MACRO = f"""
create or replace temp macro pseudonym(prefix, local_id) as
    prefix || substr(
        sha256(getvariable('pseudonym_outer') || unhex(sha256(
            getvariable('pseudonym_inner')
            || encode(prefix || ':' || nfc_normalize(trim(local_id, '{BLANKS}')))
        ))),
        1, {DIGITS}
    )
"""


def site_key(keys: Path) -> bytes:
    """Return the site's 32 secret bytes from `keys`/pseudonym.key, made on first use (0400).

    Losing the file means that every person gets a new pseudonym: keep it in the site's backup.
    Raises SetupError when the file can be read by others or has another length.
    """
    path = keys / KEY_FILE
    if not path.exists():
        _create(path)
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SetupError(f"{path}: others can read the site's secret; run: chmod 0400 '{path}'")
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise SetupError(
            f"{path}: {KEY_BYTES} bytes were expected, {len(key)} found; restore it from the "
            "site's backup, because a new key would give every person a new pseudonym"
        )
    return key


def _create(path: Path) -> None:
    """Write a new key beside its place and link it there; another process may have been first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{KEY_FILE}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(KEY_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()


def pseudonym(key: bytes, prefix: str, local_id: str) -> str:
    """Return what the SQL macro returns for one id: `prefix` and 24 hexadecimal digits."""
    text = f"{prefix}:{unicodedata.normalize('NFC', local_id.strip(BLANKS))}"
    return prefix + hmac.digest(key, text.encode(), "sha256").hex()[:DIGITS]


def install(connection: duckdb.DuckDBPyConnection, key: bytes) -> None:
    """Make the SQL function `pseudonym(prefix, local_id)` for `connection`, NULL for NULL.

    The prefix keeps kinds of ids apart (`'P'` for persons): the same local id under another
    prefix gives another pseudonym. Blanks around an id do not count.
    """
    padded = key.ljust(BLOCK_BYTES, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in padded) for pad in (0x36, 0x5C))
    connection.execute("set variable pseudonym_inner = $1::blob", [inner])
    connection.execute("set variable pseudonym_outer = $1::blob", [outer])
    connection.execute(MACRO)
