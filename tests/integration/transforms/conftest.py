"""A small centre with CSV files of its own making: three patients, and what a test changes."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from transforms.site import Site, create_site, load_site


SOURCES = """\
source,system,file,format,sheet,header_row,encoding,delimiter,decimal,date_order,missing,id_column,comment
patients,excel,patients*.csv,delimited,,1,utf-8,;,",",DMY,NR;-,IPP,
fractures,excel,fractures*.csv,delimited,,1,utf-8,;,",",DMY,NR;-,IPP,
labs,excel,labs*.csv,delimited,,1,utf-8,;,",",DMY,NR;-,IPP,
"""
FIELDS = """\
table,field,source,column,rule,arg,unit,status,comment
person,birth_date,patients,Naissance,date,,,approved,
person,sex_at_birth,patients,Sexe,recode,,,approved,
person,first_contact_date,patients,Contact,date,,,approved,
person,consent_reuse,patients,Accord,recode,,,approved,
person,history_complete_from_birth,patients,,const,true,,approved,
diagnosis,dx_subtype,patients,Diagnostic,copy,,,approved,
diagnosis,dx_status,patients,,const,confirmed_genetic,,approved,
diagnosis,dx_date,patients,Date diag,date,,,approved,
diagnosis,onset_age_y,patients,Début (mois),number,,mo,approved,
variant,gene_symbol,patients,Gène,copy,,,approved,
variant,hgvs_c,patients,Variant,copy,,,approved,
variant,zygosity,patients,Zygotie,recode,,,approved,
complication,status[HP:0000572],patients,Baisse AV,recode,,,approved,
complication,status[HP:0000365],patients,Surdité,recode,,,approved,
death_followup,vital_status,patients,Statut,recode,,,approved,
death_followup,last_contact_date,patients,Dernières nouvelles,date,,,approved,
death_followup,death_date,patients,Décès,date,,,approved,
fracture,fracture_date,fractures,Date,date,,,approved,
fracture,bone_site,fractures,Os,recode,,,approved,
lab_measurement,sample_date,labs,Date,date,,,approved,
lab_measurement,value[hemoglobin],labs,Hb,number,,g/dL,approved,
lab_measurement,value[calcium],labs,Calcémie,number,,mg/L,approved,
lab_measurement,value[platelets],labs,Plaquettes,number,unit_column=Unité plq,G/L,approved,
"""
VALUES = """\
table,field,source,source_value,target_code,status,comment
person,sex_at_birth,,H,male,approved,
person,sex_at_birth,,F,female,approved,
person,sex_at_birth,,*,reject,approved,
person,consent_reuse,,oui,yes,approved,
person,consent_reuse,,non,no,approved,
person,consent_reuse,,*,reject,approved,
variant,zygosity,,het,heterozygous,approved,
variant,zygosity,,hom,homozygous,approved,
complication,status,,oui,present,approved,
complication,status,,non,excluded,approved,
death_followup,vital_status,,vivant,alive,approved,
death_followup,vital_status,,décédé,dead,approved,
fracture,bone_site,,fémur,femur_shaft,approved,
fracture,bone_site,,tibia,tibia,approved,
fracture,bone_site,,*,reject,approved,
"""
IGNORE = "source,column,reason,comment\npatients,Nom,identifier,\n"

PATIENT_COLUMNS = (
    "IPP;Nom;Naissance;Sexe;Contact;Accord;Diagnostic;Date diag;Début (mois);Gène;Variant;Zygotie;"
    "Baisse AV;Surdité;Statut;Dernières nouvelles;Décès"
)
PATIENTS = f"""\
{PATIENT_COLUMNS}
1001;MARTIN;14/03/1985;F;02/05/1999;oui;ADO2;02/05/1999;96;CLCN7;c.643G>A;het;non;NR;vivant;30/06/2026;
1002;DUPONT;01/02/2019;H;10/06/2019;oui;ARO_TCIRG1;10/06/2019;2,5;TCIRG1;c.1213G>A;hom;oui;non;vivant;15/05/2026;
1003;SECRET;07/07/1990;H;01/01/2001;non;ADO2;01/01/2001;120;CLCN7;c.643G>A;het;non;non;vivant;30/06/2026;
"""
FRACTURES = """\
IPP;Date;Os
1001;14/03/1995;fémur
1001;20/11/2003;tibia
1003;01/01/2003;tibia
"""
LABS = """\
IPP;Date;Hb;Calcémie;Plaquettes;Unité plq
1001;03/04/2020;12,5;96,2;250;
1002;11/06/2019;9,1;88;98 000;/µL
1003;03/04/2020;13,1;95;240;
"""


@pytest.fixture
def centre(tmp_path: Path) -> Callable[..., Site]:
    """Return a function that makes (or changes) a centre; texts replace whole files."""

    def make(name: str = "lyon", **texts: str) -> Site:
        folder = tmp_path / name
        if not (folder / "site.toml").exists():
            create_site(folder, site_id=name, name="Lyon", country="FR", language="fr")
        write(folder / "mapping", MAPPING, texts)
        write(folder / "inbox", INBOX, texts)
        return load_site(folder)

    return make


MAPPING = {"sources": SOURCES, "fields": FIELDS, "values": VALUES, "ignore": IGNORE}
INBOX = {"patients": PATIENTS, "fractures": FRACTURES, "labs": LABS}


def write(folder: Path, files: Mapping[str, str], changes: Mapping[str, str]) -> None:
    """Write CSV files, each as given in `changes` or else in `files`."""
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(changes.get(name, text), encoding="utf-8")


EMPTY = {
    "fields": "table,field,source,column,rule,arg,unit,status,comment\n",
    "values": "table,field,source,source_value,target_code,status\n",
    "ignore": "source,column,reason\n",
}
READY = (
    "source,ready,file,system,format,sheet,header_row,encoding,delimiter,decimal,date_order,"
    "missing,id_column\n{name},{name},{file},,,,,,,,,,\n"
)


@pytest.fixture
def ready_centre(tmp_path: Path) -> Callable[..., Site]:
    """Return a function that makes a centre with copies of `files` and a ready mapping alone.

    `rows` are the centre's own rows of the sheet fields, as lines of CSV.
    """

    def make(name: str, files: Iterable[Path], *rows: str, file: str = "*", **texts: str) -> Site:
        folder = tmp_path / name.replace("_", "-")
        site = create_site(folder, site_id=folder.name, name="Lyon", country="FR", language="fr")
        for path in files:
            shutil.copyfile(path, site.inbox / path.name)
        own = "".join(f"{row}\n" for row in rows)
        sheets = {**EMPTY, "sources": READY.format(name=name, file=file), **texts}
        write(site.mapping, {**sheets, "fields": EMPTY["fields"] + own}, texts)
        return site

    return make
