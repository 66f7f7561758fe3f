"""What each rule of harmonisation says, in plain words, for people who read a report."""

from __future__ import annotations

from collections.abc import Mapping

from transforms.rules import RULES


__all__ = ["LOST_CELL", "STATEMENTS"]

_OF_FIELDS = {
    "unknown_code": "Each value has a code of its list.",
    "not_a_number": "What should be a number can be read as one.",
    "unknown_unit": "The unit is one that the dictionary knows for this analyte.",
    "not_a_date": "What should be a date can be read as one.",
    "missing_mandatory": "A mandatory field is filled.",
    "unreadable_value": "What is entered in a field that is not mandatory can be read.",
    "pattern": "A text has the form that it must have.",
    "range": "A value lies within what is possible.",
    "soft_range": "A value lies within what is usual.",
    "R80": "A laboratory value fits its unit better than another unit of the analyte.",
    "needs_review": "A genotype in free text can be read without guessing.",
    "undated_event": "An event has a date, and is not known from a count alone.",
    "required_if": "A field that the mapping asks for in such a row is filled.",
    "unmapped_value": "Each value of the source has a row in the mapping's sheet values.",
    "partial_date": "A date is known to the day.",
    "closed_form": "A form with an empty box was filled in and saved.",
}

STATEMENTS: Mapping[str, str] = {**_OF_FIELDS, **{rule.id: rule.statement for rule in RULES}}
"""Rule id → what is true of a row that does not break it."""

LOST_CELL = (
    "missing_mandatory",
    "unknown_code",
    "not_a_number",
    "unknown_unit",
    "not_a_date",
    "pattern",
)
"""Rules that reject a row because a mandatory field of it holds nothing that can be used."""
