"""A digest of our own packages, by which two sides see whether they run the same code."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from pathlib import Path

PACKAGES = ("client", "common", "server")


@functools.cache
def code_digest() -> str:
    """SHA-256 over the names and bytes of every Python file of `client`, `common` and `server`."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        folder = _folder_of(package)
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{package}/{path.relative_to(folder).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _folder_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None, f"package {package} is not installed"
    assert spec.origin is not None, f"package {package} is another's namespace"
    return Path(spec.origin).parent
