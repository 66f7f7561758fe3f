"""Units that files write as terms of the Unit Ontology, as UCUM writes them.

Source of the labels: RareLink's phenopackets (`unit per milliliter` is UO:0000178) and the Unit
Ontology itself. A term that is not here stays as it is: its unit is then the mapping's to declare.
"""

from collections.abc import Mapping


__all__ = ["UCUM_OF_TERM"]

UCUM_OF_TERM: Mapping[str, str] = {
    "UO:0000033": "d",
    "UO:0000034": "wk",
    "UO:0000035": "mo",
    "UO:0000036": "a",
    "UO:0000175": "g/L",
    "UO:0000178": "U/mL",
    "UO:0000179": "U/L",
    "UO:0000275": "ng/mL",
}
