"""Numbers and dates as people write them are read back, whatever the habit."""

import datetime
import functools

import duckdb
from hypothesis import example, given, settings
from hypothesis import strategies as st

from transforms.spelling import amount_sql, date_sql


QUICK = settings(max_examples=150, deadline=None)


@functools.cache
def connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def read(sql: str, text: str) -> object:
    query = f"select {sql} from (select $1::varchar as cell)"
    ((value,),) = connection().execute(query, [text]).fetchall()
    return value


def written(number: float, decimal: str, thousands: str) -> str:
    """Return a number as a person with these habits writes it."""
    text = f"{number:,.3f}"
    return text.replace(",", "\0").replace(".", decimal).replace("\0", thousands)


@QUICK
@given(
    number=st.floats(-1e9, 1e9).map(lambda number: round(number, 3)),
    habit=st.sampled_from([
        (",", "."), (",", " "), (",", "\u202f"), (",", ""), (".", ","), (".", "'"), (".", "\u00a0"),
    ]),
)  # fmt: skip
def test_a_number_in_its_declared_habit_is_read_exactly(
    number: float, habit: tuple[str, str]
) -> None:
    text = written(number, *habit)
    assert read(amount_sql("cell", habit[0]), text) == number


@QUICK
@given(text=st.text(max_size=12), decimal=st.sampled_from([",", "."]))
@example("1.234.56", ",")
@example("1,2,3", ".")
@example("--5", ".")
@example("5-", ".")
@example("Infinity", ".")
@example("0x10", ".")
@example("1_000", ".")
def test_any_text_is_a_finite_number_or_nothing(text: str, decimal: str) -> None:
    if "\0" in text:
        return
    value = read(amount_sql("cell", decimal), text)
    assert value is None or (isinstance(value, float) and abs(value) < 1e115)
    if value is not None:
        assert any(sign.isdigit() for sign in text)


@QUICK
@given(
    day=st.dates(datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)),
    order=st.sampled_from(
        [("DMY", "%d{0}%m{0}%Y"), ("MDY", "%m{0}%d{0}%Y"), ("YMD", "%Y{0}%m{0}%d")]
    ),
    separator=st.sampled_from("./- "),
)  # fmt: skip
def test_a_date_in_its_declared_order_is_read_exactly(
    day: datetime.date,
    order: tuple[str, str],
    separator: str,
) -> None:
    text = day.strftime(order[1].format(separator))
    assert read(date_sql("cell", order[0]), text) == day
    assert read(date_sql("cell", order[0]), day.isoformat()) == day


@QUICK
@given(text=st.text(alphabet="0123456789./- T:", max_size=12))
def test_any_text_is_a_date_of_a_four_digit_year_or_nothing(text: str) -> None:
    value = read(date_sql("cell", "DMY"), text)
    assert value is None or str(value.year) in text.replace("0000", "")  # type: ignore[attr-defined]
