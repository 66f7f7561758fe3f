"""What may be asked: analyses with their parameters, views with their variables and levels."""

from collections.abc import Mapping
from typing import Any

from federated.analyses import ANALYSES
from federated.views import DICTIONARY_VIEWS
from transforms.dictionary import DICTIONARY
from transforms.dictionary.model import Field


__all__ = ["catalogue"]


def catalogue() -> Mapping[str, Any]:
    """Return the catalogue as plain JSON values; nothing in it depends on any site's data."""
    return {
        "dictionary": DICTIONARY.version,
        "analyses": {
            name: {
                "title": analysis.title,
                "views": [
                    view.name for view in DICTIONARY_VIEWS.values() if view.unit in analysis.units
                ],
                "parameters": dict(analysis.parameters),
            }
            for name, analysis in ANALYSES.items()
        },
        "views": {
            name: {
                "description": view.description,
                "unit": view.unit,
                "outcomes": {name: dict(columns) for name, columns in view.outcomes.items()},
                "variables": {field.name: _variable(field) for field in view.fields},
            }
            for name, view in DICTIONARY.views.items()
        },
    }


def _variable(field: Field) -> Mapping[str, object]:
    """Return what the public may know of one column."""
    levels = DICTIONARY.codelists[field.codelist].codes if field.codelist else {}
    return {
        "description": field.description,
        "type": field.type,
        "unit": field.unit,
        "levels": {code: item.label for code, item in levels.items()},
    }
