"""Long work says what it is at: sources while they are read, then every stage of judging."""

from collections.abc import Callable

from infra.local_run import run_site
from transforms.dry_run import dry_run
from transforms.site import Site


def test_a_run_says_what_it_is_at(centre: Callable[..., Site]) -> None:
    site, steps, said = centre(), list[str](), list[str]()
    run_site(site, steps.append, said.append)
    assert steps == ["collect", "harmonize", "validate", "review", "publish", "aggregate", "retain"]
    assert said == [
        "reading patients, 1 of 3 sources", "reading fractures, 2 of 3 sources",
        "reading labs, 3 of 3 sources", "mapping 9 rows", "putting the sources together",
        "checking limits", "applying rules", "writing tables, quarantine and counts",
    ]  # fmt: skip


def test_a_dry_run_says_what_it_is_at(centre: Callable[..., Site]) -> None:
    said = list[str]()
    dry_run(centre(), say=said.append)
    assert said[0] == "reading patients, 1 of 3 sources"
    assert "applying rules" in said
