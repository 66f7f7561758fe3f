"""Bad input: a typed error that names the field and what is allowed, and nothing is evaluated."""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from federated.messages import Continue, MessageError, Settle, decode, encode
from federated.rehearsal import rehearse
from federated.request import MOST_BYTES
from transforms.errors import RequestError


VIEW = """
[view]
name = "p"
unit = "patient"
[columns.sex]
type = "category"
levels = ["f", "m"]
[columns.died]
type = "flag"
[columns.age]
type = "number"
"""
TABLE = {"analysis": "crosstab", "view": "p", "parameters": {"variables": ["sex", "died"]}}


class Untouchable(Mapping[str, Any]):
    """The rows of a site that must not be looked at."""

    def __getitem__(self, key: str) -> Any:
        raise AssertionError("a row was asked for")

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the rows were listed")

    def __len__(self) -> int:
        raise AssertionError("the rows were counted")


@pytest.fixture
def ask(tmp_path: Path) -> Any:
    """Rehearse on rows that fail the test when anything is evaluated."""
    views = tmp_path / "views"
    views.mkdir()
    (views / "p.toml").write_text(VIEW, encoding="utf-8")
    sites = {f"s{i}": Untouchable() for i in range(4)}
    return lambda request: rehearse(request, sites, views=views)


def cohort(operator: object = "==", value: object = "f", field: object = "sex") -> dict[str, Any]:
    return {**TABLE, "cohort": {"field": field, "operator": operator, "value": value}}


def nested(key: str, depth: int) -> dict[str, Any]:
    found: Any = {"field": "sex", "operator": "==", "value": "f"}
    for _ in range(depth):
        found = {key: found if key == "not" else [found]}
    return {**TABLE, "cohort": found}


def asking(analysis: str, **parameters: object) -> dict[str, Any]:
    return {"analysis": analysis, "view": "p", "parameters": parameters}


SQL = "f' or 1=1; drop table x; --"
CASES = {
    "view": ({**TABLE, "view": "q"}, "unknown view q; there is p"),
    "view of another type": ({**TABLE, "view": ["p"]}, r"unknown view \['p'\]; there is p"),
    "analysis": ({**TABLE, "analysis": "crostab"}, "analysis crostab; did you mean crosstab"),
    "variable": (asking("crosstab", variables=["sx"]), "unknown variable sx; did you mean sex"),
    "parameter": (asking("crosstab", wariables=["sex"]), "wariables; did you mean variables"),
    "key": ({**TABLE, "selekt": 1}, "unknown key selekt; there is version, analysis"),
    "operator": (cohort("like"), "sex has no operator like; it has ==, !=, in, is_missing"),
    "operator of another type": (cohort(["=="]), "sex has no operator .*; it has =="),
    "level": (cohort(value="x"), "sex has no level x; there is f, m"),
    "level of another type": (cohort(value={"a": 1}), "sex has no level .*; there is f, m"),
    "SQL as a level": (cohort(value=SQL), "sex has no level .*; there is f, m"),
    "SQL as a field": (cohort(field='sex" or 1=1 --'), "unknown variable .*; there is sex, died"),
    "number that is none": (cohort("<", float("nan"), "age"), "age is compared with a number"),
    "number without end": (cohort("<", 10**400, "age"), "age is compared with a number"),
    "a thousand nots": (nested("not", 1000), "cohort: conditions are nested deeper than 6"),
    "a thousand ands": (nested("and", 1000), "cohort: conditions are nested deeper than 6"),
    "a million values": (cohort("in", ["x"] * 1_000_000), "sex: in takes 1 to 100 values"),
    "a hundred megabytes": (cohort(value="x" * 100_000_000), "sex has no level xxx"),
    "parameters as a list": ({**TABLE, "parameters": [1]}, "parameters must be a table"),
    "a list": ([1, 2], "a request must be a table with version, analysis"),
    "quantile as a list": (
        asking("describe", variables=["age"], quantiles=[[0.5]]),
        "quantiles: must be a list of at most",
    ),
    "outcome": (asking("kaplan_meier", outcome="x"), "unknown outcome x; there is none"),
    "grid": (
        asking("kaplan_meier", time="age", event="died", grid={"step": [1]}),
        "grid: must be one of years, early",
    ),
    "reference": (
        asking("cox", time="age", event="died", covariates=["sex"], reference=["x"]),
        "reference: must be a table",
    ),
}


@pytest.mark.parametrize(("request_", "expected"), CASES.values(), ids=CASES)
def test_what_is_wrong_is_named_and_nothing_evaluated(
    ask: Any, request_: Any, expected: str
) -> None:
    began = time.process_time()
    with pytest.raises(RequestError, match=expected) as caught:
        ask(request_)
    assert len(str(caught.value)) < 2000
    assert time.process_time() - began < 10


def deep(levels: int) -> object:
    found: object = 1
    for _ in range(levels):
        found = [found]
    return found


def test_a_parameter_nested_too_deep_is_named(ask: Any) -> None:
    with pytest.raises(RequestError, match="parameters: is nested deeper than 20"):
        ask(asking("crosstab", variables=deep(900)))


FILES = {
    "deep.json": ('{"cohort":' + '{"not":' * 100_000 + "{}" + "}" * 100_001, "nested far too deep"),
    "deep.toml": ("a = " + "[" * 5000 + "]" * 5000, "nested far too deep"),
    "long.json": (f'{{"analysis": "{"x" * MOST_BYTES}"}}', "has at most 1000000 bytes"),
    "twice.json": ('{"view": "p", "view": "q"}', "a key comes twice"),
    "nan.json": ('{"minimum_sites": NaN}', "NaN is no number"),
    "digits.json": ('{"minimum_sites": ' + "9" * 10_000 + "}", "is not valid JSON"),
    "list.json": ("[1]", "must be a table with version, analysis"),
    "half.toml": ("analysis =", "is not valid TOML"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_request_is_named(ask: Any, tmp_path: Path, name: str) -> None:
    text, expected = FILES[name]
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(RequestError, match=expected) as caught:
        ask(tmp_path / name)
    assert name in str(caught.value)


def frame(**fields: object) -> bytes:
    """A message's bytes with other contents of its header."""
    header = {"type": "Continue", "fields": {}, "arrays": [], **fields}
    text = json.dumps(header).encode()
    return b"MRM1" + len(text).to_bytes(4, "little") + text


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "not a message of this version"),
        (b"MRM2" + b"\0" * 20, "not a message of this version"),
        (b"MRM1\xff\xff\xff\xff{}", "unknown header"),
        (frame(type="Rows"), "type: unknown; there are Hello, Preflight, Open"),
        (frame(), "Continue: its fields are session, round, broadcast"),
        (
            frame(fields={"session": 1, "round": "1", "broadcast": {}}),
            "Continue: session, round: of another type",
        ),
        (frame(arrays=[["f8", [10**12]]]), "malformed message"),
        (encode(Settle("s", 1, ("a",))) + b"\0", "trailing bytes"),
        (encode(Continue("s", 1, {"a": np.zeros(3)}))[:-1], "malformed message"),
        (frame(fields={"session": {"$bytes": 7}}), "malformed message"),
    ],
)
def test_a_malformed_frame_is_a_typed_error(data: bytes, expected: str) -> None:
    with pytest.raises(MessageError, match=expected):
        decode(data)
