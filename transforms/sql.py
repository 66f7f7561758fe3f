"""The one place where a name becomes part of a SQL text. Values never do: they are parameters."""

__all__ = ["identifier", "qualified"]


def identifier(name: str) -> str:
    """Return `name` quoted as a SQL identifier.

    Raises ValueError for an empty name or one with a NUL character, which DuckDB cannot hold.
    """
    if not name or "\0" in name:
        raise ValueError("a SQL identifier must be a non-empty text without NUL")
    return '"' + name.replace('"', '""') + '"'


def qualified(*names: str) -> str:
    """Return `names` quoted and joined by dots, such as a schema and a table."""
    return ".".join(identifier(name) for name in names)
