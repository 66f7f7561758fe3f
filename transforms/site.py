"""A site's folder: what stands in `site.toml`, and where everything else of that site is."""

import dataclasses
import datetime
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transforms.errors import SetupError, raise_all
from transforms.iso_codes import COUNTRIES, LANGUAGES


__all__ = [
    "Acceptance",
    "Executor",
    "Retention",
    "Site",
    "create_site",
    "current_release",
    "ids_beside",
    "load_site",
    "site_folders",
]

SITE_ID = re.compile(r"[a-z][a-z0-9-]{1,30}")

SITE_TOML = """\
# Who this site is. Written by `marmor site init`; edit freely.
id = "{id}"
name = "{name}"
country = "{country}"    # ISO 3166-1 alpha-2
language = "{language}"   # ISO 639-1
# opened = 1998-01-01   # the centre's first day: a first contact before it is flagged (R89)

# A run passes review by itself only when both hold, no critical expectation fails and no table
# has lost all its rows since the current release; otherwise a reviewer decides.
[acceptance]
max_rejected_share = 0.10           # rejected rows / rejected and kept rows
min_mandatory_completeness = 0.90   # filled mandatory fields / mandatory fields

# What is taken away after a run, and by `marmor site purge`. The current release always stays.
[retention]
releases = 3       # newest releases
inbox_days = 30    # exports, after the release that was made from them
log_days = 365     # logs and reports

# What the consortium may be told, where this site is stricter than its policy; see docs/privacy.md.
# [policy]
# profile = "public"
"""


@dataclass(frozen=True)
class Acceptance:
    """What a site may set of when a run passes by itself: shares between 0 and 1."""

    max_rejected_share: float = 0.10
    min_mandatory_completeness: float = 0.90


@dataclass(frozen=True)
class Retention:
    """How many releases a site keeps, and for how many days other things; each at least 1."""

    releases: int = 3
    inbox_days: int = 30
    log_days: int = 365


@dataclass(frozen=True)
class Executor:
    """As which user a site's rows are counted; that of its node where there is none named."""

    user: str = ""


@dataclass(frozen=True)
class Site:
    """One centre: its identity and its folder."""

    folder: Path
    id: str
    name: str
    country: str
    language: str
    opened: datetime.date | None = None
    acceptance: Acceptance = field(default_factory=Acceptance)
    retention: Retention = field(default_factory=Retention)
    executor: Executor = field(default_factory=Executor)

    @property
    def mapping(self) -> Path:
        """The mapping workbook or its four CSV files."""
        return self.folder / "mapping"

    @property
    def inbox(self) -> Path:
        """Where the data manager drops the centre's own files."""
        return self.folder / "inbox"

    @property
    def scan(self) -> Path:
        """What `marmor site scan` saw in the inbox: a page and the same as JSON."""
        return self.folder / "scan"

    @property
    def work(self) -> Path:
        """Staging, one folder per run, never read by anyone else."""
        return self.folder / "work"

    @property
    def releases(self) -> Path:
        """Published, immutable releases."""
        return self.folder / "releases"

    @property
    def reports(self) -> Path:
        """Validation reports and dashboards, counts only."""
        return self.folder / "reports"

    @property
    def quarantine(self) -> Path:
        """Rejected rows with their values, for the data manager alone."""
        return self.folder / "quarantine"

    @property
    def review(self) -> Path:
        """Reviewers' decisions, one file per run."""
        return self.folder / "review"

    @property
    def ledger(self) -> Path:
        """The hash-chained memory of what was asked and answered."""
        return self.folder / "ledger"

    @property
    def keys(self) -> Path:
        """Secrets of the site, each file mode 0400."""
        return self.folder / "keys"

    @property
    def current(self) -> Path:
        """The file that names the last good release."""
        return self.folder / "CURRENT"


def load_site(folder: Path) -> Site:
    """Read `folder/site.toml`.

    Raises SetupError, listing every problem, when the file is missing, unreadable or has a key
    that is not known, not there, or not of the right type.
    """
    path = folder / "site.toml"
    if not path.is_file():
        raise SetupError(f"{path}: there is no site here; create one with `marmor site init`")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SetupError(f"{path}: not a TOML file ({error}); mend that line") from None
    acceptance, retention = data.pop("acceptance", {}), data.pop("retention", {})
    data.pop("policy", None)  # of the federated half; its node reads and checks it
    executor = data.pop("executor", {})
    opened = data.pop("opened", None)
    problems = [
        *_problems(path, data, {"id": str, "name": str, "country": str, "language": str}),
        *_acceptance_problems(path, acceptance),
        *_retention_problems(path, retention),
        *_executor_problems(path, executor),
    ]
    if opened is not None and type(opened) is not datetime.date:  # a time of day is one, too
        problems.append(f"{path}: opened must be a day without quotation marks, such as 1998-01-01")
    if not problems and not SITE_ID.fullmatch(data["id"]):
        problems.append(f"{path}: id must be 2 to 31 of a-z, 0-9 and -, starting with a letter")
    raise_all(SetupError, problems)
    return Site(
        folder=folder.resolve(),
        opened=opened,
        acceptance=Acceptance(**acceptance),
        retention=Retention(**retention),
        executor=Executor(**executor),
        **data,
    )


def create_site(folder: Path, *, site_id: str, name: str, country: str, language: str) -> Site:
    """Make a site folder with its `site.toml` and empty subfolders; keep whatever is there.

    What is refused leaves nothing behind.

    Raises SetupError when the folder is a site already, when a site beside it has the same id, or
    for a country or language that ISO does not know.
    """
    if (folder / "site.toml").exists():
        raise SetupError(f"{folder}: is a site already; edit its site.toml")
    raise_all(SetupError, list(_not_iso(country, language)))
    if taken := ids_beside(folder).get(site_id):
        raise SetupError(f"{taken}: has the id {site_id} already; choose another with --id")
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    text = SITE_TOML.format(id=site_id, name=quoted, country=country, language=language)
    (folder / "site.toml").write_text(text, encoding="utf-8")
    try:
        site = load_site(folder)
    except SetupError:
        (folder / "site.toml").unlink()
        for path in made:
            path.rmdir()
        raise
    folder.chmod(0o700)
    for path in (site.mapping, site.inbox):
        path.mkdir(mode=0o700, exist_ok=True)
    return site


def _not_iso(country: str, language: str) -> Iterator[str]:
    """Yield what is wrong with the codes of a country and a language."""
    if country not in COUNTRIES:
        near = country.upper()
        hint = f"; did you mean {near}?" if near in COUNTRIES else ", such as FR"
        yield f"country {country!r}: expected a code of ISO 3166-1 with two capitals{hint}"
    if language not in LANGUAGES:
        near = language.lower()
        hint = f"; did you mean {near}?" if near in LANGUAGES else ", such as fr"
        yield f"language {language!r}: expected a code of ISO 639-1 with two small letters{hint}"


def ids_beside(folder: Path) -> dict[str, Path]:
    """Return the ids of the readable sites in the same parent folder, each with its folder."""
    found: dict[str, Path] = {}
    for other in site_folders(folder.parent):
        try:
            found.setdefault(load_site(other).id, other)
        except SetupError:
            continue  # a broken one has no id; `marmor site status` shows it
    return found


def site_folders(home: Path) -> tuple[Path, ...]:
    """Return the site folders directly below `home`, sorted by name."""
    return tuple(sorted(path.parent for path in home.glob("*/site.toml")))


def current_release(site: Site) -> str | None:
    """Return the id of the last good release, or None before the first one."""
    return site.current.read_text(encoding="utf-8").strip() if site.current.exists() else None


def _acceptance_problems(path: Path, acceptance: object) -> list[str]:
    """List what is wrong with the `[acceptance]` table."""
    if not isinstance(acceptance, dict):
        return [f"{path}: acceptance must be a table of shares between 0 and 1"]
    known = {item.name for item in dataclasses.fields(Acceptance)}
    unknown = _unknown(path, "acceptance", acceptance, known)
    wrong = [
        f"{path}: acceptance.{key} must be a share between 0 and 1"
        for key, value in acceptance.items()
        if key in known and not (type(value) in (int, float) and 0 <= value <= 1)
    ]
    return unknown + wrong


def _retention_problems(path: Path, retention: object) -> list[str]:
    """List what is wrong with the `[retention]` table."""
    if not isinstance(retention, dict):
        return [f"{path}: retention must be a table of whole numbers from 1"]
    known = {item.name for item in dataclasses.fields(Retention)}
    wrong = [
        f"{path}: retention.{key} must be a whole number from 1"
        for key, value in retention.items()
        if key in known and not (type(value) is int and 1 <= value <= 36500)
    ]
    return _unknown(path, "retention", retention, known) + wrong


def _executor_problems(path: Path, executor: object) -> list[str]:
    """List what is wrong with the `[executor]` table."""
    if not isinstance(executor, dict) or not isinstance(executor.get("user", ""), str):
        return [f'{path}: executor must be a table with user = "the name of a user"']
    return _unknown(path, "executor", executor, {"user"})


def _unknown(path: Path, name: str, values: Mapping[str, Any], known: set[str]) -> list[str]:
    """List the keys that a table does not have."""
    return [
        f"{path}: [{name}] has no {key}; it has {', '.join(sorted(known))}"
        for key in values
        if key not in known
    ]


def _problems(path: Path, data: Mapping[str, Any], expected: Mapping[str, type]) -> list[str]:
    """List keys that are unknown, missing or of another type."""
    unknown = [
        f"{path}: unknown key {key}; known are {', '.join(expected)}"
        for key in data
        if key not in expected
    ]
    missing = [f"{path}: {key} is missing" for key in expected if key not in data]
    wrong = [
        f"{path}: {key} must be a {kind.__name__}"
        for key, kind in expected.items()
        if key in data and not isinstance(data[key], kind)
    ]
    return unknown + missing + wrong
