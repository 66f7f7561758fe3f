"""The dialect gives SQLAlchemy what Great Expectations needs of DuckDB."""

import datetime
from collections.abc import Iterator

import pytest
import sqlalchemy as sa


@pytest.fixture
def engine() -> Iterator["sa.Engine"]:
    from expectations import duckdb_dialect

    duckdb_dialect.register()
    engine = sa.create_engine(duckdb_dialect.url(":memory:"))
    with engine.connect() as connection:
        connection.execute(
            sa.text("create table visit (id integer, name varchar, day date, weight double)")
        )
        connection.execute(
            sa.text("insert into visit values (1, 'ab', '2020-01-31', 7.5), (2, 'xaby', null, 1)")
        )
        connection.execute(sa.text("create view heavy as select * from visit where weight > 5"))
    yield engine
    engine.dispose()


def test_tables_and_views_are_found(engine: "sa.Engine") -> None:
    inspector = sa.inspect(engine)
    assert inspector.get_table_names() == ["visit"]
    assert inspector.get_view_names() == ["heavy"]
    assert inspector.has_table("heavy")
    assert not inspector.has_table("light")


def test_columns_have_types(engine: "sa.Engine") -> None:
    columns = {one["name"]: type(one["type"]) for one in sa.inspect(engine).get_columns("heavy")}
    assert columns == {"id": sa.Integer, "name": sa.String, "day": sa.Date, "weight": sa.Float}


def test_columns_of_a_missing_table_are_an_error(engine: "sa.Engine") -> None:
    with pytest.raises(sa.exc.NoSuchTableError):
        sa.inspect(engine).get_columns("light")


def test_results_survive_the_next_statement_and_a_commit(engine: "sa.Engine") -> None:
    with engine.connect() as connection:
        first = connection.execute(sa.text("select id, day from visit order by id"))
        connection.execute(sa.text("select 42"))
        connection.commit()
        assert first.fetchone() == (1, datetime.date(2020, 1, 31))
        assert first.fetchmany(5) == [(2, None)]
        assert first.fetchall() == []


def test_values_are_bound_not_written_into_the_statement(engine: "sa.Engine") -> None:
    with engine.connect() as connection:
        query = sa.text("select count(*) from visit where name = :name")
        assert connection.execute(query, {"name": "ab' or '1'='1"}).scalar() == 0


@pytest.mark.parametrize(
    ("operator", "pattern", "ids"),
    [("~", "ab", [1, 2]), ("~", "^ab$", [1]), ("!~", "^ab$", [2]), ("!~", "ab", [])],
)
def test_a_pattern_is_found_anywhere_as_in_postgresql(
    engine: "sa.Engine", operator: str, pattern: str, ids: list[int]
) -> None:
    table = sa.table("visit", sa.column("id"), sa.column("name"))
    query = sa.select(table.c.id).where(table.c.name.op(operator)(pattern)).order_by(table.c.id)
    with engine.connect() as connection:
        assert [row[0] for row in connection.execute(query)] == ids
