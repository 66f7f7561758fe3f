"""Changes of a protein as people write them (`R767W`, `K217X`, `S66Nfs*15`) in HGVS."""

import re


__all__ = ["CODON_SLACK", "first_codon", "protein_change", "protein_class"]

# How many residues behind its codon a deletion or insertion may show first.
CODON_SLACK = 10
THREE = {
    "A": "Ala", "R": "Arg", "N": "Asn", "D": "Asp", "C": "Cys", "Q": "Gln", "E": "Glu",
    "G": "Gly", "H": "His", "I": "Ile", "L": "Leu", "K": "Lys", "M": "Met", "F": "Phe",
    "P": "Pro", "S": "Ser", "T": "Thr", "W": "Trp", "Y": "Tyr", "V": "Val",
}  # fmt: skip
NAMES = {three.lower(): three for three in THREE.values()}
AMINO = "|".join([*NAMES, *(one.lower() for one in THREE)])
STOP = r"\*|x|ter|stop"
FORM = re.compile(
    rf"(?P<first>{AMINO})(?P<at>[0-9]{{1,5}})"
    rf"(?:_(?P<last>{AMINO})(?P<to>[0-9]{{1,5}}))?"
    rf"(?:(?P<new>{AMINO})?(?P<fs>fs)(?:(?:{STOP})(?P<end>[0-9]{{1,4}}|\?)?)?"
    rf"|(?P<kind>delins|ins)(?P<many>(?:{AMINO})+)|(?P<plain>del|dup)"
    rf"|(?P<stop>{STOP})|(?P<sub>{AMINO})|(?P<sign>[=?]))"
)


def protein_change(text: str) -> str | None:
    """Return `text` (without or with `p.`, in brackets or not) in HGVS, or None.

    >>> protein_change("R767W"), protein_change("S66NfsX15"), protein_change("Arg454Ter")
    ('p.(Arg767Trp)', 'p.(Ser66Asnfs*15)', 'p.(Arg454*)')
    """
    core = re.sub(r"[()\[\]\s]", "", text).removeprefix("p.").lower()
    if core in ("?", "="):
        return f"p.({core})"
    match = FORM.fullmatch(core)
    if match is None or (match["last"] and (match["stop"] or match["sub"] or match["fs"])):
        return None
    if match["last"] and int(match["to"]) <= int(match["at"]):
        return None
    place = _name(match["first"]) + match["at"]
    if match["last"]:
        place += f"_{_name(match['last'])}{match['to']}"
    return f"p.({place}{_effect(match)})"


def _effect(match: re.Match[str]) -> str:
    """Return what happens at the place, in HGVS."""
    if match["fs"]:
        end = f"*{match['end']}" if match["end"] else ""
        return (_name(match["new"]) if match["new"] else "") + "fs" + end
    if match["kind"]:
        return match["kind"] + "".join(_name(one) for one in re.findall(AMINO, match["many"]))
    if match["stop"]:
        return "*"
    return match["plain"] or match["sign"] or ("=" if _same(match) else _name(match["sub"]))


def _same(match: re.Match[str]) -> bool:
    """Return whether a residue is replaced by itself."""
    return _name(match["first"]) == _name(match["sub"])


def _name(amino: str) -> str:
    """Return the three-letter name of an amino acid written with one or three letters."""
    return NAMES.get(amino) or THREE[amino.upper()]


def first_codon(hgvs_p: str | None) -> int | None:
    """Return the number of the first residue that changes, None where it is not said."""
    found = re.match(r"p\.\([A-Z][a-z]{2}([0-9]+)", hgvs_p or "")
    return int(found[1]) if found else None


def protein_class(hgvs_p: str | None) -> str:
    """Return the variant class that a protein change names, else `unknown`."""
    if hgvs_p is None or hgvs_p in ("p.(?)", "p.(=)") or hgvs_p.endswith("?)"):
        return "unknown"
    if "fs" in hgvs_p:
        return "frameshift"
    if hgvs_p.endswith("*)"):
        return "nonsense"
    if re.search("del|dup|ins", hgvs_p):
        return "inframe"
    return "other" if hgvs_p.endswith("=)") else "missense"
