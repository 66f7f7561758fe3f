"""What is still said of people who did not consent, or of whom nobody knows whether they did.

Rows of persons without a yes are gone by then (`transforms.harmonize`). Two kinds of rows are left
to be rejected, because somebody has to act on them: a person whose consent could not be read, and
rows whose person is nowhere. Their texts go, so that no quarantine and no screen shows them; file
and row say where to look.
"""

import duckdb

from transforms.dictionary import DICTIONARY, Dictionary
from transforms.sql import identifier, qualified
from transforms.staging import STORED, stored_columns, told


__all__ = ["forget_texts"]

KEPT = ("consent_reuse:raw", "consent_reuse:problem")
NOBODY = (
    "person_id is null or person_id in (select person_id from (select distinct person_id from {}) "
    "anti join stored.person using (person_id))"
)


def forget_texts(
    connection: duckdb.DuckDBPyConnection, dictionary: Dictionary = DICTIONARY
) -> None:
    """Empty the texts, and what could not be read of them, where no consent is known."""
    for table in dictionary.tables:
        stored = stored_columns(connection, table)
        texts = [
            name
            for name in sorted(stored)
            if name.endswith((":raw", ":problem")) and name not in KEPT
        ]
        unreadable = f"{told(stored, 'consent_reuse:problem', 'varchar')} is not null"
        rows = qualified(STORED, table)
        whose = unreadable if table == "person" else NOBODY.format(rows)
        if texts:
            emptied = ", ".join(f"{identifier(name)} = null" for name in texts)
            connection.execute(f"update {rows} set {emptied} where {whose}")
