"""Who took part in a query and who did not, and what each of two people is told of it.

A site can be *absent* (not connected), *slow* (connected, no reply in time), *refusing* (by a rule
of its own) or *failing* (something broke there). The operator sees which site is which, because
only the operator can act on it; the analyst sees how many there are of each kind and why.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from federated.messages import Absent, Failed, Refused
from federated.refusals import FAILURES, RULES
from transforms.errors import RefusedError, SiteDownError


__all__ = ["KINDS", "Attendance"]

KINDS = ("absent", "slow", "refused", "failed")

# What stands in a result beside how many sites it is true of.
WHY: Mapping[str, str] = {"offline": "not connected", "timeout": "no reply in time"}


@dataclass
class Attendance:
    """Sites that do not take part: kind → site → fixed word."""

    out: dict[str, dict[str, str]] = field(default_factory=lambda: {kind: {} for kind in KINDS})

    def note(self, site: str, reply: object) -> None:
        """Record why `site` does not take part, from what came instead of its reply."""
        kind, word = _read(reply)
        self.forget(site)
        self.out[kind][site] = word

    def note_failed(self, site: str, code: str) -> None:
        """Record that something of `site` is broken, as the coordinator found."""
        self.note(site, Failed(code, ""))

    def forget(self, site: str) -> None:
        """Take back what was recorded of `site`."""
        for noted in self.out.values():
            noted.pop(site, None)

    def take(self, other: "Attendance") -> None:
        """Record all that `other` has."""
        for kind, noted in other.out.items():
            for site, word in noted.items():
                self.forget(site)
                self.out[kind][site] = word

    def sites(self, *kinds: str) -> set[str]:
        """Every site that was noted as one of `kinds`, or at all."""
        return {site for kind in kinds or KINDS for site in self.out[kind]}

    def by_site(self) -> Mapping[str, str]:
        """For the operator: site → kind and word."""
        found = {s: f"{kind}: {word}" for kind in KINDS for s, word in self.out[kind].items()}
        return dict(sorted(found.items()))

    def counts(self, without: tuple[str, ...] = ()) -> Mapping[str, Mapping[str, int]]:
        """For the analyst: kind → word → how many sites; those in `without` took part after all."""
        return {
            kind: dict(sorted(Counter(w for s, w in noted.items() if s not in without).items()))
            for kind, noted in self.out.items()
        }

    def error(self, have: int, need: int) -> RefusedError | SiteDownError:
        """What to tell the analyst when too few sites are left."""
        lines = [f"{have} {'site' if have == 1 else 'sites'} can answer and {need} are needed"]
        words = {"refused": RULES, "failed": FAILURES}
        for kind, counted in self.counts().items():
            known = words.get(kind, WHY)
            lines += [f"{number} {kind}: {known.get(w, w)}" for w, number in counted.items()]
        down = self.sites("absent", "slow", "failed")
        error = SiteDownError if down and not self.out["refused"] else RefusedError
        return error("\n".join(lines))


def _read(reply: object) -> tuple[str, str]:
    """Return kind and word; what is not one of a site's fixed words is replaced by one."""
    if isinstance(reply, Refused):
        return "refused", reply.rule if reply.rule in RULES else "protocol"
    if isinstance(reply, Failed):
        return "failed", reply.code if reply.code in FAILURES else "internal"
    if isinstance(reply, Absent) and reply.reason in ("offline", "timeout"):
        return ("slow" if reply.reason == "timeout" else "absent"), reply.reason
    return "failed", "unreadable"
