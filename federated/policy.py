"""The disclosure policy: every number of the rules, in one frozen value with one digest.

The defaults are the `consortium` profile. A site may be stricter than the consortium, never laxer,
and nobody can switch a rule off: `FLOORS` are the least that any file may say.

Sources of the numbers: midpoint-6 rounding and 6 events per step, OpenSAFELY (bennett.ox.ac.uk,
"Rounding for disclosure control"); denominators of 10, UK LLC and ACRO; complement rule and limits
on tables against reconstruction, Dinur and Nissim 2003; at least three sites, because the sum of
two hides nothing from either.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from transforms.errors import RefusedError, raise_all


__all__ = ["CONSORTIUM", "EXACT", "Policy", "load_policy", "parse_policy"]

# Rules where a smaller number is the stricter one; everywhere else the larger is.
CEILINGS = frozenset({"max_dimensions", "max_cells", "max_queries_per_day", "digits"})


@dataclass(frozen=True)
class Policy:
    """Thresholds of the disclosure gate; counts of patients unless said otherwise.

    Attributes:
        grid: counts are shown as midpoints of bins this wide; 1 to `grid` is withheld.
        min_denominator: smallest denominator of a rate or percentage, and of a shown zero.
        min_step_events: events per step of a survival curve; steps are merged until reached.
        min_at_risk: a survival curve ends where fewer are at risk.
        min_sites: fewest sites in a sum.
        max_dimensions: most variables in a table.
        max_cells: most cells in a table.
        max_queries_per_day: most different queries that a site answers in a day.
        digits: significant digits of any other published number.
    """

    grid: int = 6
    min_denominator: int = 10
    min_step_events: int = 6
    min_at_risk: int = 10
    min_sites: int = 3
    max_dimensions: int = 3
    max_cells: int = 200
    max_queries_per_day: int = 100
    digits: int = 3

    def canonical(self) -> Mapping[str, float]:
        """Return the policy as plain numbers, sorted by name."""
        return dict(sorted(asdict(self).items()))

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        text = json.dumps(self.canonical(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(b"marmor/policy/1\n" + text.encode()).hexdigest()

    def laxer_than(self, other: "Policy") -> tuple[str, ...]:
        """Name the rules in which this policy allows more than `other`."""
        mine, theirs = self.canonical(), other.canonical()
        return tuple(name for name in mine if _laxer(name, mine[name], theirs[name]))


CONSORTIUM = Policy()

# What a file may relax a rule to, and no further.
FLOORS = Policy(
    grid=5,
    min_denominator=5,
    min_step_events=5,
    min_at_risk=5,
    min_sites=3,
    max_dimensions=3,
    max_cells=1000,
    max_queries_per_day=10_000,
    digits=4,
)

# Publishes every number as it is. Only a rehearsal, which holds the rows anyway, uses it.
EXACT = Policy(
    grid=1,
    min_denominator=0,
    min_step_events=0,
    min_at_risk=1,
    min_sites=1,
    max_cells=1_000_000,
    digits=17,
)


def parse_policy(values: Mapping[str, object], where: str = "policy") -> Policy:
    """Return the policy that `values` describe, defaults filled in.

    Raises RefusedError listing unknown names, values of another type and relaxed floors.
    """
    kinds: dict[str, type] = {name: type(number) for name, number in asdict(CONSORTIUM).items()}
    problems = [f"{where}: unknown rule {name}" for name in values if name not in kinds]
    problems += [
        f"{where}: {name} must be a {kinds[name].__name__}"
        for name, value in values.items()
        if name in kinds and not _fits(value, kinds[name])
    ]
    raise_all(RefusedError, problems)
    policy = Policy(**{name: kinds[name](value) for name, value in values.items()})
    lax = policy.laxer_than(FLOORS)
    limits = FLOORS.canonical()
    raise_all(RefusedError, [f"{where}: {n} may not be laxer than {limits[n]:g}" for n in lax])
    return policy


def load_policy(path: Path) -> Policy:
    """Read a policy file (TOML, one key per rule); the default profile when there is none."""
    if not path.exists():
        return CONSORTIUM
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RefusedError(f"{path}: not a TOML file ({error})") from None
    return parse_policy(values, str(path))


def _laxer(name: str, mine: float, theirs: float) -> bool:
    """Whether `mine` allows more than `theirs` under the rule called `name`."""
    return mine > theirs if name in CEILINGS else mine < theirs


def _fits(value: object, kind: type) -> bool:
    """Whether a TOML or JSON value is of the rule's type; a boolean is no number."""
    return type(value) is kind
