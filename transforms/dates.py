"""Which days a date of lesser precision may mean."""

__all__ = ["ends"]


def ends(date: str, precision: str) -> dict[str, str]:
    """Return the SQL expressions of the `earliest` and the `latest` day that a date may mean.

    A year or a month alone spans all its days; a date made from an age spans a year either way.
    """
    new_year = f"(date_trunc('year', {date}) + interval 1 year)::date"
    return {
        "earliest": f"case {precision} when 'year' then date_trunc('year', {date})::date "
        f"when 'month' then date_trunc('month', {date})::date "
        f"when 'age_only' then {date} - 366 else {date} end",
        "latest": f"case {precision} when 'year' then {new_year} - 1 "
        f"when 'month' then last_day({date}) "
        f"when 'age_only' then {date} + 366 else {date} end",
    }
