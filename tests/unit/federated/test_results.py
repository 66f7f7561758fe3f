"""Results and their store."""

from pathlib import Path

import pytest

from federated.results import Result, ResultStore


RESULT = Result("crosstab", {"view": "person"}, {"é": [1, {"withheld": "x"}]}, {"releases": {}})


def test_bytes_do_not_depend_on_the_order_of_keys() -> None:
    one = Result("a", {"x": 1, "y": 2}, {}, {})
    two = Result("a", {"y": 2, "x": 1}, {}, {})
    assert one.to_json() == two.to_json()
    assert one.digest == two.digest


def test_a_result_survives_the_way() -> None:
    assert Result.from_json(RESULT.to_json()) == RESULT
    assert "é" in RESULT.to_json().decode()


def test_a_number_that_is_none_is_not_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        Result("a", {}, {"x": float("nan")}, {}).to_json()


def test_the_store_keeps_and_lists_results(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    key = ResultStore.key("q", {"lyon": "rel-1"}, "roster", "policy")
    assert store.get(key) is None
    store.put(key, RESULT)
    assert store.get(key) == RESULT
    assert dict(ResultStore(tmp_path / "results").all()) == {key: RESULT}


@pytest.mark.parametrize(
    "parts",
    [
        ("other", {"lyon": "rel-1"}, "roster", "policy"),
        ("q", {"lyon": "rel-2"}, "roster", "policy"),
        ("q", {"lyon": "rel-1", "ulm": "rel-1"}, "roster", "policy"),
        ("q", {"lyon": "rel-1"}, "other", "policy"),
        ("q", {"lyon": "rel-1"}, "roster", "other"),
    ],
)
def test_whatever_determines_an_answer_is_in_its_key(
    parts: tuple[str, dict[str, str], str, str],
) -> None:
    assert ResultStore.key(*parts) != ResultStore.key("q", {"lyon": "rel-1"}, "roster", "policy")
