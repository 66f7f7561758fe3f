"""`python -m infra.attacks FILE`: write the attack report; exit code 1 when a target is missed."""

import logging
import sys
import time
from pathlib import Path

from infra.attacks.campaign import run
from infra.attacks.report import page
from infra.output import console


__all__ = ["main"]


def main(path: Path) -> int:
    """Attack, write the report to `path`, and say whether every target is met."""
    logging.disable(logging.WARNING)  # refusals are what the attacks count
    started = time.perf_counter()
    findings, members = run(console.print)
    minutes = (time.perf_counter() - started) / 60
    path.write_text(page(findings, members, minutes), encoding="utf-8")
    missed = [f"{item.attack} at {item.sites} sites" for item in findings if not item.met]
    missed += [] if members.met else ["membership"]
    console.print(f"Wrote {path}.")
    for one in missed:
        console.print(f"Target missed: {one}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
