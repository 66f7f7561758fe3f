"""The report page: self-contained, accessible, and nothing in it is taken for markup."""

import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

from expectations import report


NASTY = "<script>alert('x')</script> & \"quotes\""
VOID = {"meta", "rect", "br", "wbr"}


def document(**changes: Any) -> dict[str, Any]:
    """Return a small stored validation: one table, one failure, one reject, one flag."""
    finding = {
        "id": "P60", "table": "imaging_bmd", "fields": ["z_score"], "type": "expect_x",
        "category": "plausibility", "context": "verification", "severity": "warning",
        "statement": "`z_score` is high.", "reason": "of the disease", "source": NASTY,
        "remedy": "Check the sign.", "threshold": 0.9, "rationale": "one in ten", "checked": 40,
        "unexpected": 10, "passed": False, "failed_to_run": False,
    }  # fmt: skip
    fired = {
        "rule": "unknown_code", "severity": "hard", "table": "person", "field": "sex_at_birth",
        "rows": 3, "remedy": "Add it.", "source": "patients", "statement": "Each has a code.",
    }  # fmt: skip
    content: dict[str, Any] = {
        "site": {"id": "lyon", "name": NASTY, "country": "FR"},
        "run_id": "run-000000000001",
        "dictionary_version": "1",
        "verdict": "needs_review",
        "criteria": [
            {"name": "rejected_share", "statement": "s", "value": 0.2, "threshold": 0.1,
             "comparison": "at most", "held": False},
            {"name": "emptied_tables", "statement": "s", "value": 1, "threshold": 0,
             "comparison": "at most", "held": False},
        ],
        "categories": {
            name: {"passed": 3, "failed": 1, "nothing_to_check": 2, "failed_critical": 0}
            for name in ("conformance", "completeness", "plausibility")
        },
        "tables": [
            {"table": "person", "title": "Person", "rows": 20, "rejected": 3, "skipped": 1},
            {"table": "hsct", "title": "Transplant", "rows": 0, "rejected": 0, "skipped": 0},
        ],
        "expectations": [finding, {**finding, "id": "P61", "passed": True}],
        "fields": [
            {"table": "person", "field": "birth_date", "obligation": "mandatory", "rows": 20,
             "filled": 19, "mapped": "mapped"},
            {"table": "person", "field": "family_id", "obligation": "recommended", "rows": 20,
             "filled": 0, "mapped": "not collected"},
            {"table": "hsct", "field": "hsct_date", "obligation": "mandatory", "rows": 0,
             "filled": 0, "mapped": "not mapped"},
        ],
        "rejects": [fired],
        "flags": [{**fired, "rule": "R10", "severity": "soft", "rows": 5, "source": ""}],
        "units": [
            {"analyte": "calcium", "unit": "mg/dL", "canonical": "mmol/L", "status": "converted",
             "rows": 7},
        ],
        "sources": [{"source": "patients", "rows": 23, "files": 1}],
        "not_held": [{"kind": "files: uri", "rows": 4}],
        "refused_files": [{"source": "labs", "message": "a file: the file is empty"}],
        "excluded_for_consent": 2,
    }  # fmt: skip
    return {**content, **changes}


class Page(HTMLParser):
    """Collects what the tests ask of a page, and checks that tags are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.drawn_outside_a_table = 0
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.drawn_outside_a_table += tag == "svg" and "table" not in self.open
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_verdict_comes_first_and_says_what_to_do() -> None:
    text = " ".join("".join(Page(report.render(document())).text).split())
    assert text.index("Waits for a reviewer") < text.index("Acceptance criterion")
    assert "marmor quality accept lyon run-000000000001" in text
    passed = report.render(document(verdict="passed"))
    assert "marmor quality accept" not in passed


def test_the_page_needs_nothing_else() -> None:
    page = Page(report.render(document()))
    names = {name for name, _ in page.tags}
    assert names.isdisjoint({"script", "link", "img", "iframe", "object", "base", "form"})
    for _, attributes in page.tags:
        assert not {"src", "srcset", "data", "action", "style"} & attributes.keys()
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in report.render(document())
    assert "@import" not in report.render(document())


def test_every_link_of_the_page_has_its_target() -> None:
    page = Page(report.render(document()))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {str(attributes["href"])[1:] for tag, attributes in page.tags if tag == "a"}
    assert links <= set(ids)


def test_texts_are_never_taken_for_markup() -> None:
    html = report.render(document())
    assert NASTY not in html
    assert "&lt;script&gt;" in html


def test_the_page_can_be_read_aloud_and_by_keyboard() -> None:
    page = Page(report.render(document()))
    assert ("html", {"lang": "en"}) in page.tags
    assert [tag for tag, _ in page.tags].count("h1") == 1
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.drawn_outside_a_table == 0, "each bar stands in the table of its figures"
    for tag, attributes in page.tags:
        if tag == "svg":
            assert attributes["aria-hidden"] == "true"
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
        if attributes.get("class") == "scroll":
            assert attributes["tabindex"] == "0"
            assert attributes["aria-label"]


@pytest.mark.parametrize(
    ("foreground", "background", "least"),
    [
        ("ink", "paper", 7), ("soft", "paper", 4.5), ("soft", "sheet", 4.5),
        ("bad", "bad-bg", 4.5), ("warn", "warn-bg", 4.5), ("note", "note-bg", 4.5),
        ("good", "sheet", 3), ("good", "track", 3), ("bad", "track", 3), ("note", "track", 3),
    ],
)  # fmt: skip
def test_colors_have_contrast(foreground: str, background: str, least: float) -> None:
    """WCAG 2.1: 4.5 for text, 3 for what is drawn."""
    colors = dict(re.findall(r"--([\w-]+):(#[0-9a-f]{3,6})", report.render(document())))
    assert contrast(colors[foreground], colors[background]) >= least


def contrast(first: str, second: str) -> float:
    """Return the WCAG contrast ratio of two colors."""
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color: str) -> float:
    """Return the relative luminance of `#rgb` or `#rrggbb` (WCAG 2.1)."""
    digits = color[1:] if len(color) == 7 else "".join(one * 2 for one in color[1:])
    parts = [int(digits[index : index + 2], 16) / 255 for index in (0, 2, 4)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return sum(weight * one for weight, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0%"), (1, "100%"), (0.5, "50%"), (0.125, "12.5%"), (0.00001, "< 0.1%"),
     (0.99999, "> 99.9%")],
)  # fmt: skip
def test_only_none_is_none_and_only_all_is_all(share: float, text: str) -> None:
    assert report._percent(share) == text


def test_a_run_without_anything_has_a_page_too() -> None:
    empty = document(rejects=[], flags=[], units=[], sources=[], not_held=[], expectations=[],
                     excluded_for_consent=0, refused_files=[])  # fmt: skip
    text = "".join(Page(report.render(empty)).text)
    for said in (
        "No expectation failed.", "No rule fired.", "No row was rejected.",
        "Every file of the inbox that a source names could be read.",
    ):  # fmt: skip
        assert said in text


def test_what_a_centre_does_not_record_takes_one_line_each() -> None:
    empty = {
        **document()["expectations"][0], "id": "person.family_id.filled", "table": "person",
        "fields": ["family_id"], "category": "completeness", "severity": "info", "checked": 20,
        "unexpected": 20,
    }  # fmt: skip
    page = report.render(document(expectations=[empty]))
    assert "1 further recommended field is filled by no source of this centre" in page
    assert "Recommended fields that are mostly empty" not in page
    assert "No row: Hematopoietic stem cell transplant." in page
    assert "No source fills this table: Hematopoietic stem cell transplant." in page


def test_commands_name_the_folder_of_the_site_and_not_its_id() -> None:
    text = report.render(document(), "lyon-bones")
    assert "marmor quality accept lyon-bones run-000000000001" in text
    assert "marmor quality report lyon-bones run-000000000001" in text


def test_a_unit_that_was_overruled_is_not_told_as_a_conversion() -> None:
    row = {"analyte": "calcium", "unit": "mmol/L", "canonical": "mmol/L", "rows": 3}
    text = report.render(document(units=[{**row, "status": "overruled"}]))
    assert "impossible in that unit" in text
