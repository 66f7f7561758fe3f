"""The roster: which sites are in the consortium, and the key by which each is known.

Every site pins the roster's digest after comparing fingerprints out of band. A key that is not in
it cannot take part, whoever presents it.
"""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from transforms.errors import ConsortiumError, raise_all


__all__ = ["Roster", "fingerprint", "load_roster", "parse_roster", "write_roster"]

VERSION = 1
HEADER = """\
# Who is in the consortium. Each site compares these fingerprints with the others by telephone
# or on paper, then pins this file: a query under another roster is refused.
version = 1
"""


@dataclass(frozen=True)
class Roster:
    """Site id → raw Ed25519 public key (32 bytes)."""

    sites: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """SHA-256 over the sorted (id, key) pairs, in hexadecimal."""
        lines = [f"{site} {key.hex()}\n" for site, key in sorted(self.sites.items())]
        return hashlib.sha256(b"marmor/roster/1\n" + "".join(lines).encode()).hexdigest()

    def key(self, site: str) -> Ed25519PublicKey:
        """Return the public key that `site` signs with; KeyError for a stranger."""
        return Ed25519PublicKey.from_public_bytes(self.sites[site])


def fingerprint(key: bytes) -> str:
    """Return a key's SHA-256 in groups of four, for comparing by eye or voice."""
    digest = hashlib.sha256(key).hexdigest()[:32]
    return " ".join(digest[i : i + 4] for i in range(0, 32, 4))


def parse_roster(text: str, where: str = "roster") -> Roster:
    """Parse the TOML text of a roster: `version` and one `[sites]` entry per site.

    Raises ConsortiumError listing every problem.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConsortiumError(f"{where}: not a TOML file ({error})") from None
    sites = data.get("sites")
    if set(data) != {"version", "sites"} or data["version"] != VERSION or type(sites) is not dict:
        raise ConsortiumError(f"{where}: expected version = {VERSION} and a [sites] table only")
    keys = {site: _key(text) for site, text in sites.items()}
    problems = [
        f"{where}: key of {s} must be 64 hexadecimal digits" for s, k in keys.items() if not k
    ]
    if len(set(sites.values())) != len(sites):
        problems.append(f"{where}: two sites have the same key")
    raise_all(ConsortiumError, problems)
    return Roster({site: key for site, key in sorted(keys.items()) if key})


def load_roster(path: Path) -> Roster:
    """Read a roster file; ConsortiumError when it is missing or not a roster."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConsortiumError(f"{path}: cannot read the roster; enroll the sites first") from None
    return parse_roster(text, str(path))


def write_roster(path: Path, roster: Roster) -> None:
    """Write `roster` as TOML, keys in hexadecimal, with fingerprints as comments."""
    lines = [
        f'{site} = "{key.hex()}"  # {fingerprint(key)}\n'
        for site, key in sorted(roster.sites.items())
    ]
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(HEADER + "\n[sites]\n" + "".join(lines), encoding="utf-8")
    temporary.replace(path)


def _key(text: object) -> bytes | None:
    """Return 32 bytes from 64 hexadecimal digits, None when `text` is anything else."""
    try:
        key = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        return None
    return key if len(key) == 32 else None
