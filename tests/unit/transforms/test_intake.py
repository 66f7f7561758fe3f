"""What a run says of the parts of files that no source reads."""

from transforms.intake import _listed, _unread
from transforms.mapping import Mapping, Source
from transforms.readers import SourceTable


def table(source: str, file: str, *others: str) -> SourceTable:
    return SourceTable(source, (file,), 1, ("id",), other_parts=others)


def test_sheets_that_no_source_reads_are_counted_not_named():
    tables = [
        table("a", "a.xlsx", "Labs", "Erika Muster"),
        table("b", "a.xlsx", "Visits", "Erika Muster"),
        table("c", "c.csv", "lab"),
    ]
    sources = (
        Source("a", "excel", "a.xlsx", "excel", "id"),
        Source("b", "excel", "a.xlsx", "excel", "id"),
        Source("c", "redcap", "c.csv", "redcap", "id"),
    )
    unread = _unread(Mapping(sources, (), (), ()), tables)
    assert sum(map(len, unread.values())) == 2
    assert sorted(_listed(unread, {"a.xlsx"})) == ["a.xlsx: 1 sheets", "lab"]
