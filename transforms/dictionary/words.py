"""How the dictionary is said in words, the same in the terminal and on the reference page."""

from collections.abc import Iterator

from transforms.dictionary.model import Analyte, Code, Field, Range, Table


__all__ = ["elsewhere", "kind", "limits", "said_range", "same_as", "same_loinc"]


def kind(field: Field) -> str:
    """Return type and code list: `codes: specialty`."""
    return field.type if field.codelist is None else f"{field.type}: {field.codelist}"


def limits(part: Field | Analyte) -> str:
    """Return hard and soft limits, each with its reason."""
    known = (("hard", part.hard), ("soft", part.soft))
    return "; ".join(f"{name} {said_range(one)} ({one.reason})" for name, one in known if one)


def said_range(part: Range) -> str:
    """Return limits as `low to high`.

    >>> said_range(Range(None, 4, ""))
    'up to 4'
    """
    if part.low is None:
        return f"up to {part.high:g}"
    if part.high is None:
        return f"from {part.low:g}"
    return f"{part.low:g} to {part.high:g}"


def elsewhere(part: Field | Table) -> str:
    """Return where the same thing stands in other standards, the JRC element first."""
    jrc = [f"JRC {part.jrc}"] if isinstance(part, Field) and part.jrc else []
    return "; ".join([*jrc, *(f"{name} {path}" for name, path in part.crosswalk.items())])


def same_as(code: Code) -> str:
    """Return a code's equivalents; what was not read again in its source says so."""
    return ", ".join(
        f"{system} {value}{_mark(system in code.unchecked)}"
        for system, value in code.codings.items()
    )


def same_loinc(analyte: Analyte) -> str:
    """Return an analyte's LOINC codes, with the property that each measures."""
    return ", ".join(_loinc(analyte))


def _loinc(analyte: Analyte) -> Iterator[str]:
    """Yield each LOINC code with its property and whether it was re-checked."""
    for code, measured in analyte.loinc.items():
        yield f"{code} {measured}{_mark(code in analyte.unchecked)}"


def _mark(unchecked: bool) -> str:
    """Return the mark of a coding that was not read again."""
    return " (not re-checked)" if unchecked else ""
