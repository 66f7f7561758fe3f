"""Which rows of a view a question is about: a typed tree, compiled to SQL with parameters.

    {"field": "gene_group", "operator": "in", "value": ["TCIRG1", "other_ARO"]}
    {"and": [ … ]}   {"or": [ … ]}   {"not": … }

Operators: == != in is_missing for variables with levels; == != < <= > >= in is_missing for numbers.
A comparison with a missing value is false, and its `not` is true: there is no third truth value.
No SQL, no expression and no name outside the view can be said in it.
"""

import json
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal, TypeAlias

from federated.analysis import Variable, suggest
from transforms.sql import identifier


__all__ = [
    "Cohort",
    "Combination",
    "Comparison",
    "Negation",
    "cohort_fields",
    "cohort_sql",
    "known_part",
    "mixed_fields",
    "parse_cohort",
]

Value: TypeAlias = str | float
SYMBOLS: Mapping[str, str] = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
FOR_LEVELS = ("==", "!=", "in", "is_missing")
FOR_NUMBERS = (*SYMBOLS, "in", "is_missing")
DEEPEST, MOST_NODES, MOST_VALUES = 6, 40, 100


@dataclass(frozen=True)
class Comparison:
    """One field against one value, several (`in`) or none (`is_missing`)."""

    field: str
    operator: str
    values: tuple[Value, ...] = ()

    def to_mapping(self) -> Mapping[str, object]:
        """Return plain JSON values, which `parse_cohort` accepts again."""
        base = {"field": self.field, "operator": self.operator}
        if self.operator == "is_missing":
            return base
        return {**base, "value": list(self.values) if self.operator == "in" else self.values[0]}


@dataclass(frozen=True)
class Negation:
    """Every row that `item` does not hold for."""

    item: "Cohort"

    def to_mapping(self) -> Mapping[str, object]:
        """Return plain JSON values."""
        return {"not": self.item.to_mapping()}


@dataclass(frozen=True)
class Combination:
    """All (`and`) or any (`or`) of the items, which are kept in a canonical order."""

    kind: Literal["and", "or"]
    items: tuple["Cohort", ...]

    def to_mapping(self) -> Mapping[str, object]:
        """Return plain JSON values."""
        return {self.kind: [item.to_mapping() for item in self.items]}


Cohort: TypeAlias = Comparison | Negation | Combination


def parse_cohort(
    data: object, variables: Mapping[str, Variable]
) -> tuple[Cohort | None, tuple[str, ...]]:
    """Return the cohort that `data` describes and everything that is wrong with it.

    Order, repetition, nesting of the same `and` or `or`, and `not` of a `not` do not matter.
    """
    problems: list[str] = []
    cohort = _parse(data, variables, problems, 1)
    if not problems and cohort and _nodes(cohort) > MOST_NODES:
        problems.append(f"cohort: more than {MOST_NODES} conditions")
    return (None, tuple(problems)) if problems else (cohort, ())


def cohort_sql(cohort: Cohort) -> tuple[str, list[Value]]:
    """Return a SQL condition and its parameters, in order."""
    if isinstance(cohort, Combination):
        parts = [cohort_sql(item) for item in cohort.items]
        text = f" {cohort.kind} ".join(f"({sql})" for sql, _ in parts)
        return text, [value for _, values in parts for value in values]
    if isinstance(cohort, Negation):
        sql, values = cohort_sql(cohort.item)
        return f"not ({sql})", values
    return _comparison_sql(cohort)


def cohort_fields(cohort: Cohort | None) -> frozenset[str]:
    """Names of the fields that the cohort looks at."""
    if cohort is None:
        return frozenset()
    if isinstance(cohort, Combination):
        return frozenset().union(*(cohort_fields(item) for item in cohort.items))
    if isinstance(cohort, Negation):
        return cohort_fields(cohort.item)
    return frozenset({cohort.field})


def known_part(cohort: Cohort | None, sensitive: Set[str]) -> Cohort | None:
    """Return what of a cohort looks at no sensitive field; None when that is everybody."""
    parts = tuple(part for part in _parts(cohort) if not cohort_fields(part) & sensitive)
    return parts[0] if len(parts) == 1 else Combination("and", parts) if parts else None


def mixed_fields(cohort: Cohort | None, sensitive: Set[str]) -> frozenset[str]:
    """Return the fields of conditions that tie a sensitive field to any other by `or` or `not`.

    In such a cohort what is secret of one patient can decide whether he is counted among others
    who are known to be, so that a count that crosses a limit tells the secret.
    """
    looked_at = [cohort_fields(part) for part in _parts(cohort)]
    return frozenset().union(
        *(fields for fields in looked_at if len(fields) > 1 and fields & sensitive)
    )


def _parts(cohort: Cohort | None) -> tuple[Cohort, ...]:
    """The conditions that must all hold."""
    if cohort is None:
        return ()
    is_all = isinstance(cohort, Combination) and cohort.kind == "and"
    return cohort.items if isinstance(cohort, Combination) and is_all else (cohort,)


def _comparison_sql(item: Comparison) -> tuple[str, list[Value]]:
    """One comparison; identifiers quoted, values as parameters."""
    column = identifier(item.field)
    if item.operator == "is_missing":
        return f"{column} is null", []
    if item.operator == "in":
        marks = ", ".join("?" for _ in item.values)
        return f"coalesce({column} in ({marks}), false)", list(item.values)
    return f"coalesce({column} {SYMBOLS[item.operator]} ?, false)", list(item.values)


def _parse(
    data: object, variables: Mapping[str, Variable], problems: list[str], depth: int
) -> Cohort | None:
    """Parse one node, noting what is wrong."""
    if not isinstance(data, Mapping):
        problems.append("cohort: a condition must be a table with field, and, or, or not")
        return None
    if depth > DEEPEST:
        problems.append(f"cohort: conditions are nested deeper than {DEEPEST}")
        return None
    keys = set(data)
    if keys == {"not"}:
        item = _parse(data["not"], variables, problems, depth + 1)
        return item.item if isinstance(item, Negation) else Negation(item) if item else None
    if keys in ({"and"}, {"or"}):
        return _parse_combination(
            "and" if "and" in keys else "or", data, variables, problems, depth
        )
    return _parse_comparison(data, variables, problems)


def _parse_combination(
    kind: Literal["and", "or"],
    data: Mapping[str, object],
    variables: Mapping[str, Variable],
    problems: list[str],
    depth: int,
) -> Cohort | None:
    """Parse, flatten, sort and deduplicate the items of an `and` or `or`."""
    entries = data[kind]
    if not isinstance(entries, list | tuple) or not entries:
        problems.append(f"cohort: {kind} must be a list of conditions")
        return None
    if len(entries) > MOST_NODES or len(problems) > MOST_NODES:
        problems.append(f"cohort: more than {MOST_NODES} conditions")
        return None
    parsed = [_parse(entry, variables, problems, depth + 1) for entry in entries]
    flat: dict[str, Cohort] = {}
    for item in parsed:
        if item is not None:
            same = isinstance(item, Combination) and item.kind == kind
            children = item.items if same and isinstance(item, Combination) else (item,)
            flat |= {json.dumps(c.to_mapping(), sort_keys=True): c for c in children}
    items = tuple(flat[key] for key in sorted(flat))
    return items[0] if len(items) == 1 else Combination(kind, items)


def _parse_comparison(
    data: Mapping[str, object], variables: Mapping[str, Variable], problems: list[str]
) -> Cohort | None:
    """Parse {"field", "operator", "value"}."""
    name, operator = data.get("field"), data.get("operator")
    if unknown := sorted(set(data) - {"field", "operator", "value"}):
        problems.append(f"cohort: unknown key {', '.join(map(str, unknown))}")
    if not isinstance(name, str) or name not in variables:
        problems.append(f"cohort: unknown variable {name}{suggest(name, variables)}")
        return None
    allowed = FOR_LEVELS if variables[name].coded else FOR_NUMBERS
    if operator not in allowed:
        problems.append(f"cohort: {name} has no operator {operator}; it has {', '.join(allowed)}")
        return None
    values = _values(variables[name], str(operator), data, problems)
    return _normal(Comparison(name, str(operator), values))


def _values(
    variable: Variable, operator: str, data: Mapping[str, object], problems: list[str]
) -> tuple[Value, ...]:
    """Return the checked values of a comparison, sorted and each once."""
    raw = data.get("value")
    if operator == "is_missing":
        if raw is not None:
            problems.append("cohort: is_missing takes no value")
        return ()
    several: Sequence[object] = raw if operator == "in" and isinstance(raw, list | tuple) else [raw]
    if not 1 <= len(several) <= MOST_VALUES:
        problems.append(f"cohort: {variable.name}: in takes 1 to {MOST_VALUES} values")
        return ()
    found = [_value(variable, value, problems) for value in several]
    return tuple(sorted({value for value in found if value is not None}, key=_sort_key))


def _value(variable: Variable, value: object, problems: list[str]) -> Value | None:
    """Return a level, or a finite number; JSON's true and false are the levels of yes-or-no."""
    if not variable.coded:
        if type(value) in (int, float) and math.isfinite(float(str(value))):
            return float(str(value)) + 0.0  # -0.0 is 0.0
        problems.append(f"cohort: {variable.name} is compared with a number only")
        return None
    level = str(value).lower() if isinstance(value, bool) else value
    if isinstance(level, str) and level in variable.levels:
        return level
    problems.append(
        f"cohort: {variable.name} has no level {level}{suggest(level, variable.levels)}"
    )
    return None


def _normal(item: Comparison) -> Comparison:
    """An `in` with one value is an equality."""
    if item.operator == "in" and len(item.values) == 1:
        return Comparison(item.field, "==", item.values)
    return item


def _nodes(cohort: Cohort) -> int:
    """Number of nodes of the tree."""
    if isinstance(cohort, Combination):
        return 1 + sum(_nodes(item) for item in cohort.items)
    return 1 + (_nodes(cohort.item) if isinstance(cohort, Negation) else 0)


def _sort_key(value: Value) -> tuple[bool, Value]:
    """Levels and numbers never mix in one comparison."""
    return isinstance(value, str), value
