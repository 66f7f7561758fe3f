"""`marmor query analyses`: what can be asked, without a consortium."""

import json

from typer.testing import CliRunner

from infra.commands.query import app


def test_every_analysis_is_listed_with_its_parameters() -> None:
    listed = json.loads(CliRunner().invoke(app, ["analyses", "--json"]).stdout)
    assert {"cox", "crosstab", "describe", "glm", "kaplan_meier", "rate"} <= set(listed)
    assert all(item["title"] and item["parameters"] for item in listed.values())


def test_one_analysis_says_what_each_parameter_means() -> None:
    shown = CliRunner().invoke(app, ["analyses", "cox"]).stdout
    assert "reads person" in shown
    assert "covariates" in shown
    assert "what may change the hazard" in shown.replace("\n", " ")


def test_a_misspelt_analysis_is_named_with_its_neighbour() -> None:
    done = CliRunner().invoke(app, ["analyses", "coxx"])
    assert "did you mean cox" in str(done.exception)
