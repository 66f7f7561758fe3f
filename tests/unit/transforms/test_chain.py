"""A chain of entries notices every change; the lines of logs that exist stay as they are."""

import json
from datetime import UTC, datetime

import pytest

from transforms.chain import FIRST, Chain, Entry


NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LEDGER, AUDIT = Chain("marmor/ledger/1", escaped=True), Chain("marmor/audit/1", escaped=False)
# Lines as they were written before both logs shared this module.
WRITTEN = (
    (
        LEDGER,
        "asked",
        {"question": "Größe"},
        r'{"body":{"question":"Gr\u00f6\u00dfe"},"event":"asked","hash":"befbdda9d3e80472f592971db9'
        r'eb318c9825549022228d0d053ef4063451581d","prev":"' + FIRST + '","seq":0,'
        '"time":"2026-11-22T12:00:00+00:00"}',
    ),
    (
        AUDIT,
        "published",
        {"by": "Zoë"},
        '{"body":{"by":"Zoë"},"event":"published","hash":"8437cca7af56fc0080de0a4146e650bced3bb3bab'
        '7452079653d0c410d97fd6c","prev":"' + FIRST + '","seq":0,'
        '"time":"2026-11-22T12:00:00+00:00"}',
    ),
)


@pytest.mark.parametrize(("chain", "event", "body", "line"), WRITTEN)
def test_lines_stay_as_they_were(chain: Chain, event: str, body: Entry, line: str) -> None:
    entry = chain.following(None, NOON, event, body)
    assert chain.line(entry) == line
    assert chain.checked(line.encode(), None) == entry


def test_entries_follow_one_another() -> None:
    one = AUDIT.following(None, NOON, "published", {"rows": 1})
    two = AUDIT.following(one, NOON, "deleted", {})
    assert (two["seq"], two["prev"]) == (1, one["hash"])
    line = AUDIT.line(two).encode()
    assert AUDIT.checked(line, one) == two
    assert AUDIT.checked(line, None) is None
    assert AUDIT.checked(line, two) is None


def test_any_changed_letter_is_noticed() -> None:
    line = AUDIT.line(AUDIT.following(None, NOON, "published", {"by": "Zoë", "rows": 12})).encode()
    for place in range(len(line)):
        spoiled = line[:place] + bytes([line[place] ^ 1]) + line[place + 1 :]
        assert AUDIT.checked(spoiled, None) is None


def test_an_entry_of_another_log_is_none_of_this() -> None:
    line = LEDGER.line(LEDGER.following(None, NOON, "asked", {})).encode()
    assert LEDGER.checked(line, None) is not None
    assert AUDIT.checked(line, None) is None


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"null", b'"x"', b"{", b'{"hash":1}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_entry_is_none(line: bytes) -> None:
    assert AUDIT.checked(line, None) is None


def test_a_number_that_json_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        AUDIT.following(None, NOON, "published", {"rows": float("nan")})
    assert json.loads(AUDIT.line({"rows": 1})) == {"rows": 1}
