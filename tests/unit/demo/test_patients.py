"""The invented patients: the same seed the same people, published figures, possible lives."""

import numpy as np
import pytest

from infra.demo.columns import Array, Patients, years
from infra.demo.parameters import figures
from infra.demo.patients import AS_OF, GROUP_OF, generate


MANY = 20_000


@pytest.fixture(scope="module")
def many() -> Patients:
    return generate(MANY, seed=7)


def share(flags: Array) -> float:
    return float(np.mean(flags))


def present(patients: Patients, hpo: str) -> Array:
    """Tell which patients have a feature."""
    rows = patients["complication"]
    having = rows["person"][(rows["hpo"] == hpo) & (rows["status"] == "present")]
    return np.isin(np.arange(len(patients.person)), having)


def assessed(patients: Patients, hpo: str) -> Array:
    """Tell of which patients it is known whether they have a feature."""
    rows = patients["complication"]
    known = rows["person"][(rows["hpo"] == hpo) & (rows["status"] != "unknown")]
    return np.isin(np.arange(len(patients.person)), known)


def same(a: Patients, b: Patients) -> bool:
    tables = [(a.person, b.person), *((a[name], b[name]) for name in a.tables)]
    return all(
        x.values.keys() == y.values.keys()
        and all(
            np.array_equal(x[name], y[name], equal_nan=x[name].dtype.kind in "fM")
            for name in x.values
        )
        for x, y in tables
    )


def test_the_same_seed_gives_the_same_patients() -> None:
    assert same(generate(200, seed=3, site=1), generate(200, seed=3, site=1))


@pytest.mark.parametrize("other", [{"seed": 4, "site": 1}, {"seed": 3, "site": 2}])
def test_another_seed_or_site_gives_other_patients(other: dict[str, int]) -> None:
    assert not same(generate(200, seed=3, site=1), generate(200, **other))


@pytest.mark.parametrize("size", [1, 2, 7])
def test_even_the_smallest_centre_can_be_made(size: int) -> None:
    patients = generate(size, seed=1)
    assert len(patients.person) == size == len(patients["diagnosis"])


def test_subtypes_come_in_their_shares(many: Patients) -> None:
    subtype = many.person["subtype"]
    mix = figures("mix", "shares")
    for name in ("ADO2", "CARRIER_UNAFFECTED", "PYCNO", "ADO1", "CA2D"):
        assert share(subtype == name) == pytest.approx(mix[name], abs=1 / MANY)
    recessive = np.array([GROUP_OF[name] == "recessive" for name in subtype])
    assert share(recessive) == pytest.approx(mix["RECESSIVE"], abs=2 / MANY)
    for name, expected in figures("recessive_genes", "shares").items():
        assert share(subtype[recessive] == name) == pytest.approx(expected, abs=0.002)


def test_four_of_five_ado2_patients_fractured_by_40_and_a_fifth_ten_times(many: Patients) -> None:
    person, broken = many.person, many["fracture"]
    age = years(person["birth"][broken["person"]], broken["date"])
    number = np.bincount(broken["person"][age < 40], minlength=MANY)
    seen = (person["subtype"] == "ADO2") & person["history_complete"]
    seen &= years(person["birth"], person["last_contact"]) >= 40
    assert share(number[seen] > 0) == pytest.approx(0.80, abs=0.03)
    assert share(number[seen] >= 10) == pytest.approx(0.20, abs=0.04)


def test_fractures_of_ado2_are_mostly_of_the_femur(many: Patients) -> None:
    rows = many["fracture"]
    mine = many.person["subtype"][rows["person"]] == "ADO2"
    femur = np.array([bone.startswith("femur") for bone in rows["bone"][mine]])
    assert share(femur) == pytest.approx(0.45, abs=0.02)
    followed = rows["healing"][mine] != "ongoing"
    assert share(rows["healing"][mine][followed] == "nonunion") == pytest.approx(0.19, abs=0.03)


def test_high_bone_mass_breaks_no_bone(many: Patients) -> None:
    assert not np.any(many.person["subtype"][many["fracture"]["person"]] == "ADO1")


@pytest.mark.parametrize(("severity", "expected"), [(0.0, 0.06), (1.0, 0.19), (2.0, 0.50)])
def test_visual_loss_depends_on_who_is_referred(severity: float, expected: float) -> None:
    patients = generate(8000, seed=5, severity=severity)
    person = patients.person
    adult = (person["subtype"] == "ADO2") & (years(person["birth"], person["last_contact"]) > 12)
    adult &= assessed(patients, "HP:0000572")
    assert share(present(patients, "HP:0000572")[adult]) == pytest.approx(expected, abs=0.03)


def test_hypocalcemia_of_infants_and_acidosis_of_ca2_deficiency(many: Patients) -> None:
    infants = (many.person["group"] == "recessive") & assessed(many, "HP:0002901")
    assert share(present(many, "HP:0002901")[infants]) == pytest.approx(0.77, abs=0.05)
    ca2 = many.person["subtype"] == "CA2D"
    assert share(present(many, "HP:0001947")[ca2]) == 1.0
    assert not present(many, "HP:0001947")[~ca2].any()


def test_ten_years_of_untreated_infantile_disease_are_not_survived(many: Patients) -> None:
    person = many.person
    untreated = (person["group"] == "recessive") & np.isnan(person["hsct_age"])
    assert years(person["birth"], person["last_contact"])[untreated].max() < 10
    by_six = untreated & (years(person["birth"], np.full(MANY, AS_OF)) > 6)
    alive = ~(person["death_age"] < 6)
    assert share(alive[by_six]) == pytest.approx(0.30, abs=0.06)


def test_transplants_are_early_and_by_published_donors(many: Patients) -> None:
    rows = many["hsct"]
    age = years(many.person["birth"][rows["person"]], rows["date"])
    assert age.max() < 5
    assert np.median(age) == pytest.approx(0.85, abs=0.15)
    assert share(rows["donor"] == "MSD") == pytest.approx(0.292, abs=0.03)
    barred = figures("hsct", "not_indicated")
    assert not np.isin(many.person["subtype"][rows["person"]], barred).any()


def test_lives_are_possible(many: Patients) -> None:
    person = many.person
    assert (person["birth"] < person["diagnosed"]).all()
    assert (person["diagnosed"] <= person["first_contact"]).all()
    assert (person["first_contact"] <= person["last_contact"]).all()
    assert (person["last_contact"] <= AS_OF).all()
    for name, column in (("fracture", "date"), ("lab", "date"), ("bmd", "date"), ("hsct", "date")):
        who, date = many[name]["person"], many[name][column]
        assert (date >= person["birth"][who]).all()
        assert (date <= person["last_contact"][who]).all()


def test_no_two_patients_look_like_one(many: Patients) -> None:
    patients = generate(3000, seed=2).person
    keys = zip(patients["birth"], patients["sex"], patients["subtype"], strict=True)
    assert len(set(keys)) == 3000


def test_every_published_figure_names_its_source() -> None:
    def blocks(node: dict[str, object], path: str) -> list[str]:
        inner = {key: value for key, value in node.items() if isinstance(value, dict)}
        lacking = [] if "source" in node or not path else [path]
        named = [name for key, value in inner.items() for name in blocks(value, f"{path}.{key}")]
        # A block of plain shares inside a block with a source needs none of its own.
        return [] if "source" in node and path else lacking if not inner else named

    assert blocks(figures(), "") == []
