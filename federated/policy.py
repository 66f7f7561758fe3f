"""The disclosure policy: every number of the rules, in one frozen value with one digest.

Two profiles: `consortium`, the default, and `public`, for what anybody may read. A file names a
profile and may be stricter than it, never laxer than `consortium`, and nobody can switch a rule
off. Where sites differ, `strictest` makes the policy that none of them finds too lax.

**Aligned thresholds.** Counts are shown in bins of the grid. A threshold inside a bin would split
it: with a grid of 6, whether a percentage of "9" is there would tell 7-9 from 10-12, and a centre
that knows its own 6 would know that the others hold 1 to 3. Every threshold on a number of patients
therefore acts from the next start of a bin (`Policy.least`): 10 acts from 13 on. OpenSAFELY moved
its own threshold for the same reason. For the same reason there are two grids and no more: two
answers on bins that do not nest narrow a count.

Sources of the numbers: midpoint-6 rounding and 6 events per step, OpenSAFELY (bennett.ox.ac.uk,
"Rounding for disclosure control"); denominators of 10, UK LLC and ACRO; bins of 10, which meet the
"none below 11" of CMS and PCORnet; complement rule and limits on tables against reconstruction,
Dinur and Nissim 2003; dominance of 50 and 85 %, ACRO and Bundesbank sdcLog; parameters per patient,
DataSHIELD's 0.33 tightened; residual degrees of freedom, ACRO; at least three sites, because the
sum of two hides nothing from either.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from transforms.errors import RefusedError, raise_all


__all__ = [
    "CONSORTIUM",
    "EXACT",
    "LAXEST",
    "PROFILES",
    "PUBLIC",
    "Policy",
    "load_policy",
    "parse_policy",
    "site_policy",
    "strictest",
]

GRIDS = (6, 10)


@dataclass(frozen=True)
class Policy:
    """Thresholds of the disclosure gate; counts of patients unless said otherwise.

    A name that begins with `max_` and `digits` are the stricter the smaller; all else the larger.

    Attributes:
        grid: counts are shown as midpoints of bins this wide; 1 to `grid` is withheld.
        min_denominator: smallest denominator of a rate, mean or percentage, and of a shown zero.
        min_step_events: events per step of a survival curve; steps are merged until reached.
        min_at_risk: a survival curve ends where fewer are at risk.
        min_step_months: narrowest step of a survival curve in its first two years.
        min_late_step_months: narrowest step after them.
        min_quantile_tail: patients on the shorter side of a quantile.
        min_residual_df: patients less parameters of a regression.
        min_events_per_parameter: events per parameter of a regression that has events.
        min_sites: fewest sites in a sum.
        min_late_sites: fewest sites that may join an answer together; fewer than `min_sites` let
            the coordinator work out their own figures.
        max_parameter_percent: parameters of a regression per hundred patients.
        max_top1_percent: largest share that one patient may have in a sum.
        max_top2_percent: largest share that two patients may have in a sum.
        max_dimensions: most variables in a table.
        max_cells: most cells in a table.
        max_answered_cells: most cells that a release answers about one sensitive attribute; a
            quarter of the consortium's patients.
        max_queries_per_day: most different queries that a site answers in a day.
        max_queries_per_analyst: most different queries that one analyst asks in a day.
        digits: significant digits of any other published number.
    """

    grid: int = 6
    min_denominator: int = 10
    min_step_events: int = 6
    min_at_risk: int = 10
    min_step_months: int = 3
    min_late_step_months: int = 12
    min_quantile_tail: int = 10
    min_residual_df: int = 10
    min_events_per_parameter: int = 5
    min_sites: int = 3
    min_late_sites: int = 3
    max_parameter_percent: int = 20
    max_top1_percent: int = 50
    max_top2_percent: int = 85
    max_dimensions: int = 3
    max_cells: int = 200
    max_answered_cells: int = 150
    max_queries_per_day: int = 100
    max_queries_per_analyst: int = 50
    digits: int = 3

    def canonical(self) -> Mapping[str, int]:
        """Return the policy as plain numbers, sorted by name."""
        return dict(sorted(asdict(self).items()))

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        text = json.dumps(self.canonical(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(b"marmor/policy/1\n" + text.encode()).hexdigest()

    def described(self) -> Mapping[str, object]:
        """Return the policy as a result names it: profile, where stricter, digest, numbers."""
        beyond = list(self.stricter_in)
        named = {"profile": self.profile, "stricter_in": beyond, "digest": self.digest}
        return {**named, **self.canonical()}

    @property
    def exact(self) -> bool:
        """Whether counts are shown as they are: in a rehearsal with `gate="off"` only."""
        return self.grid == 1

    @property
    def grids(self) -> tuple[int, ...]:
        """The narrower grids, narrowest first, and the policy's own."""
        return (*(narrower for narrower in GRIDS if narrower < self.grid), self.grid)

    @property
    def withheld_up_to(self) -> int:
        """Largest count that is withheld: the grid's width, or 0 under the exact policy."""
        return 0 if self.exact else self.grid

    @property
    def profile(self) -> str:
        """The strictest named profile that this policy is nowhere laxer than; "exact" for none."""
        return next(
            (name for name, least in PROFILES.items() if not self.laxer_than(least)), "exact"
        )

    @property
    def stricter_in(self) -> tuple[str, ...]:
        """Names of the rules in which the policy goes beyond its profile."""
        usual = PROFILES.get(self.profile, self)
        return usual.laxer_than(self)

    def least(self, patients: int) -> int:
        """Smallest start of a bin at or above `patients`: the threshold that acts.

        It is a start in the narrower grids first, so that a wider grid never lowers a threshold.
        """
        acting = patients
        for grid in self.grids:
            acting = -(-(acting - 1) // grid) * grid + 1
        return acting

    def laxer_than(self, other: "Policy") -> tuple[str, ...]:
        """Name the rules in which this policy allows more than `other`."""
        mine, theirs = self.canonical(), other.canonical()
        return tuple(name for name in mine if _laxer(name, mine[name], theirs[name]))


CONSORTIUM = Policy()

# Base-10 bins: nothing of 1 to 10 is shown, as CMS and PCORnet ask.
PUBLIC = Policy(
    grid=10,
    min_denominator=20,
    min_step_events=10,
    min_at_risk=11,
    min_quantile_tail=20,
    max_dimensions=2,
)

# Strictest first.
PROFILES: Mapping[str, Policy] = {"public": PUBLIC, "consortium": CONSORTIUM}

# What a file may say at most. How many questions a day is a matter of work, how many cells in all
# one of size, and whether a site may join an answer alone its own decision; the rest is fixed.
LAXEST = replace(
    CONSORTIUM,
    min_late_sites=1,
    max_answered_cells=100_000,
    max_queries_per_day=10_000,
    max_queries_per_analyst=10_000,
)

# Publishes every number as it is. Only a rehearsal, which holds the rows anyway, uses it.
EXACT = Policy(
    grid=1,
    min_denominator=0,
    min_step_events=0,
    min_at_risk=1,
    min_step_months=0,
    min_late_step_months=0,
    min_quantile_tail=0,
    min_residual_df=0,
    min_events_per_parameter=0,
    min_sites=1,
    min_late_sites=1,
    max_answered_cells=1_000_000_000,
    max_queries_per_day=1_000_000,
    max_queries_per_analyst=1_000_000,
    max_parameter_percent=100,
    max_top1_percent=100,
    max_top2_percent=100,
    max_cells=1_000_000,
    digits=17,
)


def strictest(*policies: Policy) -> Policy:
    """Return the laxest policy that is nowhere laxer than any of `policies`."""
    rules = [item.name for item in fields(Policy)]
    return Policy(
        **{name: _strictest(name, [getattr(p, name) for p in policies]) for name in rules}
    )


def parse_policy(values: Mapping[str, object], where: str = "policy") -> Policy:
    """Return the policy that `values` describe: a `profile`, and numbers stricter than it.

    Raises RefusedError listing unknown names, values of another type and rules that are relaxed.
    """
    named = values.get("profile", "consortium")
    problems = []
    if named not in PROFILES:
        problems.append(f"{where}: profile must be one of {', '.join(sorted(PROFILES))}")
    numbers = {name: value for name, value in values.items() if name != "profile"}
    known = set(CONSORTIUM.canonical())
    problems += [
        f"{where}: unknown rule {name}; there are profile, {', '.join(sorted(known))}"
        for name in numbers
        if name not in known
    ]
    problems += [
        f"{where}: {name} must be a whole number"
        for name, value in numbers.items()
        if name in known and type(value) is not int
    ]
    raise_all(RefusedError, problems)
    policy = replace(PROFILES[str(named)], **numbers)  # type: ignore[arg-type]
    raise_all(RefusedError, _relaxed(policy, where))
    return policy


def load_policy(path: Path) -> Policy:
    """Read a policy file (TOML, one key per rule); the default profile when there is none."""
    return parse_policy(_read(path), str(path)) if path.exists() else CONSORTIUM


def site_policy(folder: Path) -> Policy:
    """Return the policy that the table `[policy]` of a site's `site.toml` describes.

    Raises RefusedError as `parse_policy` does, and for a `policy.toml` beside it, which would be
    taken for the site's policy and is none.
    """
    if (folder / "policy.toml").exists():
        raise RefusedError(f"{folder}: move the lines of policy.toml to [policy] in site.toml")
    path = folder / "site.toml"
    table = _read(path).get("policy", {}) if path.exists() else {}
    if not isinstance(table, Mapping):
        raise RefusedError(f"{path}: policy must be a table, [policy]")
    return parse_policy(table, f"{path}: [policy]")


def _read(path: Path) -> Mapping[str, object]:
    """Read a TOML file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RefusedError(f"{path}: not a TOML file ({error})") from None


def _relaxed(policy: Policy, where: str) -> list[str]:
    """Say which rules are laxer than any file may make them."""
    if policy.grid not in GRIDS:
        return [f"{where}: grid must be one of {', '.join(map(str, GRIDS))}"]
    limits = LAXEST.canonical()
    return [f"{where}: {n} may not be laxer than {limits[n]}" for n in policy.laxer_than(LAXEST)]


def _ceiling(name: str) -> bool:
    """Whether a smaller number of the rule is the stricter one."""
    return name.startswith("max_") or name == "digits"


def _laxer(name: str, mine: int, theirs: int) -> bool:
    """Whether `mine` allows more than `theirs` under the rule called `name`."""
    return mine > theirs if _ceiling(name) else mine < theirs


def _strictest(name: str, numbers: list[int]) -> int:
    """The strictest of several numbers of one rule."""
    return min(numbers) if _ceiling(name) else max(numbers)
