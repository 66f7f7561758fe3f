"""The five ways in which the demo's centres export the same kind of truth."""

from collections.abc import Mapping

from infra.demo.centre import Centre, all_records, first_scans
from infra.demo.centres import (
    leiden,
    leiden_mapping,
    lyon,
    lyon_mapping,
    odense,
    odense_mapping,
    torino,
    torino_mapping,
    ulm,
    ulm_mapping,
)


__all__ = ["CENTRES"]

LYON = Centre(
    id="lyon",
    name="Centre fictif de Lyon",
    country="FR",
    language="fr",
    prefix="LYO",
    severity=1.0,
    workbook=True,
    records=first_scans,
    export=lyon.export,
    mapping=lyon_mapping.mapping,
)
ULM = Centre(
    id="ulm",
    name="Fiktives Zentrum Ulm",
    country="DE",
    language="de",
    prefix="ULM-",
    severity=1.4,
    workbook=True,
    records=all_records,
    export=ulm.export,
    mapping=ulm_mapping.mapping,
)
LEIDEN = Centre(
    id="leiden",
    name="Fictief centrum Leiden",
    country="NL",
    language="nl",
    prefix="L",
    severity=0.8,
    workbook=False,
    records=all_records,
    export=leiden.export,
    mapping=leiden_mapping.mapping,
)
TORINO = Centre(
    id="torino",
    name="Centro fittizio di Torino",
    country="IT",
    language="it",
    prefix="7",
    severity=1.2,
    workbook=False,
    records=all_records,
    export=torino.export,
    mapping=torino_mapping.mapping,
)
ODENSE = Centre(
    id="odense",
    name="Fiktivt center Odense",
    country="DK",
    language="da",
    prefix="OUH",
    severity=0.5,
    workbook=False,
    records=all_records,
    export=odense.export,
    mapping=odense_mapping.mapping,
)
CENTRES: Mapping[str, Centre] = {
    centre.id: centre for centre in (LYON, ULM, LEIDEN, TORINO, ODENSE)
}
