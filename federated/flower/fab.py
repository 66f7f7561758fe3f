"""The inert Flower app bundle (FAB): it names the protocol, holds no code, has a known hash."""

import functools
import hashlib
import io
import zipfile
from pathlib import Path


__all__ = ["FOLDER", "bundle", "digest"]

FOLDER = Path(__file__).parent / "app"

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest date a zip can hold: the same bytes on every machine


@functools.cache
def bundle() -> bytes:
    """Return the bundle's bytes, the same on every machine.

    Stored without compression, because compressed bytes differ between zlib builds, and with them
    the hash on the sites' allow-lists would differ.
    """
    files = {name: (FOLDER / name).read_bytes() for name in ("pyproject.toml", "LICENSE")}
    files[".info/CONTENT"] = "\n".join(
        f"{name},{hashlib.sha256(content).hexdigest()},{len(content) * 8}"
        for name, content in files.items()
    ).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def digest() -> str:
    """Return the SHA-256 of the bundle, as sites pin it and as Flower names the app."""
    return hashlib.sha256(bundle()).hexdigest()
