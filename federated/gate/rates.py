"""What is told of rates: patients and events on the grid, and a rate made of shown numbers."""

import numpy as np

from federated.analysis import Rates, Screen
from federated.gate.cells import Json, Withheld, count, describe, digits, told, write
from federated.guards import passing
from federated.policy import Policy


__all__ = ["rates_data"]


def rates_data(rates: Rates, policy: Policy) -> Json:
    """Return the JSON values of rates: events, patients, time, rate and limits per cell."""
    asked = ~np.isnan(rates.person_years)
    passed = passing(Screen(rates.contributors, rates.patients), policy) & asked
    cells = [_rate(rates, index, bool(passed[index]), policy) for index in np.ndindex(passed.shape)]
    everybody = int(told(rates.patients, policy).max(initial=0))
    return {
        "shape": "rates",
        "variables": [describe(variable) for variable in rates.variables],
        "per": rates.per,
        "confidence": rates.confidence,
        "cells": cells,
        "missing": write(count(rates.missing, everybody, policy)),
    }


def _rate(rates: Rates, index: tuple[int, ...], passed: bool, policy: Policy) -> Json:
    """One cell: its levels, patients, and either its rate or why that is withheld."""
    patients = int(rates.patients[index])
    among = int(told(patients, policy))
    cell = {
        "levels": [item.levels[i] for item, i in zip(rates.variables, index, strict=True)],
        "patients": write(count(patients, among, policy)),
    }
    events = count(int(rates.events[index]), among, policy)
    if passed and not isinstance(events, Withheld):
        years = digits(float(rates.person_years[index]), policy)
        return {**cell, **_numbers(rates, events, years, policy)}
    rule = "small_denominator" if among < policy.min_denominator else "small_cell"
    names = ("events", "person_years", "rate", "lower", "upper")
    return {**cell, **dict.fromkeys(names, Withheld(rule).to_json())}


def _numbers(rates: Rates, events: int, years: float, policy: Policy) -> Json:
    """Rate and limits from shown numbers; None where there was no time at risk."""
    if years <= 0:
        return {"events": events, "person_years": years, "rate": None, "lower": None, "upper": None}
    lower, upper = rates.interval(np.asarray([events]), np.asarray([years]))
    return {
        "events": events,
        "person_years": years,
        "rate": digits(rates.per * events / years, policy),
        "lower": digits(rates.per * float(lower[0]), policy),
        "upper": digits(rates.per * float(upper[0]), policy),
    }
